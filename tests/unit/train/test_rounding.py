"""Late quantization-aware training: what it computes, what it leaves alone, and what it is for."""

from functools import partial

import pytest
import torch
from torch.func import functional_call

from golfreg.api import PluginError, Role
from golfreg.builtin.quantizers.rowwise import RowwiseConfig, rowwise
from golfreg.config.plan import Chosen
from golfreg.train.rounding import Rounding

SETTINGS = {"bits": 3, "embedding_bits": 4, "raw_elements": 0}
QUANTIZER = Chosen("quantizer", "int3", "golfreg.builtin.quantizers.rowwise:rowwise", "", "", "", SETTINGS)


def rounding_of(tiny, model, compiled=False):
    return Rounding(dict(model.named_parameters()), tiny.roles(model), QUANTIZER, compiled=compiled)


def make(tiny, run_dir, fraction, **settings):
    training = tiny.make_training(tiny.make_job(run_dir, fake_quant_fraction=fraction, ema_decay=0.0, **settings))
    if fraction:
        training.steps.rounding = rounding_of(tiny, training.state.model)
    return training


def quantized_loss(tiny, model, quantized):
    """Mean loss on fixed tokens, of the weights themselves or as the quantizer gives them back."""
    weights = {name: p.detach() for name, p in model.named_parameters()}
    if quantized:
        config = RowwiseConfig(**SETTINGS)
        weights = rowwise.dequantize(rowwise.quantize(weights, tiny.roles(model), {}, None, config), config)
    tokens, targets = (torch.from_numpy(a) for a in tiny.CountedBatches().read(0, 64 * tiny.WINDOW))
    model.eval()
    with torch.no_grad():
        logits = functional_call(_Whole(model), {f"model.{n}": w for n, w in weights.items()}, (tokens,))
    return float(torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten()))


class _Whole(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, tokens):
        return self.model.head(self.model.features(tokens))


@pytest.mark.parametrize("micro_batches", [1, 2])
def test_loss_and_gradients_are_those_of_rounded_weights_with_a_straight_gradient(tiny, tmp_path, micro_batches):
    training = make(tiny, tmp_path, 1.0, steps=1, micro_batch_tokens=128 // micro_batches)
    model, steps = training.state.model.eval(), training.steps
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    leaves = {name: w.clone().requires_grad_() for name, w in before.items()}
    config, roles = RowwiseConfig(**SETTINGS), tiny.roles(model)
    used = {f"model.{n}": rowwise.fake_quant(w, roles[n], config) if w.ndim > 1 else w for n, w in leaves.items()}
    tokens, targets = (torch.from_numpy(a) for a in tiny.CountedBatches().read(0, 128))
    logits = functional_call(_Whole(model), used, (tokens,))
    expected = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())
    expected.backward()
    with steps.rounding.weights():
        loss = steps.gradients(steps._micro_batches(128, tiny.WINDOW), 128)
        assert not torch.equal(model.up[0].weight, before["up.0.weight"])
    torch.testing.assert_close(loss, expected.detach(), rtol=1e-5, atol=0)
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, before[name]), name
        torch.testing.assert_close(parameter.grad, leaves[name].grad, rtol=1e-4, atol=1e-7)


def test_a_failing_step_leaves_the_weights_as_they_were(tiny, tmp_path):
    model = make(tiny, tmp_path, 0.0).state.model
    before = model.up[0].weight.detach().clone()
    with pytest.raises(ZeroDivisionError), rounding_of(tiny, model).weights():
        raise ZeroDivisionError
    assert torch.equal(model.up[0].weight, before)


def test_it_makes_what_quantization_costs_small(tiny, tmp_path):
    costs = {}
    for fraction in (0.0, 0.3):
        (tmp_path / str(fraction)).mkdir()
        training = make(tiny, tmp_path / str(fraction), fraction, steps=150, matrix_lr=0.05)
        training.run()
        model = training.state.model
        costs[fraction] = quantized_loss(tiny, model, True) - quantized_loss(tiny, model, False)
    assert costs[0.0] > 0.1
    assert costs[0.3] < 0.5 * costs[0.0]


def test_resumed_in_its_midst_training_ends_with_the_same_bits(tiny, tmp_path):
    ends = []
    for interrupted in (False, True):
        run_dir = tmp_path / str(interrupted)
        run_dir.mkdir()
        training = make(tiny, run_dir, 0.5, steps=20, checkpoint_steps=14)
        training.run()
        if interrupted:
            training.checkpoints.paths()[-1].unlink()  # as if killed after step 14, four steps into the rounding
            training = make(tiny, run_dir, 0.5, steps=20, checkpoint_steps=14)
            training.run()
            assert training.clock.resumed == 1
        ends.append(training.state.weights())
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_a_checkpoint_holds_the_weights_under_their_names_and_not_the_rounded_ones(tiny, tmp_path):
    training = make(tiny, tmp_path, 1.0, steps=3)
    training.run()
    found = training.checkpoints.newest(pytest.fail).tensors
    weight = found["weight/up.0.weight"]
    assert weight.unique().numel() > weight.numel() // 2
    assert {name for name in found if name.startswith("weight/")} == {
        f"weight/{name}" for name, _ in training.state.model.named_parameters()
    }


def test_only_the_last_part_of_the_run_is_rounded(tiny, tmp_path):
    training = make(tiny, tmp_path, 0.25, steps=8)
    entered = []
    plain = training.steps.rounding.weights
    training.steps.rounding.weights = lambda: entered.append(training.state.step) or plain()
    training.run()
    assert entered == [6, 7]


def test_warming_up_rounds_too_and_puts_everything_back(tiny, tmp_path):
    training = make(tiny, tmp_path, 0.25, steps=8)
    before = {name: p.detach().clone() for name, p in training.state.model.named_parameters()}
    entered = []
    plain = training.steps.rounding.weights
    training.steps.rounding.weights = lambda: entered.append(1) or plain()
    training.steps.warm_up()
    assert entered == [1, 1]
    assert all(torch.equal(p, before[name]) for name, p in training.state.model.named_parameters())


def test_a_quantizer_that_changes_the_shape_is_refused_before_training(tiny, monkeypatch):
    monkeypatch.setattr(type(rowwise), "fake_quant", lambda self, weight, role, config: weight.T)
    with pytest.raises(PluginError, match="`int3` makes"):
        Rounding({"w": torch.zeros(3, 4)}, {"w": Role("qkv")}, QUANTIZER, compiled=False)


def test_rounding_compiles_to_one_graph_that_gives_the_same(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager", fullgraph=True))
    model = make(tiny, tmp_path, 0.0).state.model
    tokens, targets = (torch.from_numpy(a) for a in tiny.CountedBatches().read(0, 64))
    found = []
    for compiled in (False, True):
        rounding = rounding_of(tiny, model.eval(), compiled)
        with rounding.weights():
            weights = [p.detach().clone() for p in rounding.parameters]
            logits = model.head(model.features(tokens))
            torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten()).backward()
        found.append([*weights, *(p.grad.clone() for p in rounding.parameters)])
        model.zero_grad()
    for plain, other in zip(*found, strict=True):
        torch.testing.assert_close(plain, other, rtol=1e-5, atol=1e-7)
