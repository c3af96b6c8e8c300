"""GR2xx: the clocks."""

from __future__ import annotations

from collections.abc import Iterator

from golfreg.rules.findings import Evidence, Problem, rule


@rule("GR201", "training and calibration together keep the training limit")
def training(evidence: Evidence) -> Iterator[Problem]:
    """Calibration on training data is training, where the ruleset says so."""
    limits = evidence.ruleset.limits
    for where, record in evidence.records.items():
        train, calibrate = record.times.train_seconds, record.times.calibrate_seconds
        if train + (calibrate if limits.calibration_is_training else 0.0) > limits.train_seconds:
            calibration = f" + {calibrate:.1f} s of calibration" if limits.calibration_is_training else ""
            yield Problem(f"{train:.1f} s of training{calibration} > {limits.train_seconds:g} s", where)


@rule("GR202", "scoring keeps the scoring limit")
def scoring(evidence: Evidence) -> Iterator[Problem]:
    """Everything between getting the artifact and the score."""
    limit = evidence.ruleset.limits.score_seconds
    for where, record in evidence.records.items():
        if record.times.score_seconds > limit:
            yield Problem(f"{record.times.score_seconds:.1f} s of scoring > {limit:g} s", where)
