"""The runs of an export: finished, of one configuration, their code counted as the script that is shipped."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from golfreg.api.errors import ConfigError, InputError
from golfreg.config import strict
from golfreg.config.record import RunRecord
from golfreg.config.spec import TrainSettings
from golfreg.leaderboard.add import finished
from golfreg.leaderboard.entries import MAX_SEEDS
from golfreg.pack.container import read_container

MAX_METRICS_BYTES = 1 << 28
_NUMBERS = ("step", "loss", "train_seconds")


@dataclass(frozen=True)
class Run:
    """One seed. ``script``: the artifact's code section. ``model_bytes``: all else of the artifact.

    ``metrics``: step, loss and train_seconds of each step that was logged.
    """

    record: RunRecord
    train: TrainSettings
    script: bytes
    model_bytes: int
    metrics: list[dict[str, Any]]


def read_runs(run_dirs: Sequence[Path]) -> list[Run]:
    """The runs by seed. InputError for one that is unfinished, whose code is no script, or that is of no kind with
    the others.
    """
    if not 1 <= len(run_dirs) <= MAX_SEEDS:
        raise ConfigError(f"an export has 1 to {MAX_SEEDS} runs; {len(run_dirs)} were given")
    runs: dict[int, Run] = {}
    places: dict[int, Path] = {}
    for run_dir in run_dirs:
        run = _read_run(run_dir)
        seed = run.record.run.seed
        if seed in runs:
            raise InputError(f"`{places[seed]}` and `{run_dir}` are both of seed {seed}", "give each seed once")
        for first in places:
            _same_kind(runs[first], places[first], run, run_dir)
            break
        runs[seed], places[seed] = run, run_dir
    return [runs[seed] for seed in sorted(runs)]


def _read_run(run_dir: Path) -> Run:
    record = finished(run_dir)
    container = read_container(run_dir / "artifact.golfreg")
    if not container.script:
        raise InputError(
            f"the code of `{run_dir}` was counted as compressed sources, {container.code_bytes:,} bytes: no script "
            "has the bytes that were counted",
            "run it under a ruleset that counts packed scripts: `golfreg run --ruleset parameter-golf`",
        )
    data = record.settings.get("data")
    if isinstance(data, dict) and data.get("validation_tokens"):
        raise InputError(
            f"`{run_dir}` scored a part of the validation text; the challenge asks for all of it",
            "run it without `data.validation_tokens`",
        )
    train = strict.build(TrainSettings, record.settings.get("train"), f"the record of `{run_dir}`: settings.train")
    model_bytes = container.total_bytes - len(container.script)
    return Run(record, train, container.script, model_bytes, _metrics(run_dir / "metrics.jsonl"))


def _same_kind(one: Run, one_dir: Path, other: Run, other_dir: Path) -> None:
    if one.record.run.spec_digest != other.record.run.spec_digest:
        raise InputError(
            f"`{one_dir}` and `{other_dir}` have different settings",
            "a record has one configuration: export them apart",
        )
    if one.script != other.script:
        raise InputError(
            f"the code in `{one_dir}` and in `{other_dir}` differs, so no one script made both",
            "run both with the same golfreg and the same plugins",
        )


def _metrics(path: Path) -> list[dict[str, Any]]:
    """Lines that are not whole are left out: a killed run may have left one."""
    if not path.exists():
        return []
    rows = []
    for line in strict.read_text(path, "metrics", MAX_METRICS_BYTES).splitlines():
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict) and all(_is_number(row.get(key)) for key in _NUMBERS) and row["step"] > 0:
            rows.append({key: row[key] for key in _NUMBERS})
    return rows


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < strict.LARGEST
