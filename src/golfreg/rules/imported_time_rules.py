"""GR62x: the clocks of an imported submission, as declared and as logged."""

from __future__ import annotations

from collections.abc import Iterator

from golfreg.rules.findings import Level, Problem
from golfreg.rules.imported_rules import Submission, imported_rule

SLACK_SECONDS = 0.5
"""The step that is under way when time is up ends after it: the challenge's baseline logs 600.038 s."""


@imported_rule("GR621", "training and calibration together keep the training limit, but for half a second")
def training(submission: Submission) -> Iterator[Problem]:
    """Calibration on training data is training, where the ruleset says so."""
    limits = submission.ruleset.limits
    for where, run in submission.runs.items():
        train = run.train_seconds.best
        if train is None:
            continue
        calibrate = (run.calibrate_seconds.best or 0.0) if limits.calibration_is_training else 0.0
        if train + calibrate > limits.train_seconds + SLACK_SECONDS:
            more = f" + {calibrate:.1f} s of calibration" if calibrate else ""
            yield Problem(f"{train:.1f} s of training{more} > {limits.train_seconds:g} s", where)


@imported_rule("GR623", "declared steps and training seconds are the log's")
def declared_times(submission: Submission) -> Iterator[Problem]:
    """Seconds but for one."""
    for where, run in submission.runs.items():
        steps, train = run.steps, run.train_seconds
        if steps.declared is not None and steps.log is not None and steps.declared != steps.log:
            yield Problem(f"{steps.declared:,} steps declared, {steps.log:,} logged", where, Level.WARN)
        if train.declared is not None and train.log is not None and abs(train.declared - train.log) > 1:
            said = f"{train.declared:.1f} s of training declared, {train.log:.1f} logged"
            yield Problem(said, where, Level.WARN)


@imported_rule("GR622", "scoring keeps the scoring limit, all passes together")
def scoring(submission: Submission) -> Iterator[Problem]:
    """The pass that gave the score alone over the limit fails; all together over it is for a person to look at."""
    limit = submission.ruleset.limits.score_seconds
    for where, run in submission.runs.items():
        alone = max(run.score_seconds.declared or 0.0, run.score_seconds.log or 0.0)
        together = run.score_seconds.recomputed or 0.0
        if alone > limit:
            yield Problem(f"{alone:.1f} s of scoring > {limit:g} s", where)
        elif together > limit:
            yield Problem(f"{together:.1f} s of scoring in all passes > {limit:g} s", where, Level.WARN)
