"""Real processes, really killed."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("tiny_training.py")
OPTIONS = {"steps": 60, "checkpoint_steps": 7, "micro_batch_tokens": 64}


def start(run_dir, delay_seconds=0.0):
    run_dir.mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, str(PROGRAM), str(run_dir), str(delay_seconds), json.dumps(OPTIONS)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ, OMP_NUM_THREADS="1"),
    )


def finish(process):
    out, err = process.communicate(timeout=120)
    return process.returncode, [json.loads(line) for line in out.splitlines()], err


def wait_for_step(run_dir, step):
    """Until a checkpoint of that step or a later one is there."""
    deadline = time.monotonic() + 60
    while not any(int(p.name[5:13]) >= step for p in run_dir.glob("train/step_*.safetensors")):
        assert time.monotonic() < deadline
        time.sleep(0.005)


def digests(run_dir):
    model = hashlib.sha256((run_dir / "model.safetensors").read_bytes()).hexdigest()
    rows = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    return model, [(row["step"], row["loss"], row["gradient_norm"]) for row in rows]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("undisturbed")
    code, events, err = finish(start(run_dir))
    assert code == 0, err
    assert events[-1]["steps"] == 60
    return digests(run_dir)


def leave(process, number):
    """Send the signal; exit code and last event."""
    process.send_signal(number)
    code, events, _ = finish(process)
    return code, events[-1] if events else None


def test_killed_anywhere_training_ends_with_the_same_bits(tmp_path, undisturbed):
    process = start(tmp_path, delay_seconds=0.01)
    wait_for_step(tmp_path, 14)
    time.sleep(0.03)
    assert leave(process, signal.SIGKILL)[0] == -signal.SIGKILL

    process = start(tmp_path, delay_seconds=0.01)  # while a checkpoint is being written
    deadline = time.monotonic() + 60
    while not any(name.endswith(".tmp") for name in os.listdir(tmp_path / "train")) and process.poll() is None:
        assert time.monotonic() < deadline
    assert leave(process, signal.SIGKILL)[0] == -signal.SIGKILL

    code, events, err = finish(start(tmp_path))
    assert code == 0, err
    assert events[-1]["resumed"] == 2
    assert not list(tmp_path.glob("train/.step_*.tmp"))
    assert digests(tmp_path) == undisturbed


def test_a_signal_checkpoints_says_how_to_resume_and_loses_nothing(tmp_path, undisturbed):
    left_at = 0
    for number, expected in ((signal.SIGTERM, 143), (signal.SIGINT, 130)):
        process = start(tmp_path, delay_seconds=0.01)
        wait_for_step(tmp_path, left_at + 7)
        code, event = leave(process, number)
        assert code == expected
        assert f"golfreg run --resume {tmp_path}" in event["hint"]
        assert int(event["message"].rsplit(" ", 1)[1]) > left_at
        left_at = int(event["message"].rsplit(" ", 1)[1])
    code, events, err = finish(start(tmp_path))
    assert code == 0, err
    assert f"goes on from step {left_at};" in events[0]["text"]
    assert digests(tmp_path) == undisturbed
