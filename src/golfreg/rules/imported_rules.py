"""GR6xx: what an imported submission says of itself, held against its logs and against what was recomputed."""

from __future__ import annotations

from collections.abc import Mapping

from golfreg.config.imported import Imported, ImportedRun
from golfreg.rules.figures import Figures, SeedResult
from golfreg.rules.findings import Finding, Level
from golfreg.rules.ruleset import Ruleset


def imported_result(where: str, run: ImportedRun) -> SeedResult | None:
    """One seed, each figure from its best provenance; None without a score."""
    score = run.bits_per_byte.best
    if score is None:
        return None
    train, calibrate = run.train_seconds.best, run.calibrate_seconds.best
    return SeedResult(
        where=where,
        seed=run.seed,
        bits_per_byte=score,
        nats_per_token=run.nats_per_token.best,
        total_bytes=run.total_bytes.best,
        train_seconds=None if train is None else train + (calibrate or 0.0),
        score_seconds=run.score_seconds.best,
    )


def check_imported(
    imported: Imported, runs: Mapping[str, ImportedRun], ruleset: Ruleset, declared: Figures
) -> list[Finding]:
    """What was found at import. Recomputing rules over the kept figures are added by code."""
    return [Finding(f.code, Level(f.level), f.message, f.where) for f in imported.findings]
