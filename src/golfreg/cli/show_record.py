"""A run's record as tables, and as JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from golfreg.cli.out import Out
from golfreg.config.record import RunRecord, to_table


def record_json(run_dir: Path, record: RunRecord) -> dict[str, Any]:
    """The record and where its files are."""
    return {**to_table(record), "files": {name: str(run_dir / file) for name, file in _FILES.items()}}


_FILES = {"record": "record.toml", "artifact": "artifact.golfreg", "metrics": "metrics.jsonl", "plan": "plan.toml"}


def show_record(out: Out, run_dir: Path, record: RunRecord) -> None:
    """Print the score, the bytes, the seconds and the files."""
    score, sizes, times = record.score, record.sizes, record.times
    run = record.run
    out.table(
        ("score", "value"),
        [
            ("bits per byte", f"{score.bits_per_byte:.4f}{error_text(score.standard_error)}"),
            ("nats per token", f"{score.nats_per_token:.4f}"),
            ("validation", f"{score.tokens:,} tokens, {score.bytes:,} bytes, {score.documents:,} documents"),
            ("windows", f"{score.windows} of {score.sequence_length}, documents {score.documents_mode}"),
            ("kept honest by", f"network off ({score.isolation}), {score.probes} causality probes, byte proof"),
            ("parameters", f"{record.train.parameters:,}"),
            ("trained", f"{record.train.steps:,} steps, {record.train.tokens:,} tokens"),
        ],
        f"{run.name}, seed {run.seed}, track {run.track}",
    )
    rows: list[tuple[str, str, str]] = [
        ("code", f"{sizes.code_bytes:,}", _percent(sizes.code_bytes, sizes.total_bytes)),
        ("weights", f"{sizes.weight_bytes:,}", _percent(sizes.weight_bytes, sizes.total_bytes)),
        ("header", f"{sizes.header_bytes:,}", _percent(sizes.header_bytes, sizes.total_bytes)),
        ("artifact", f"{sizes.total_bytes:,}", _percent(sizes.total_bytes, sizes.cap_bytes) + " of the cap"),
        ("headroom", f"{sizes.headroom_bytes:,}", f"to {sizes.cap_bytes:,}"),
    ]
    out.table(("bytes of", "bytes", "share"), rows, right=("bytes",))
    stages = [
        (name.removesuffix("_seconds"), f"{seconds:.1f}")
        for name, seconds in to_table(times).items()
        if seconds or name != "calibrate_seconds"
    ]
    out.table(("stage", "seconds"), stages, right=("seconds",))
    out.table(("file", "path"), [(name, str(run_dir / file)) for name, file in _FILES.items()])
    out.line(f"This score compares only within the track `{run.track}`, on the same data.")


def error_text(standard_error: float | None) -> str:
    """What follows a score: how far the choice of validation documents moves it."""
    return "" if standard_error is None else f" ± {standard_error:.4f} over documents"


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else ""
