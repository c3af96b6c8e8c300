"""``golfreg run --fit``: what it records, what it says before training, and what it refuses."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from golfreg.config.record import read_record
from golfreg.pack.container import read_container
from tests.conftest import TINY, Golfreg


@pytest.mark.slow
def test_what_was_fitted_stands_in_the_artifact_and_the_record_beside_the_settings(
    golfreg: Golfreg, tiny_corpus: Path, tmp_path: Path
) -> None:
    done = golfreg(
        "run", "--fit", "--quantizer=int6", f"--corpus=jsonl:{tiny_corpus}", "--steps=2", *TINY,
        "--set=quantizer.raw_elements=0",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert "a larger model would use them" in done.stderr
    (path,) = tmp_path.glob("runs/*/record.toml")
    record = read_record(path)
    assert record.fit is not None
    assert {(p.bits, p.clip_std) for p in record.fit.roles.values()} == {(8, 13.0)}
    assert {"embedding", "in_proj"} <= set(record.fit.roles)
    assert record.settings["fit"] is True
    assert record.settings["quantizer"]["overrides"] == {}
    result = tomllib.loads((path.parent / "stages" / "quantize.toml").read_text())
    assert "golfreg.pack.fit" in result["modules"]
    fitted = result["result"]["fit"]
    assert 0 <= fitted["bytes"] - record.sizes.total_bytes < 32_000
    config = read_container(path.parent / "artifact.golfreg").header.quantizer.config
    assert config["overrides"] == fitted["roles"]


def test_a_dry_run_says_what_would_fit_and_that_it_is_an_estimate(golfreg: Golfreg, tiny_corpus: Path) -> None:
    done = golfreg(
        "run", "--fit", "--dry-run", "--json", "--quantizer=gptq", f"--corpus=jsonl:{tiny_corpus}", *TINY,
        "--set=architecture.d_model=1024", "--set=architecture.n_layers=5",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout)
    fit = told["fit"]
    assert told["plan"]["spec"]["fit"] is True
    assert fit["codes"] < told["parameters"] < 1.01 * fit["codes"]
    assert [r["bits"] for r in fit["rungs"]] == [5, 5, 6, 6, 6, 7, 8]
    sizes = [max(r["bytes"]) for r in fit["rungs"]]
    assert sizes == sorted(sizes)
    assert fit["verdict"].startswith("estimate: ")


def test_a_quantizer_without_bits_is_refused_while_planning(golfreg: Golfreg, tiny_corpus: Path) -> None:
    done = golfreg("run", "--fit", "--dry-run", "--quantizer=int8", f"--corpus=jsonl:{tiny_corpus}", *TINY)
    assert done.returncode == 2, done.stderr
    assert "quantizer `int8` has no setting `bits`" in done.stderr
    assert "Traceback" not in done.stderr
