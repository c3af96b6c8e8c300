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


def test_killed_again_and_again_training_ends_with_the_same_bits(tmp_path, undisturbed):
    for step in (7, 21, 42):
        process = start(tmp_path, delay_seconds=0.01)
        wait_for_step(tmp_path, step)
        time.sleep(0.03)
        process.kill()
        assert finish(process)[0] == -signal.SIGKILL
    code, events, err = finish(start(tmp_path))
    assert code == 0, err
    assert events[-1]["resumed"] == 3
    assert digests(tmp_path) == undisturbed


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_checkpoints_says_how_to_resume_and_loses_nothing(tmp_path, undisturbed, number, code):
    process = start(tmp_path, delay_seconds=0.01)
    wait_for_step(tmp_path, 14)
    process.send_signal(number)
    returned, events, err = finish(process)
    assert returned == code, err
    assert f"golfreg run --resume {tmp_path}" in events[-1]["hint"]
    left_at = int(events[-1]["message"].rsplit(" ", 1)[1])
    assert left_at >= 14
    code, events, err = finish(start(tmp_path))
    assert code == 0, err
    assert f"goes on from step {left_at};" in events[0]["text"]
    assert digests(tmp_path) == undisturbed


def test_killed_while_checkpoints_are_written_training_ends_with_the_same_bits(tmp_path, undisturbed):
    process = start(tmp_path, delay_seconds=0.01)
    deadline = time.monotonic() + 60
    while not (seen := list(tmp_path.glob("train/.step_000000[1-4]*.tmp"))) and process.poll() is None:
        assert time.monotonic() < deadline
    process.kill()
    finish(process)
    assert seen
    assert finish(start(tmp_path))[0] == 0
    assert not list(tmp_path.glob("train/.step_*.tmp"))
    assert digests(tmp_path) == undisturbed


def test_without_its_launcher_training_saves_its_work_and_leaves(tmp_path, undisturbed):
    process = start(tmp_path, delay_seconds=0.03)
    process.stdout.close()  # the next line that it prints is a broken pipe
    process.wait(timeout=60)
    assert list(tmp_path.glob("train/step_*.safetensors"))
    process.stderr.close()
    assert finish(start(tmp_path))[0] == 0
    assert digests(tmp_path) == undisturbed
