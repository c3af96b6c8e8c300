import dataclasses
import io
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from golfreg.api import ConfigError, EnvironmentFault, PluginError, Role
from golfreg.train import calibrate, calibration_tokens
from golfreg.train.files import write_tensors


@pytest.fixture
def model(tiny):
    torch.manual_seed(0)
    return tiny.TinyModel().eval()


@pytest.fixture
def batches(tiny):
    generator = torch.Generator().manual_seed(3)
    return list(torch.randint(tiny.VOCAB, (3, 4, tiny.WINDOW), generator=generator).unbind())


def direct(model, tokens_BT):
    """The input of each linear map, written out."""
    inputs = {}
    x_BTD = model.embedding(tokens_BT)
    for i, (up, down) in enumerate(zip(model.up, model.down, strict=True)):
        past_BTD = x_BTD.cumsum(1) / torch.arange(1, x_BTD.size(1) + 1)[:, None]
        hidden = F.relu(past_BTD @ up.weight.T)
        inputs[f"up.{i}.weight"], inputs[f"down.{i}.weight"] = past_BTD, hidden
        x_BTD = x_BTD + hidden @ down.weight.T
    inputs["embedding.weight"] = x_BTD * model.gain
    return inputs


def test_second_moments_equal_a_direct_computation(tiny, model, batches):
    found = calibrate.input_second_moment(model, tiny.roles(model), batches)
    with torch.no_grad():
        inputs = direct(model, torch.cat(batches))
    assert found.keys() == inputs.keys()
    for name, x in inputs.items():
        x_NC = x.flatten(0, 1).double()
        torch.testing.assert_close(found[name].double(), x_NC.T @ x_NC / len(x_NC), rtol=1e-5, atol=1e-7)


class Casting(torch.nn.Module):
    """Casts its weight before each product, as mixed precision does, and uses it twice."""

    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding(8, 4)
        self.mix = torch.nn.Parameter(torch.eye(4) * 0.5)
        self.unused = torch.nn.Parameter(torch.eye(4))

    def features(self, tokens_BT):
        x = self.embedding(tokens_BT).bfloat16()
        for _ in range(2):
            x = F.linear(x, self.mix.to(torch.bfloat16))
        return x

    def head(self, x_BTD):
        return x_BTD


ROLES = {"embedding.weight": Role("embedding"), "mix": Role("out"), "unused": Role("scalar")}


def test_a_weight_that_is_cast_and_used_twice_gets_the_mean_over_both_uses():
    model = Casting()
    tokens_BT = torch.arange(8)[None]
    x_NC = model.embedding.weight.detach().bfloat16().float()
    expected = (x_NC.T @ x_NC + (x_NC * 0.5).T @ (x_NC * 0.5)) / 16
    found = calibrate.input_second_moment(model, ROLES, [tokens_BT])
    assert found.keys() == {"mix"}  # an embedding that is only looked up has no input
    torch.testing.assert_close(found["mix"], expected, rtol=1e-5, atol=1e-6)


def test_a_matrix_that_no_linear_map_used_is_named():
    with pytest.raises(PluginError, match="unused"):
        calibrate.input_second_moment(Casting(), {**ROLES, "unused": Role("qkv")}, [torch.arange(8)[None]])


class FakeDataset:
    def __init__(self, vocab_size, train_tokens=700):
        self.vocab_size, self.train_tokens, self.train_shards, self.bos_id = vocab_size, train_tokens, (), None


@pytest.fixture
def job(tiny, tmp_path, model, monkeypatch):
    """A job whose dataset and model are the tiny ones."""
    write_tensors(tmp_path / "model.safetensors", dict(model.named_parameters()))
    target = type("Target", (), {"roles": staticmethod(tiny.roles)})
    job = tiny.make_job(tmp_path, needs=("input_second_moment",), calibration_tokens=400)
    monkeypatch.setattr(type(job.plan.architecture), "load", lambda chosen: target)
    monkeypatch.setattr(calibrate, "open_dataset", lambda path: FakeDataset(tiny.VOCAB))
    monkeypatch.setattr(
        calibrate, "Loader", lambda shards, batch_tokens, window, seed: tiny.CountedBatches(batch_tokens)
    )
    monkeypatch.setattr(calibrate, "build", lambda plan, dataset: tiny.TinyModel())
    return job


def test_the_stage_writes_statistics_of_the_trained_model(tiny, job, model):
    result = calibrate.run(job)
    statistics = load_file(job.run_dir / "statistics.safetensors")
    batches = tiny.CountedBatches(128)
    tokens_BT = torch.from_numpy(np.concatenate([batches.next()[0] for _ in range(3)]))
    expected = calibrate.input_second_moment(model, tiny.roles(model), [tokens_BT])
    assert result["tokens"] == 384
    assert result["statistics"] == 5
    assert 0 < result["calibrate_seconds"] < 30
    assert statistics.keys() == {f"input_second_moment/{name}" for name in expected}
    for name, tensor in expected.items():
        torch.testing.assert_close(statistics[f"input_second_moment/{name}"], tensor)


