"""``submission.json``: the figures of an export in the challenge's keys."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from golfreg.leaderboard.export.runs import Run
from golfreg.rules.figures import bits_per_byte, mean, nats_per_token, sample_std

TRACKS = {"parameter-golf": "10min_16mb", "parameter-golf-non-record": "non_record_16mb"}
"""A track of golfreg to the challenge's name for it; any other run is no record there."""


def submission(runs: Sequence[Run], code_bytes: int, *, name: str, author: str, github_id: str) -> dict[str, Any]:
    """The mean over the seeds is the headline, the largest artifact its bytes."""
    scores = [bits_per_byte(run.record) for run in runs]
    losses = [nats_per_token(run.record) for run in runs]
    record = runs[0].record
    parts = (record.components.architecture.name, record.components.quantizer.name, record.components.codec.name)
    values: dict[str, Any] = {
        "track": TRACKS.get(record.run.track, TRACKS["parameter-golf-non-record"]),
        "author": author,
        "github_id": github_id,
        "name": name,
        "blurb": f"{parts[0]}, {parts[1]} weights, {parts[2]}; made by golfreg {record.run.golfreg}.",
        "date": max(run.record.run.date for run in runs)[:10],
        "val_loss": mean(losses),
        "val_bpb": mean(scores),
    }
    if (std := sample_std(scores)) is not None:
        values |= {"val_loss_std": sample_std(losses), "val_bpb_std": std}
    return values | {
        "bytes_total": max(run.model_bytes for run in runs) + code_bytes,
        "bytes_code": code_bytes,
        "bytes_model": max(run.model_bytes for run in runs),
        "seeds": [run.record.run.seed for run in runs],
        "seed_results": {str(run.record.run.seed): _seed(run, code_bytes) for run in runs},
        "hardware": f"{record.hardware.gpus} x {record.hardware.gpu}" if record.hardware.gpus else record.hardware.cpu,
    }


def submission_text(values: dict[str, Any]) -> str:
    return json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def _seed(run: Run, code_bytes: int) -> dict[str, Any]:
    times = run.record.times
    return {
        "val_loss": nats_per_token(run.record),
        "val_bpb": bits_per_byte(run.record),
        "artifact_bytes": run.model_bytes + code_bytes,
        "steps": run.record.train.steps,
        "train_time_s": round(times.train_seconds + times.calibrate_seconds, 3),
        "eval_time_s": round(times.score_seconds, 3),
    }
