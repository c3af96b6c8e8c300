"""A quantizer that declares statistics gets them: gathered in a process of its own, on the training clock."""

from __future__ import annotations

import tomllib
from pathlib import Path

from tests.conftest import TINY, Golfreg

PLUGIN = Path(__file__).parents[1] / "plugins" / "statistics"


def test_statistics_are_gathered_on_the_clock_and_reach_the_quantizer(
    golfreg: Golfreg, tiny_corpus: Path, tmp_path: Path
) -> None:
    done = golfreg(
        "run", "--quantizer=weighted", f"--corpus=jsonl:{tiny_corpus}", "--steps=3", *TINY,
        "--set=train.calibration_tokens=512", PYTHONPATH=str(PLUGIN),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    (record,) = tmp_path.glob("runs/*/record.toml")
    table = tomllib.loads(record.read_text())
    assert table["times"]["calibrate_seconds"] > 0
    assert table["components"]["quantizer"]["distribution"] == "golfreg-statistics"
    assert (record.parent / "statistics.safetensors").stat().st_size > 10_000
