"""A run that is killed at any moment and resumed makes the artifact of a run that was never killed."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

from tests.conftest import TINY, Golfreg

KILLER = Path(__file__).parent / "killer"
STEPS = "24"

FILES = (
    "dataset.toml", "data.toml", "step_", "model.safetensors", "train.toml", "sections.bin", "quantize.toml",
    "artifact.golfreg", "pack.toml", "score.toml", "record.toml",
)  # fmt: skip
QUICK = {"before:dataset.toml", "before:artifact.golfreg"}
"""The others take minutes together: `make test-all`. For training see tests/unit/train/test_resume.py."""
MOMENTS = [
    pytest.param(moment, marks=() if moment in QUICK else pytest.mark.slow)
    for name in FILES
    for moment in (f"before:{name}", f"after:{name}")
]


def arguments(corpus: Path, runs: Path, steps: str = STEPS) -> list[str]:
    return [
        "run", "--arch=mamba3", "--codec=lzma", f"--corpus=jsonl:{corpus}", f"--runs={runs}", f"--steps={steps}",
        "--set=train.checkpoint_steps=4", *TINY,
    ]  # fmt: skip


MOST_KILLS = 20
MADE_BY = {
    "quantize": ("sections.bin", "quantize.toml"), "pack": ("artifact.golfreg", "pack.toml"),
    "score": ("score.toml",), "record": ("record.toml",),
}  # fmt: skip
"""Files by the stage that makes them; the stages before these are trained ones and run from their start."""


def digest(runs: Path) -> str:
    (record,) = runs.glob("*/record.toml")
    return str(tomllib.loads(record.read_text())["artifact"]["sha256"])


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, tiny_corpus: Path, cache: Path) -> Path:
    """The directory of a run that was never killed."""
    runs = tmp_path_factory.mktemp("never_killed")
    subprocess.run(
        [sys.executable, "-m", "golfreg", *arguments(tiny_corpus, runs)],
        env={**os.environ, "GOLFREG_CACHE": str(cache), "OMP_NUM_THREADS": "1"},
        check=True,
        capture_output=True,
        timeout=240,
    )
    (run_dir,) = runs.iterdir()
    return run_dir


@pytest.fixture(scope="module")
def never_killed(finished: Path) -> str:
    return digest(finished.parent)


def trained(finished: Path, runs: Path, name: str) -> Path | None:
    """A copy of the finished run as it was before the stage that makes the file ``name``; None before training."""
    stages = list(MADE_BY)
    at = next((i for i, stage in enumerate(stages) if name in MADE_BY[stage]), None)
    if at is None:
        return None
    run_dir = runs / finished.name
    shutil.copytree(finished, run_dir)
    for stage in stages[at:]:
        for made in MADE_BY[stage]:
            for path in run_dir.rglob(made):
                path.unlink()
        (run_dir / "logs" / f"{stage}.log").unlink(missing_ok=True)
    return run_dir


@pytest.mark.parametrize("moment", MOMENTS)
def test_sigkill_around_each_write_changes_nothing(
    moment: str, golfreg: Golfreg, tmp_path: Path, tiny_corpus: Path, finished: Path, never_killed: str
) -> None:
    flag, runs = tmp_path / "killed", tmp_path / "runs"
    extra = {"PYTHONPATH": str(KILLER), "KILL_AT": moment, "KILL_ONCE": str(flag)}
    if "dat" in moment:
        extra["GOLFREG_CACHE"] = str(tmp_path / "own_cache")
    before = trained(finished, runs, moment.partition(":")[2])
    first = golfreg(*(("run", "--resume", before) if before else arguments(tiny_corpus, runs)), **extra)
    assert flag.exists(), f"nothing was killed at {moment}: {first.stderr}"
    assert first.returncode != 0
    (run_dir,) = runs.iterdir()
    resumed = golfreg("run", "--resume", run_dir, **extra)
    assert resumed.returncode == 0, resumed.stderr
    assert digest(runs) == never_killed
    assert not list(run_dir.rglob("*.tmp")), "a half-written file was left behind"
    log = [json.loads(line) for line in (run_dir / "observers" / "jsonl" / "events.jsonl").read_text().splitlines()]
    assert [line["step"] for line in log if line["event"] == "step"] == list(range(1, int(STEPS) + 1))
    assert [line["event"] for line in log].count("record") == 1
    assert len({line["stage"] for line in log if line["event"] == "stage"}) == 5


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_sigkill_at_random_moments_changes_nothing(
    tmp_path: Path, tiny_corpus: Path, cache: Path, never_killed: str
) -> None:
    draw = random.Random(7)
    environment = {**os.environ, "GOLFREG_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "golfreg", *arguments(tiny_corpus, tmp_path / "runs")]
    kills = 0
    while True:
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            # A slow machine may get through no stage between two kills: after some it is left to end.
            process.wait(timeout=draw.uniform(3, 9) if kills < MOST_KILLS else 240)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.wait()
            kills += 1
            time.sleep(0.2)
        made = list((tmp_path / "runs").glob("*"))
        if made:
            command = [sys.executable, "-m", "golfreg", "run", "--resume", str(made[0])]
        if process.returncode == 0 or kills > MOST_KILLS:
            break
    assert process.returncode == 0, "it never got to the end"
    assert kills >= 2
    assert digest(tmp_path / "runs") == never_killed


@pytest.mark.parametrize(
    ("number", "stage"),
    [
        (signal.SIGINT, "train"),
        pytest.param(signal.SIGTERM, "train", marks=pytest.mark.slow),
        (signal.SIGTERM, "pack"),
        pytest.param(signal.SIGINT, "score", marks=pytest.mark.slow),
    ],
)
def test_an_interrupted_run_says_how_to_go_on_and_does(
    number: signal.Signals, stage: str, golfreg: Golfreg, tmp_path: Path, tiny_corpus: Path, cache: Path
) -> None:
    steps = "100000" if stage == "train" else "2"
    process = subprocess.Popen(
        [sys.executable, "-m", "golfreg", *arguments(tiny_corpus, tmp_path / "runs", steps)],
        env={**os.environ, "GOLFREG_CACHE": str(cache), "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    sign = "*/train/step_*" if stage == "train" else f"*/logs/{stage}.log"
    deadline = time.monotonic() + 120
    while not list((tmp_path / "runs").glob(sign)) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1)
    process.send_signal(number)
    _, talk = process.communicate(timeout=60)
    assert process.returncode == 128 + number, talk
    (run_dir,) = (tmp_path / "runs").iterdir()
    assert f"golfreg run --resume {run_dir}" in talk
    assert "Traceback" not in talk
    if stage != "train":
        assert golfreg("run", "--resume", run_dir).returncode == 0
