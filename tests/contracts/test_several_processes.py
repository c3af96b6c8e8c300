"""``golfreg run --nproc 2``: as a user starts it, loses a process of it, and goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from tests.conftest import TINY, Golfreg


def arguments(corpus: Path, runs: Path) -> list[str]:
    return [
        "run", "--arch=mamba3", "--quantizer=int8", "--codec=zlib", f"--corpus=jsonl:{corpus}", f"--runs={runs}",
        "--steps=60", "--set=train.checkpoint_steps=4", *TINY, "--nproc=2", "--set=train.micro_batch_tokens=32",
    ]  # fmt: skip


def trains(run_dir: Path) -> list[int]:
    """Process ids of the two that train."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"train" in words and os.fsencode(run_dir) in words:
            found.append(int(path.parent.name))
    return sorted(found)


@pytest.mark.slow
def test_a_run_of_two_processes_says_which_was_lost_and_goes_on_to_its_record(
    golfreg: Golfreg, tmp_path: Path, tiny_corpus: Path, cache: Path
) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "golfreg", *arguments(tiny_corpus, tmp_path / "runs")],
        env={**os.environ, "GOLFREG_CACHE": str(cache), "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while not list((tmp_path / "runs").glob("*/train/step_*")):
        assert time.monotonic() < deadline
        assert process.poll() is None
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


def test_processes_on_several_hosts_are_refused(golfreg: Golfreg) -> None:
    done = golfreg("run", "--dry-run", *TINY, WORLD_SIZE="16", LOCAL_WORLD_SIZE="8", RANK="0")
    assert done.returncode == 2
    assert "several hosts" in done.stderr


def test_torchruns_other_processes_leave_the_run_to_the_first(golfreg: Golfreg, tmp_path: Path) -> None:
    done = golfreg("run", *TINY, WORLD_SIZE="2", LOCAL_WORLD_SIZE="2", RANK="1")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not (tmp_path / "runs").exists()