def test_a_statistic_that_golfreg_does_not_know_is_named(tiny, tmp_path):
    with pytest.raises(PluginError, match="fisher"):
        calibrate.run(tiny.make_job(tmp_path, needs=("input_second_moment", "fisher")))


def test_weights_are_not_read_before_the_launcher_says_go(job, monkeypatch):
    weights = job.run_dir / "model.safetensors"
    data = weights.read_bytes()
    weights.unlink()

    class Line(io.StringIO):
        def readline(self):
            weights.write_bytes(data)  # training ends here
            return "go\n"

    monkeypatch.setenv("GOLFREG_WAIT_FOR_GO", "1")
    monkeypatch.setattr(sys, "stdin", Line())
    assert calibrate.run(job)["statistics"] == 5


def test_without_its_launcher_calibration_leaves(job, monkeypatch):
    monkeypatch.setenv("GOLFREG_WAIT_FOR_GO", "1")
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    with pytest.raises(EnvironmentFault, match="launcher"):
        calibrate.run(job)


class Remembering(torch.nn.Module):
    """After token t comes t + 1 or t + 2, mod 8; with ``step`` it also counts what it has read."""

    def __init__(self):
        super().__init__()
        self.embedding = torch.nn.Embedding.from_pretrained(torch.eye(8))
        self.calls = []

    def features(self, tokens_BT):
        self.calls.append(tokens_BT.shape)
        return self.embedding(tokens_BT)

    def head(self, x_BTD):
        return (x_BTD.roll(1, -1) + x_BTD.roll(2, -1) - 1) * 100


class Stepping(Remembering):
    def initial_state(self, n_batch, context):
        return 0

    def step(self, tokens_BT, state):
        self.calls.append(state)
        return self.embedding(tokens_BT), state + 1


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("kind", [Remembering, Stepping])
def test_generated_text_is_drawn_from_the_model_after_a_documents_start(kind, monkeypatch):
    monkeypatch.setattr(calibration_tokens, "TOGETHER", 4)
    model = kind()
    tokens_BL = calibration_tokens.generated_tokens(model, 6, 100, 8, 3, seeded())
    assert tokens_BL.shape == (6, 100)
    assert (tokens_BL[:, 0] == 3).all()
    steps = (tokens_BL[:, 1:] - tokens_BL[:, :-1]) % 8
    assert set(steps.unique().tolist()) == {1, 2}
    assert 0.4 < (steps == 1).float().mean() < 0.6
    assert torch.equal(calibration_tokens.generated_tokens(model, 6, 100, 8, 3, seeded()), tokens_BL)
    assert not torch.equal(calibration_tokens.generated_tokens(model, 6, 100, 8, 3, seeded(1)), tokens_BL)


def test_generation_carries_the_state_on_where_the_model_can_and_reads_a_bounded_window_where_it_cannot():
    stepping, plain = Stepping(), Remembering()
    for model in (stepping, plain):
        calibration_tokens.generated_tokens(model, 2, 100, 8, None, seeded())
    assert stepping.calls == list(range(99))
    assert len(plain.calls) == 99
    assert max(shape[1] for shape in plain.calls) == calibration_tokens.WITHOUT_STATE


def test_a_model_with_a_mixer_that_has_no_state_is_read_in_windows():
    class Refusing(Stepping):
        def initial_state(self, n_batch, context):
            raise ConfigError("the mixer cannot carry its state")

    model = Refusing()
    calibration_tokens.generated_tokens(model, 1, 5, 8, 0, seeded())
    assert [tuple(shape) for shape in model.calls] == [(1, 1), (1, 2), (1, 3), (1, 4)]


def test_random_tokens_have_every_token_alike():
    tokens_BL = calibration_tokens.random_tokens(64, 1000, 8, 5, seeded())
    assert (tokens_BL[:, 0] == 5).all()
    counts = tokens_BL[:, 1:].flatten().bincount(minlength=8)
    assert (counts / counts.sum() - 1 / 8).abs().max() < 0.01


@pytest.mark.parametrize("source", ["generated", "random"])
def test_other_sources_read_no_data_and_keep_the_budget(tiny, job, monkeypatch, source):
    def no_data(*arguments, **options):
        raise AssertionError("training data was opened")

    plain = calibrate.run(job)
    of_train = load_file(job.run_dir / "statistics.safetensors")
    monkeypatch.setattr(calibrate, "Loader", no_data)
    train = dataclasses.replace(job.plan.spec.train, calibration_source=source)
    plan = dataclasses.replace(job.plan, spec=dataclasses.replace(job.plan.spec, train=train))
    result = calibrate.run(dataclasses.replace(job, plan=plan))
    assert (result["source"], result["statistics"]) == (source, 5)
    assert result["tokens"] == 400 // tiny.WINDOW * tiny.WINDOW
    statistics = load_file(job.run_dir / "statistics.safetensors")
    assert all(torch.isfinite(t).all() for t in statistics.values())
    assert plain["source"] == "train"
    assert all(not torch.equal(tensor, statistics[name]) for name, tensor in of_train.items())
