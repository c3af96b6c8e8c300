"""A run with all that quantization offers: late rounding, drawn calibration tokens, widths by row group."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from golfreg.pack.container import read_container
from tests.conftest import TINY, Golfreg


@pytest.mark.slow
def test_a_run_rounds_late_calibrates_on_its_own_text_and_keeps_widths_by_row_group(
    golfreg: Golfreg, tiny_corpus: Path, tmp_path: Path
) -> None:
    done = golfreg(
        "run", "--quantizer=gptq", f"--corpus=jsonl:{tiny_corpus}", "--steps=4", *TINY,
        "--set=train.calibration_tokens=256", "--set=train.calibration_source=generated",
        "--set=train.fake_quant_fraction=0.5", "--set=quantizer.raw_elements=0", "--set=quantizer.bits=4",
        "--set=quantizer.overrides.in_proj.dt.bits=8", "--set=quantizer.overrides.in_proj.A=8",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    (record,) = tmp_path.glob("runs/*/record.toml")
    table = tomllib.loads(record.read_text())
    assert table["settings"]["train"]["calibration_source"] == "generated"
    assert table["settings"]["quantizer"]["overrides"] == {"in_proj": {"dt": {"bits": 8}, "A": 8}}
    calibrated = tomllib.loads((record.parent / "stages" / "calibrate.toml").read_text())["result"]
    assert (calibrated["source"], calibrated["tokens"]) == ("generated", 256)
    trained = tomllib.loads((record.parent / "stages" / "train.toml").read_text())
    assert "golfreg.train.rounding" in trained["modules"]
    widest = {
        layout.group: layout.alphabet[1]
        for layout in read_container(record.parent / "artifact.golfreg").layouts
        if layout.role == "in_proj" and layout.part == "codes" and layout.alphabet
    }
    assert {group for group, highest in widest.items() if highest == 127} == {"dt", "A"}
    assert set(widest.values()) == {7, 127}
