"""Earlier runs on this machine that tell what a planned one will be like."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from golfreg.api.errors import GolfregError
from golfreg.config.plan import Plan, plan_to_dict, read_plan
from golfreg.runner.rundir import stage_result

MOST_RUNS = 200
"""Run directories that are looked at, the newest first."""
MOST_METRICS_BYTES = 64 << 20


def measured_speed(plan: Plan, runs: Path) -> tuple[Path, float] | None:
    """The newest run with the same model and step, and its tokens a second after the first tenth."""
    wanted = step_of(plan)
    for directory in matching(runs, lambda earlier: step_of(earlier) == wanted):
        rate = rate_of(directory / "metrics.jsonl")
        if rate is not None:
            return directory, rate
    return None


def measured_bytes(plan: Plan, runs: Path) -> tuple[Path, int] | None:
    """The newest run of the same configuration that was packed, and the bytes of its artifact."""
    for directory in matching(runs, lambda earlier: earlier.spec_digest == plan.spec_digest):
        try:
            total = (stage_result(directory, "pack") or {})["result"]["total_bytes"]
        except (GolfregError, KeyError, TypeError):
            continue
        if isinstance(total, int):
            return directory, total
    return None


def matching(runs: Path, same: Callable[[Plan], bool]) -> Iterator[Path]:
    """Run directories whose plan is the same, the newest first; what cannot be read is passed over."""
    try:
        found = sorted((path for path in runs.iterdir() if path.is_dir()), key=lambda path: path.name, reverse=True)
    except OSError:
        return
    for directory in found[:MOST_RUNS]:
        try:
            if same(read_plan(directory / "plan.toml")):
                yield directory
        except (GolfregError, OSError):
            continue


def step_of(plan: Plan) -> dict[str, Any]:
    """What decides the speed of a step, of all that a plan says."""
    table = plan_to_dict(plan)
    train = table["spec"]["train"]
    names = ("sequence_length", "batch_tokens", "micro_batch_tokens", "nproc")
    parts = ("architecture", "mixers", "kernels", "device", "dtype", "compile", "threads")
    kept = {name: table[name] for name in parts}
    return kept | {"train": {n: train.get(n) for n in names}, "tokenizer": table["spec"]["data"]["tokenizer"]}


def rate_of(metrics: Path) -> float | None:
    """Tokens a second between the first tenth of the lines and the last; None if there are too few to tell."""
    try:
        if metrics.stat().st_size > MOST_METRICS_BYTES:
            return None
        lines = [json.loads(line) for line in metrics.read_text("utf-8").splitlines()]
        first, last = lines[len(lines) // 10], lines[-1]
        seconds = float(last["train_seconds"]) - float(first["train_seconds"])
        tokens = float(last["tokens"]) - float(first["tokens"])
    except (OSError, ValueError, KeyError, TypeError, IndexError, RecursionError):
        return None
    return tokens / seconds if seconds > 0 and tokens > 0 else None
