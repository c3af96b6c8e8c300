import errno
import json
import math

import numpy as np
import pytest
import torch

from golfreg.api import AnswerIsNo
from golfreg.train import checkpoint, files
from golfreg.train.clock import read_heartbeat
from golfreg.train.interrupt import Interrupted


def lines(run_dir):
    return [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]


def test_training_lowers_the_loss_and_says_what_it_did(tiny, tmp_path):
    result = tiny.make_training(tiny.make_job(tmp_path, steps=150, matrix_lr=0.05)).run()
    rows = lines(tmp_path)
    assert [row["step"] for row in rows] == list(range(1, 151))
    assert rows[0]["loss"] > 3.3
    assert rows[-1]["loss"] == pytest.approx(result["final_loss"], abs=1e-6)
    assert result["final_loss"] < 1.6  # three next tokens are equally likely: ln 3 = 1.10 nats
    assert result["steps"] == 150
    assert result["tokens"] == 150 * 128 == rows[-1]["tokens"]
    assert result["parameters"] == 32 * 16 + 4 * 16 * 32 + 16
    assert result["resumed"] == 0
    assert result["peak_memory_bytes"] > 10**7
    assert result["train_seconds"] > 0


def test_micro_batches_train_as_the_full_batch_does(tiny, tmp_path):
    weights = []
    for i, micro in enumerate((0, 32)):
        (tmp_path / str(i)).mkdir()
        training = tiny.make_training(tiny.make_job(tmp_path / str(i), steps=5, micro_batch_tokens=micro))
        training.state.model.eval()  # no dropout
        training.run()
        weights.append(training.state.weights())
    for name in weights[0]:
        torch.testing.assert_close(weights[0][name], weights[1][name], rtol=0, atol=1e-5)


def test_a_timed_run_uses_its_time_and_never_exceeds_it(tiny, tmp_path):
    result = tiny.make_training(tiny.make_job(tmp_path, seconds=1.5), delay_seconds=0.02).run()
    assert 0.7 < result["train_seconds"] <= 1.5
    rates = [row["rate"] for row in lines(tmp_path)]
    assert max(rates) == 1.0
    assert rates[-1] < 0.15
    assert rates[-20:] == sorted(rates[-20:], reverse=True)


def test_a_time_that_is_over_before_the_first_step_is_the_answer_no(tiny, tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "heartbeat").write_text("9.0 1")
    with pytest.raises(AnswerIsNo, match="no training step"):
        tiny.make_training(tiny.make_job(tmp_path, seconds=5.0)).run()


@pytest.mark.parametrize("checkpoint_steps", [4, 0])
def test_a_loss_that_is_no_number_stops_with_the_step_and_keeps_the_last_good_checkpoint(
    tiny, tmp_path, checkpoint_steps
):
    training = tiny.make_training(tiny.make_job(tmp_path, steps=50, checkpoint_steps=checkpoint_steps))
    plain = training.steps.step

    def poisoned(elapsed):
        if training.state.step == 10:
            with torch.no_grad():
                training.state.model.gain[3] = math.nan
        return plain(elapsed)

    training.steps.step = poisoned
    with pytest.raises(AnswerIsNo, match="the loss is nan at step 11") as caught:
        training.run()
    kept = training.checkpoints.paths()
    if checkpoint_steps:
        assert [p.name[:13] for p in kept] == ["step_00000004", "step_00000008"]
        assert str(kept[-1]) in caught.value.hint
        tensors = training.checkpoints.newest(pytest.fail).tensors
        assert all(torch.isfinite(t).all() for name, t in tensors.items() if name.startswith("weight/"))
    else:
        assert not kept
        assert "no checkpoint" in caught.value.hint
    assert lines(tmp_path)[-1]["step"] == 10


def test_an_infinite_gradient_stops_before_its_weights_are_saved(tiny, tmp_path):
    training = tiny.make_training(tiny.make_job(tmp_path, steps=50, checkpoint_steps=1))
    plain = training.steps.gradients

    def poisoned(micro_batches, step_tokens):
        loss = plain(micro_batches, step_tokens)
        if training.state.step == 6:
            training.state.model.gain.grad[0] = math.inf
        return loss

    poisoned.compiled = False
    training.steps.gradients = poisoned
    with pytest.raises(AnswerIsNo, match="gradient norm is inf at step 7"):
        training.run()
    assert training.checkpoints.newest(pytest.fail).numbers["step"] == 6


