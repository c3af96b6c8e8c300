"""``golfreg run --nproc 2`` as a user starts it, loses a process of it, and goes on: on CPU cores or on two GPUs."""

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

from tests.conftest import TINY, Golfreg

DEVICES = [pytest.param("cpu", marks=pytest.mark.slow), pytest.param("cuda", marks=pytest.mark.gpu)]
SMALL = [
    "--arch=transformer", "--quantizer=int8", "--codec=zlib", "--tokenizer=bytes", "--steps=60",
    "--set=train.checkpoint_steps=4", "--set=train.sequence_length=128", "--set=train.batch_tokens=1024",
    "--set=train.micro_batch_tokens=256", "--set=train.warmup_steps=2", "--set=train.dtype=float32",
    "--set=architecture.n_layers=2", "--set=architecture.d_model=64", "--set=mixer.n_heads=2",
    "--set=mixer.n_kv_heads=1", "--set=score.batch_tokens=2048", "--set=score.probes=2",
]  # fmt: skip
CLOSE = {"cpu": 1e-5, "cuda": 5e-3}
"""How far losses of one and two processes may be apart: a GPU multiplies in TF32, and adds in no fixed order."""


def arguments(corpus: Path, runs: Path, device: str, processes: int) -> list[str]:
    words = ["run", f"--corpus=jsonl:{corpus}", f"--runs={runs}", f"--device={device}", f"--nproc={processes}"]
    return [*words, *SMALL, *(["--set=train.threads=2"] if device == "cpu" else [])]


def losses(run_dir: Path) -> list[float]:
    return [json.loads(line)["loss"] for line in (run_dir / "metrics.jsonl").read_text().splitlines()]


def trains(run_dir: Path) -> list[int]:
    """Process ids of those that train."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"train" in words and os.fsencode(run_dir) in words:
            found.append(int(path.parent.name))
    return sorted(found)


@pytest.mark.parametrize("device", DEVICES)
def test_a_run_of_two_processes_says_which_was_lost_and_goes_on_to_the_curve_of_one(
    golfreg: Golfreg, tmp_path: Path, tiny_corpus: Path, cache: Path, device: str
) -> None:
    if device == "cuda":
        torch = pytest.importorskip("torch")
        if torch.cuda.device_count() < 2:
            pytest.skip("needs two CUDA devices")
    process = subprocess.Popen(
        [sys.executable, "-m", "golfreg", *arguments(tiny_corpus, tmp_path / "runs", device, 2)],
        env={**os.environ, "GOLFREG_CACHE": str(cache), "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 240
    while not list((tmp_path / "runs").glob("*/train/step_*")):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)
    (run_dir,) = (tmp_path / "runs").iterdir()
    _, second = trains(run_dir)
    begun = time.monotonic()
    os.kill(second, signal.SIGKILL)
    _, talk = process.communicate(timeout=60)
    assert process.returncode == 2, talk
    assert time.monotonic() - begun < 30
    assert "error: process 1 of the 2 that train (counted from 0) was ended by SIGKILL" in talk
    assert f"golfreg run --resume {run_dir}" in talk
    assert "Traceback" not in talk
    assert not trains(run_dir), "a process was left behind"

    done = golfreg("run", "--resume", run_dir)
    assert done.returncode == 0, done.stderr
    record = tomllib.loads((run_dir / "record.toml").read_text())
    assert record["train"]["processes"] == 2
    assert record["train"]["steps"] == 60
    assert record["train"]["interruptions"] == 1
    assert record["settings"]["train"]["nproc"] == 2
    assert record["hardware"]["gpus"] == (2 if device == "cuda" else 0)

    alone = golfreg(*arguments(tiny_corpus, tmp_path / "alone", device, 1))
    assert alone.returncode == 0, alone.stderr
    (alone_dir,) = (tmp_path / "alone").iterdir()
    assert losses(run_dir) == pytest.approx(losses(alone_dir), abs=CLOSE[device])
    assert losses(run_dir)[-1] < losses(run_dir)[0] - 0.5


def test_processes_on_several_hosts_are_refused(golfreg: Golfreg) -> None:
    done = golfreg("run", "--dry-run", *TINY, WORLD_SIZE="16", LOCAL_WORLD_SIZE="8", RANK="0")
    assert done.returncode == 2
    assert "several hosts" in done.stderr


def test_torchruns_other_processes_leave_the_run_to_the_first(golfreg: Golfreg, tmp_path: Path) -> None:
    done = golfreg("run", *TINY, WORLD_SIZE="2", LOCAL_WORLD_SIZE="2", RANK="1")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not (tmp_path / "runs").exists()
