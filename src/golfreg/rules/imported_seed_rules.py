"""GR64x: the seeds of an imported submission."""

from __future__ import annotations

from collections.abc import Iterator

from golfreg.rules.findings import Level, Problem
from golfreg.rules.imported_rules import Submission, imported_rule


@imported_rule("GR641", "there are as many seeds with a score as the ruleset asks for")
def count(submission: Submission) -> Iterator[Problem]:
    """Distinct by construction: an entry has one file for each."""
    required, found = submission.ruleset.seeds.required, len(submission.scores)
    if found < required:
        yield Problem(f"{found} {'seed' if found == 1 else 'seeds'} with a score; the ruleset asks for {required}")


@imported_rule("GR642", "every seed has a log with its score")
def logs(submission: Submission) -> Iterator[Problem]:
    """Otherwise nothing supports what is declared."""
    without = [str(run.seed) for run in submission.runs.values() if run.bits_per_byte.log is None]
    if without:
        yield Problem(f"no log with a score of seed {', '.join(without[:20])}", level=Level.WARN)
    elif not submission.runs and not submission.imported.headline.bits_per_byte.log:
        yield Problem("no log has a score", level=Level.WARN)
