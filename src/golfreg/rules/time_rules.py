"""GR2xx: the clocks."""

from __future__ import annotations

from collections.abc import Iterator

from golfreg.rules.findings import Evidence, Problem, rule


@rule("GR201", "training and calibration keep the training limit")
def training(evidence: Evidence) -> Iterator[Problem]:
    """Calibration on training data is training."""
    limit = evidence.ruleset.limits.train_seconds
    for where, record in evidence.records.items():
        times = record.times
        if times.train_seconds + times.calibrate_seconds > limit:
            parts = f"{times.train_seconds:.1f} s of training + {times.calibrate_seconds:.1f} s of calibration"
            yield Problem(f"{parts} > {limit:g} s", where)


@rule("GR202", "scoring keeps the scoring limit")
def scoring(evidence: Evidence) -> Iterator[Problem]:
    """Everything between getting the artifact and the score."""
    limit = evidence.ruleset.limits.score_seconds
    for where, record in evidence.records.items():
        if record.times.score_seconds > limit:
            yield Problem(f"{record.times.score_seconds:.1f} s of scoring > {limit:g} s", where)
