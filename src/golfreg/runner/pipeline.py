"""Runs the stages of a plan in order; those that are done already are skipped."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from golfreg.api.errors import AnswerIsNo
from golfreg.config.plan import Plan
from golfreg.config.record import RunRecord, read_record
from golfreg.runner.launch import Listener, Worker
from golfreg.runner.observers import Observers
from golfreg.runner.record import make_record, write_record
from golfreg.runner.rundir import locked, stage_result

STAGES = ("data", "train", "calibrate", "quantize", "pack", "score")


def run_stages(run_dir: Path, plan: Plan, listen: Listener, clock: Callable[[], float] = time.time) -> RunRecord:
    """Do what is left of a run and return its record.

    Raises AnswerIsNo where a limit is broken, and whatever a stage ended with.
    """
    with locked(run_dir), Observers(run_dir, plan, listen) as observers:
        if (run_dir / "record.toml").exists():
            record = read_record(run_dir / "record.toml")
            for stage in STAGES:
                if (result := stage_result(run_dir, stage)) is not None:
                    observers.stage(stage, result["seconds"], result["result"])
        else:
            results = _run_all(run_dir, plan, observers.listen)
            record = make_record(run_dir, plan, results, clock())
            write_record(run_dir / "record.toml", record)
        observers.record(record)
        return record


def _run_all(run_dir: Path, plan: Plan, listen: Listener) -> dict[str, dict[str, Any]]:
    """Every stage that is not done, in order; what each left."""
    calibrated = bool(plan.quantizer_needs)
    if not (plan.dataset_dir / "dataset.toml").exists():
        # It lives in a cache, which may have been emptied since the stage was done.
        (run_dir / "stages" / "data.toml").unlink(missing_ok=True)
    results = {"data": _stage("data", run_dir, plan, listen)}
    waiting = None
    if calibrated and not _done("train", run_dir) and not _done("calibrate", run_dir):
        waiting = Worker("calibrate", run_dir, plan.threads, wait=True)
    try:
        results["train"] = _stage("train", run_dir, plan, listen)
        if calibrated:
            results["calibrate"] = _stage("calibrate", run_dir, plan, listen, waiting)
    finally:
        if waiting is not None:
            waiting.close()
    check_training_clock(results, plan)
    for stage in ("quantize", "pack", "score"):
        results[stage] = _stage(stage, run_dir, plan, listen)
    return results


def check_training_clock(results: dict[str, dict[str, Any]], plan: Plan) -> None:
    """Training and calibration share one clock. AnswerIsNo over the ruleset's limit."""
    train = float(results["train"]["result"]["train_seconds"])
    calibrate = float(results["calibrate"]["result"]["calibrate_seconds"]) if "calibrate" in results else 0.0
    if train + calibrate > plan.limits.train_seconds:
        raise AnswerIsNo(
            f"over the training limit: {train:.1f} s of training + {calibrate:.1f} s of calibration"
            f" > {plan.limits.train_seconds:g} s of ruleset `{plan.spec.ruleset}`",
            "raise `train.calibration_reserve_seconds` or lower `train.steps`",
        )


def _done(stage: str, run_dir: Path) -> bool:
    return stage_result(run_dir, stage) is not None


def _stage(stage: str, run_dir: Path, plan: Plan, listen: Listener, waiting: Worker | None = None) -> dict[str, Any]:
    result = stage_result(run_dir, stage)
    if result is not None:
        listen(stage, {"event": "skipped", "seconds": result["seconds"], "result": result["result"]})
        return result
    listen(stage, {"event": "start"})
    worker = waiting or Worker(stage, run_dir, plan.threads)
    try:
        worker.go()
        worker.finish(listen)
    finally:
        worker.close()
    result = stage_result(run_dir, stage)
    assert result is not None, f"stage {stage} ended well without a result"
    listen(stage, {"event": "done", "seconds": result["seconds"], "result": result["result"]})
    return result
