"""GR61x: bytes of an imported submission, as it counts them and as its files count."""

from __future__ import annotations

from collections.abc import Iterator

from golfreg.rules.findings import Level, Problem
from golfreg.rules.imported_rules import Submission, imported_rule

WAYS = {"shipped": "with the script as it was shipped", "with_helpers": "with every helper file that it runs"}
"""Ways of counting code that leave nothing out, unlike what most totals say."""


@imported_rule("GR611", "every seed's total fits the cap, as declared and as logged")
def cap(submission: Submission) -> Iterator[Problem]:
    """Each seed, not the mean."""
    limit = submission.ruleset.limits.cap_bytes
    for where, run in submission.runs.items():
        for said, total in (("declared", run.total_bytes.declared), ("logged", run.total_bytes.log)):
            if total is not None and total > limit:
                yield Problem(f"{total:,} bytes {said} > {limit:,}", where)
    headline = submission.imported.headline.total_bytes.declared
    if headline is not None and headline > limit:
        yield Problem(f"{headline:,} bytes declared > {limit:,}", "headline")


@imported_rule("GR612", "every seed's total also fits with all of the shipped code counted")
def cap_with_all_code(submission: Submission) -> Iterator[Problem]:
    """The packed form that was counted, or the helper files that were not, may lie elsewhere: a person decides."""
    limit = submission.ruleset.limits.cap_bytes
    for way, words in WAYS.items():
        code = submission.imported.counted_code.get(way)
        models = {where: run.model_bytes.best for where, run in submission.runs.items()}
        over = {where: size + code for where, size in models.items() if size and code and size + code > limit}
        if over:
            where = max(over, key=lambda one: over[one])
            seeds = f"{len(over)} {'seed' if len(over) == 1 else 'seeds'} of {len(models)}"
            yield Problem(f"{over[where]:,} bytes {words} > {limit:,}; {seeds}", where, Level.WARN)
            return


@imported_rule("GR613", "declared totals are the logged ones, and these are model + code")
def totals(submission: Submission) -> Iterator[Problem]:
    """To the byte. A headline may be any seed's total, or their mean."""
    for where, run in submission.runs.items():
        total, model, code = run.total_bytes, run.model_bytes.log, run.code_bytes.log
        if total.declared is not None and total.log is not None and total.declared != total.log:
            yield Problem(f"{total.declared:,} bytes declared, {total.log:,} logged", where)
        if total.log is not None and model is not None and code is not None and model + code != total.log:
            yield Problem(f"{model:,} of model + {code:,} of code is not the logged {total.log:,}", where)
    declared = submission.imported.headline.total_bytes.declared
    logged = [run.total_bytes.log for run in submission.runs.values() if run.total_bytes.log is not None]
    if declared is None or not logged or declared in logged:
        return
    if any(declared == run.total_bytes.declared for run in submission.runs.values()):
        return
    if abs(declared - sum(logged) / len(logged)) > 1:
        said = ", ".join(f"{total:,}" for total in logged)
        yield Problem(f"{declared:,} bytes declared is no seed's total, nor their mean: {said}", "headline")


@imported_rule("GR614", "code was counted in a way that the ruleset takes, and its bytes are the shipped script's")
def code(submission: Submission) -> Iterator[Problem]:
    """``computed-packed``: the counted bytes are of a packed form that is not in the folder."""
    imported, taken = submission.imported, submission.ruleset.code.counted
    if imported.code_policy and imported.code_policy not in taken:
        yield Problem(f"code was counted as `{imported.code_policy}`; the ruleset takes {', '.join(taken)}")
    shipped = imported.counted_code.get("shipped")
    if imported.code_policy == "computed-packed" or not shipped:
        return
    said = {
        "declared": imported.headline.code_bytes.declared,
        "logged": next((r.code_bytes.log for r in submission.runs.values() if r.code_bytes.log is not None), None),
    }
    for word, count in said.items():
        if count is not None and count != shipped:
            yield Problem(f"{count:,} bytes of code {word}; the shipped script has {shipped:,}", level=Level.WARN)