def test_a_full_disk_while_checkpointing_is_a_warning(tiny, tmp_path, monkeypatch, capsys):
    real, calls = files.save_file, []

    def sometimes_full(*args):
        calls.append(1)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(*args)

    monkeypatch.setattr(files, "save_file", sometimes_full)
    result = tiny.make_training(tiny.make_job(tmp_path, steps=12, checkpoint_steps=4)).run()
    notes = [e["text"] for e in map(json.loads, capsys.readouterr().out.splitlines()) if e["event"] == "note"]
    assert result["steps"] == 12
    assert notes == ["warning: no checkpoint at step 8: No space left on device"]


def test_a_finished_run_that_is_run_again_trains_no_more_and_charges_no_more(tiny, tmp_path):
    first = tiny.make_training(tiny.make_job(tmp_path, seconds=0.5))
    result = first.run()
    again = tiny.make_training(tiny.make_job(tmp_path, seconds=0.5))
    repeated = again.run()
    assert repeated["steps"] == result["steps"]
    assert repeated["train_seconds"] == result["train_seconds"]
    assert repeated["final_loss"] == result["final_loss"]
    for name, tensor in first.state.weights().items():
        assert torch.equal(again.state.weights()[name], tensor), name


def test_warming_up_changes_nothing_and_costs_no_training_time(tiny, tmp_path, monkeypatch):
    weights = []
    for i, compiled in enumerate((False, True)):
        (tmp_path / str(i)).mkdir()
        training = tiny.make_training(tiny.make_job(tmp_path / str(i), steps=6), delay_seconds=0.05)
        training.steps.gradients.compiled = compiled
        result = training.run()
        assert (result["compile_seconds"] > 0.1) is compiled
        weights.append(training.state.save()[0])
    assert result["train_seconds"] < 0.05 * 6 + 0.15 + result["compile_seconds"] / 2
    assert weights[0].keys() == weights[1].keys()
    for name in weights[0]:
        assert torch.equal(weights[0][name], weights[1][name]), name


def test_a_resumed_run_is_charged_the_time_that_it_lost(tiny, tmp_path, capsys):
    training = tiny.make_training(tiny.make_job(tmp_path, steps=20, checkpoint_steps=10))
    training.run()
    newest = training.checkpoints.paths()[-1]
    newest.unlink()  # as if killed between step 10 and the end, 40 seconds after it
    (tmp_path / "train" / "heartbeat").write_text("40.0 1")
    result = tiny.make_training(tiny.make_job(tmp_path, steps=20, checkpoint_steps=10)).run()
    assert 40.0 < result["train_seconds"] < 45.0
    assert result["resumed"] == 1
    assert read_heartbeat(tmp_path / "train" / "heartbeat")[0] >= 40.0
    assert [row["step"] for row in lines(tmp_path)] == list(range(1, 21))
    assert "goes on from step 10" in capsys.readouterr().out


def test_all_random_generators_are_put_back(tiny, tmp_path):
    training = tiny.make_training(tiny.make_job(tmp_path, steps=4))
    np.random.standard_normal()  # leaves a second value waiting
    tensors, numbers = training.state.save()
    copies = {name: t.clone() for name, t in tensors.items()}
    drawn = torch.rand(3), np.random.standard_normal(3), np.random.rand(3)
    training.state.load(copies, numbers)
    again = torch.rand(3), np.random.standard_normal(3), np.random.rand(3)
    assert torch.equal(drawn[0], again[0])
    assert np.array_equal(drawn[1], again[1])
    assert np.array_equal(drawn[2], again[2])


def test_a_checkpoint_of_a_run_without_an_average_does_not_fit_one_with_it(tiny, tmp_path):
    training = tiny.make_training(tiny.make_job(tmp_path, ema_decay=0.0))
    tensors, numbers = training.state.save()
    with pytest.raises(checkpoint.InputError, match="average/"):
        tiny.make_training(tiny.make_job(tmp_path)).state.load(tensors, numbers)


def test_without_its_launcher_training_saves_its_work_and_leaves(tiny, tmp_path, monkeypatch):
    training = tiny.make_training(tiny.make_job(tmp_path, steps=200), delay_seconds=0.02)

    def gone(job, event, **values):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr(type(training.job), "tell", gone)
    with pytest.raises(Interrupted) as caught:
        training.run()
    assert caught.value.exit_code == 143
    assert training.checkpoints.newest(pytest.fail).numbers["step"] == training.state.step < 200
