"""Training on one GPU: compiled off the clock and from a cache, within memory, saved and resumed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from tests.conftest import Golfreg

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.gpu
SETTINGS = [
    "--device=cuda", "--tokenizer=bytes", "--quantizer=int8", "--codec=zlib", "--set=train.sequence_length=256",
    "--set=train.batch_tokens=8192", "--set=train.micro_batch_tokens=4096", "--set=train.warmup_steps=2",
    "--set=train.checkpoint_steps=10", "--set=architecture.n_layers=4", "--set=architecture.d_model=256",
    "--set=score.batch_tokens=8192", "--set=score.probes=4",
]  # fmt: skip
FIRST_STEP_SECONDS = 20.0
"""Goal for a start with a warm compile cache."""


@pytest.fixture(autouse=True)
def one_gpu() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")


def rows(run_dir: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]


def trained(run_dir: Path) -> dict[str, float]:
    return dict(tomllib.loads((run_dir / "stages" / "train.toml").read_text())["result"])


@pytest.mark.parametrize("arch", ["transformer", "mamba3"])
def test_a_run_interrupted_on_a_gpu_goes_on_and_a_second_one_starts_from_the_compile_cache(
    arch: str, golfreg: Golfreg, tmp_path: Path, tiny_corpus: Path, cache: Path
) -> None:
    words = ["run", f"--arch={arch}", f"--corpus=jsonl:{tiny_corpus}", f"--runs={tmp_path / 'runs'}", *SETTINGS]
    environment = {**os.environ, "GOLFREG_CACHE": str(cache)}
    process = subprocess.Popen(
        [sys.executable, "-m", "golfreg", *words, "--steps=200"], env=environment, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 400
    while not list((tmp_path / "runs").glob("*/train/step_*")):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, talk = process.communicate(timeout=60)
    assert process.returncode == 143, talk
    (run_dir,) = (tmp_path / "runs").iterdir()
    done = golfreg("run", "--resume", run_dir)
    assert done.returncode == 0, done.stderr
    assert [row["step"] for row in rows(run_dir)] == list(range(1, 201))
    first, last = rows(run_dir)[0]["loss"], rows(run_dir)[-1]["loss"]
    assert last < first - 1.0
    record = tomllib.loads((run_dir / "record.toml").read_text())
    assert record["hardware"]["gpus"] == 1
    assert record["train"]["interruptions"] == 1
    assert trained(run_dir)["compile_seconds"] < FIRST_STEP_SECONDS, "the second start of training has a warm cache"
    assert any((cache / "compiled" / "inductor").iterdir())
    seconds = [row["train_seconds"] for row in rows(run_dir)]
    steps = [after - before for before, after in zip(seconds[-50:-1], seconds[-49:], strict=True)]
    assert max(steps) < 2.0, "something was compiled on the clock"
    print(arch, f"{1000 * sorted(steps)[len(steps) // 2]:.1f} ms a step,", trained(run_dir))


def test_a_run_that_is_never_interrupted_has_the_curve_of_one_that_is(
    golfreg: Golfreg, tmp_path: Path, tiny_corpus: Path
) -> None:
    words = ["run", "--arch=transformer", f"--corpus=jsonl:{tiny_corpus}", *SETTINGS, "--steps=30"]
    words += ["--set=train.dtype=float32", "--set=train.compile=off"]
    assert golfreg(*words, f"--runs={tmp_path / 'whole'}").returncode == 0
    assert golfreg(*words, f"--runs={tmp_path / 'cut'}").returncode == 0
    (whole,), (cut,) = (tmp_path / "whole").iterdir(), (tmp_path / "cut").iterdir()
    # Back to the state of a kill after step 20: the newer checkpoint and all later stages are gone.
    newest = max((cut / "train").glob("step_*"))
    newest.unlink()
    for path in [*(cut / "stages").glob("*.toml"), cut / "record.toml"]:
        if path.name != "data.toml":
            path.unlink()
    assert golfreg("run", "--resume", cut).returncode == 0
    curves = [[row["loss"] for row in rows(run_dir)] for run_dir in (whole, cut)]
    assert curves[0] == pytest.approx(curves[1], abs=5e-3)
