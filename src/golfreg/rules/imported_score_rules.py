"""GR63x: the score of an imported submission: declared, logged, and in the challenge's table."""

from __future__ import annotations

import math
from collections.abc import Iterator

from golfreg.rules.figures import mean, sample_std
from golfreg.rules.findings import Level, Problem
from golfreg.rules.imported_rules import Submission, agrees, imported_rule

NATS_PER_BIT_PER_BYTE = {"byte": 0.6931, "SP1024": 1.689, "CaseOps": 2.188, "SP4096": 2.301, "SP8192": 2.583}
"""ln 2 times bytes per token of the full validation text, by tokenizer."""
RATIO_TOLERANCE = 0.01
LEAST_PLAUSIBLE = 1.0
"""Bits per byte. Every public score below it rested on a cache of the text, on scored tokens or on miscounted bytes."""
LEAST_STD = 1e-5
"""Bits per byte. What is closer was rounded on its way."""


@imported_rule("GR631", "every seed's declared score is its log's")
def seed_scores(submission: Submission) -> Iterator[Problem]:
    """But for rounding."""
    for where, run in submission.runs.items():
        declared, logged = run.bits_per_byte.declared, run.bits_per_byte.log
        if declared is not None and logged is not None and not agrees(declared, logged):
            yield Problem(f"{declared:g} bits per byte declared, {logged:.6f} logged", where)


@imported_rule("GR632", "the headline is the mean of the seeds")
def headline_score(submission: Submission) -> Iterator[Problem]:
    """Not the best of them. Without seeds: the only log's score."""
    headline, scores = submission.imported.headline.bits_per_byte, submission.scores
    declared = headline.declared
    if declared is not None and not scores and headline.log is not None and not agrees(declared, headline.log):
        yield Problem(f"{declared:g} bits per byte declared; the only log has {headline.log:.6f}", "headline")
    if declared is None or not scores:
        return
    average = mean(list(scores.values()))
    if agrees(declared, average) or abs(declared - average) <= LEAST_STD:
        return
    of = f"the mean of {len(scores)} seeds is" if len(scores) > 1 else "the only seed with a score has"
    one = next((where for where in sorted(scores, key=lambda w: scores[w]) if agrees(declared, scores[where])), None)
    which = ""
    if one is not None:
        seed = submission.runs[one].seed
        which = f", seed {seed}'s" + (" and the best" if scores[one] == min(scores.values()) else "")
    yield Problem(f"{declared:g} bits per byte declared{which}; {of} {average:.6f}", "headline")


@imported_rule("GR633", "the declared deviation is the sample standard deviation of the seeds")
def deviation(submission: Submission) -> Iterator[Problem]:
    """Within rounding and 2 %."""
    declared = submission.imported.headline.bits_per_byte_std.declared
    scores = list(submission.scores.values())
    actual = sample_std(scores)
    if declared is None or actual is None:
        return
    if abs(declared - actual) > max(0.02 * actual, LEAST_STD) and not agrees(declared, actual):
        of_all = actual * math.sqrt((len(scores) - 1) / len(scores))
        which = " (of n, not n - 1)" if abs(declared - of_all) <= max(0.01 * of_all, LEAST_STD) else ""
        yield Problem(f"{declared:g} declared{which}, {actual:.6f} over {len(scores)} seeds", "headline", Level.WARN)


@imported_rule("GR634", "nats per token and bits per byte fit the tokenizer")
def ratio(submission: Submission) -> Iterator[Problem]:
    """Another ratio: other bytes were counted, another part of the text was scored, or the two are of two passes."""
    known = _tokenizer(submission.imported.described.tokenizer)
    pairs = {
        where: (run.nats_per_token.best, run.bits_per_byte.best) for where, run in submission.runs.items()
    } or {
        "headline": (
            submission.imported.headline.nats_per_token.declared,
            submission.imported.headline.bits_per_byte.declared,
        )
    }  # fmt: skip
    for where, (nats, bits) in pairs.items():
        if not nats or not bits:
            continue
        wanted = [NATS_PER_BIT_PER_BYTE[known]] if known else list(NATS_PER_BIT_PER_BYTE.values())
        if all(abs(nats / bits / one - 1) > RATIO_TOLERANCE for one in wanted):
            of = f"{known} has {wanted[0]:g}" if known else "no tokenizer of the challenge has that"
            yield Problem(f"{nats / bits:.4f} nats per token for a bit per byte; {of}", where, Level.WARN)


@imported_rule("GR635", "no score is below 1.0 bits per byte")
def plausible(submission: Submission) -> Iterator[Problem]:
    """A person should look how it came about."""
    scores = dict(submission.scores)
    declared = submission.imported.headline.bits_per_byte.declared
    if declared is not None:
        scores["headline"] = declared
    for where, score in scores.items():
        if score < LEAST_PLAUSIBLE:
            yield Problem(f"{score:g} bits per byte", where, Level.WARN)


@imported_rule("GR636", "the challenge's table has the declared score")
def published(submission: Submission) -> Iterator[Problem]:
    """But for rounding."""
    table = submission.imported.source.published_bits_per_byte
    declared = submission.imported.headline.bits_per_byte.declared
    if table is not None and declared is not None and not agrees(table, declared):
        yield Problem(f"{table:g} bits per byte in the table, {declared:g} declared", "headline", Level.WARN)


def _tokenizer(described: str) -> str:
    """The tokenizer of the challenge that the words name; empty where they name none, or several."""
    words = described.lower()
    if "caseops" in words:
        return "CaseOps"
    named = [name for name in NATS_PER_BIT_PER_BYTE if name.lower() in words]
    return named[0] if len(named) == 1 else ""
