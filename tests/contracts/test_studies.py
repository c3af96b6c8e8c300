"""Each study on a model that was trained a moment ago: one command, a report with its plots, and nothing left over."""

import json
import tomllib

import pytest

from tests.conftest import TINY

HYBRID = [
    "--arch=mamba3", "--steps=3", "--runs=runs", "--set=architecture.attention_layers=[1]",
    "--set=mixer.headdim=16", "--set=mixer.d_state=16", "--set=mixer.attention.n_heads=2",
    "--set=mixer.attention.n_kv_heads=1", "--set=data.validation_tokens=4000",
]  # fmt: skip
STUDIES = {
    "compressibility": ["--set=bits=[6]", '--set=codecs=["zlib"]'],
    "dynamics-precision": ["--set=bits=[6,8]", "--set=lengths=[16,32]"],
    "calibration": ["--set=calibration_tokens=512"],
}


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_study_goes_from_run_directories_to_a_report(golfreg, tmp_path, tiny_corpus):
    made = golfreg("run", "--recipe=smoke", f"--corpus=jsonl:{tiny_corpus}", *TINY, *HYBRID, timeout=600)
    assert made.returncode == 0, made.stderr
    (run,) = (tmp_path / "runs").iterdir()
    before = sorted(path.relative_to(run) for path in run.rglob("*"))
    for name, settings in STUDIES.items():
        done = golfreg("study", "run", name, run, "--json", *settings, timeout=600)
        assert done.returncode == 0, (name, done.stderr)
        out = tmp_path / "studies" / name
        results = tomllib.loads((out / "results.toml").read_text())
        assert json.loads(done.stdout) == results
        assert results["verdict"] in ("stands", "does not stand", "not decided")
        report = (out / "report.md").read_text()
        assert results["sentence"] in report
        for plot in out.glob("*.svg"):
            assert f"]({plot.name})" in report
        assert {path.name for path in out.iterdir()} >= {"report.md", "results.toml", "cells"}
        assert not (out / "work").exists()
        if name == "calibration":
            (model,) = results["compiled"].values()
            assert model["module"]["outcome"] == "gathered"
            assert model["module"]["seen"] == model["module"]["of"]
            assert model["module"]["difference"] < 1e-4
    assert sorted(path.relative_to(run) for path in run.rglob("*")) == before, "a study wrote into a run directory"
