"""Two processes that really train together (gloo), are interrupted and lose one another."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from golfreg.api import EnvironmentFault
from golfreg.train.processes import Processes

PROGRAM = Path(__file__).with_name("tiny_training.py")
OPTIONS = {
    "steps": 40, "checkpoint_steps": 7, "nproc": 2, "micro_batch_tokens": 32, "batch_tokens_schedule": "64:0.3",
    "sequence_length_schedule": "8:0.5", "muon_coefficients": "polar_express", "order": "sequential",
}  # fmt: skip


STARTED = []


@pytest.fixture(autouse=True)
def nothing_is_left_behind():
    yield
    while STARTED:
        with STARTED.pop() as process:
            process.kill()


def start(run_dir, delay_seconds=0.0, **changes):
    run_dir.mkdir(exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, str(PROGRAM), str(run_dir), str(delay_seconds), json.dumps({**OPTIONS, **changes})],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(os.environ, OMP_NUM_THREADS="1"),
    )
    STARTED.append(process)
    return process


def finish(process, timeout=120):
    out, err = process.communicate(timeout=timeout)
    return process.returncode, [json.loads(line) for line in out.splitlines()], err


def wait_for_step(run_dir, step):
    """Until a checkpoint of that step or a later one is there."""
    deadline = time.monotonic() + 180
    while not any(int(p.name[5:13]) >= step for p in run_dir.glob("train/step_*.safetensors")):
        assert time.monotonic() < deadline
        time.sleep(0.005)


def rows(run_dir):
    found = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    keys = ("step", "loss", "gradient_norm", "tokens", "batch_tokens", "sequence_length")
    return [tuple(row[key] for key in keys) for row in found]


def digest(run_dir):
    return hashlib.sha256((run_dir / "model.safetensors").read_bytes()).hexdigest()


def others_once_started(process):
    """Process ids of what it started."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    deadline = time.monotonic() + 180
    while not (found := [int(pid) for pid in children.read_text().split()]):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return found


@pytest.fixture(scope="module")
def disturbed(tmp_path_factory):
    """A run of two processes that lost one of them, and then went on to its end; how each part ended."""
    run_dir = tmp_path_factory.mktemp("disturbed")
    process = start(run_dir, delay_seconds=0.02)
    (other,) = others_once_started(process)
    wait_for_step(run_dir, 14)
    begun = time.monotonic()
    os.kill(other, signal.SIGKILL)
    lost = (*finish(process, timeout=180), time.monotonic() - begun)
    return run_dir, lost, finish(start(run_dir))


def test_a_lost_process_ends_the_run_in_one_message_within_thirty_seconds(disturbed):
    run_dir, (code, events, err, seconds), _ = disturbed
    assert code == 2, err
    assert seconds < 30
    assert [event["event"] for event in events].count("error") == 1
    assert "process 1 of the 2 that train (counted from 0) was ended by SIGKILL" in events[-1]["message"]
    assert f"golfreg run --resume {run_dir}" in events[-1]["hint"]


def test_two_processes_have_the_loss_curve_of_one_though_one_of_them_was_lost(tiny, tmp_path, disturbed):
    run_dir, _, (code, events, err) = disturbed
    assert code == 0, err
    assert err == ""
    assert (events[-1]["processes"], events[-1]["resumed"]) == (2, 1)
    tiny.make_training(tiny.make_job(tmp_path, **{**OPTIONS, "nproc": 1})).run()
    alone, together = rows(tmp_path), rows(run_dir)
    assert len(alone) == len(together) == 40
    for one, two in zip(alone, together, strict=True):
        assert two == pytest.approx(one, abs=1e-5)
    assert [row[4:] for row in (alone[0], alone[11], alone[12], alone[19], alone[20], alone[39])] == [
        (64, 8), (64, 8), (128, 8), (128, 8), (128, 16), (128, 16)
    ]  # fmt: skip
    assert alone[39][3] == 12 * 64 + 28 * 128


def test_fewer_gpus_than_were_planned_are_named_before_anything_starts(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(EnvironmentFault, match="planned on 8 GPUs and torch finds 1"):
        Processes(8, "cuda")


@pytest.mark.slow
def test_interrupted_or_without_a_lost_process_two_end_with_the_bits_of_no_interruption(tmp_path, disturbed):
    interrupted, undisturbed = tmp_path / "interrupted", tmp_path / "undisturbed"
    process = start(interrupted, delay_seconds=0.02)
    wait_for_step(interrupted, 7)
    process.send_signal(signal.SIGTERM)
    code, events, err = finish(process, timeout=180)
    assert code == 143, err
    assert [event["event"] for event in events].count("error") == 1
    assert 7 <= int(events[-1]["message"].rsplit(" ", 1)[1]) < 40
    for run_dir in (interrupted, undisturbed):
        code, _, err = finish(start(run_dir))
        assert code == 0, err
    assert rows(interrupted) == rows(undisturbed) == rows(disturbed[0])
    assert digest(interrupted) == digest(undisturbed) == digest(disturbed[0])


@pytest.mark.slow
def test_a_loss_that_is_no_number_ends_all_processes_with_one_message(tmp_path):
    process = start(tmp_path, embedding_lr=1e30)
    (other,) = others_once_started(process)
    code, events, err = finish(process, timeout=180)
    assert code == 1, err
    assert [event["event"] for event in events].count("error") == 1
    assert "training diverged" in events[-1]["message"]
    with pytest.raises(ProcessLookupError):
        os.kill(other, 0)
