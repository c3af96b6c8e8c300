"""The switches of ``hybrid``: what each computes, that they are off unless asked for, causal, and stateful."""

import math

import pytest
import torch
import torch.nn.functional as F

from golfreg.api.errors import ConfigError
from golfreg.builtin.architectures.hybrid import hybrid

SMALL = {"n_layers": 4, "d_model": 32, "attention": {"n_heads": 4, "n_kv_heads": 2}}
ALL = {
    "n_layers": 6, "d_model": 32, "norm_scale": True, "smear_channels": 12, "loop_layers": (1, 2), "loop_times": 3,
    "lane_layers": 2, "mlp_activation": "leaky_relu2",
    "attention": {"n_heads": 4, "n_kv_heads": 2, "rope_fraction": 0.25, "gate_channels": 12, "exclusive": True,
                  "value_residual": True},
}  # fmt: skip
MIXED = {**ALL, "mixer": "mamba3", "attention_layers": (2, 5), "mamba3": {"headdim": 16, "d_state": 8}}


def lively(model, seed=0):
    torch.manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn_like(p) * 0.2)
    model.dtype = torch.float64
    return model.double()


def tokens(length=40, seed=1):
    found = torch.randint(2, 64, (2, length), generator=torch.Generator().manual_seed(seed))
    found[:, ::15] = 1
    return found


def norm(x):
    return F.rms_norm(x, (x.shape[-1],))


def mlp(block, x):
    return block.mlp_scale * (F.leaky_relu(x @ block.mlp.up.weight.T, 0.5).square() @ block.mlp.down.weight.T)


def test_leaky_relu2_squares_and_keeps_a_quarter_of_what_is_negative(models):
    model = models.build(mlp_activation="leaky_relu2", **SMALL)[0]
    x = torch.tensor([-2.0, 0.0, 3.0])
    assert model.blocks[0].mlp.activation(x).tolist() == [1.0, 0.0, 9.0]


def test_all_switches_together_are_what_their_definitions_say(models):
    """The whole model again, from its parameters, with mixers called as they are."""
    model = lively(models.build(bos_id=1, **ALL)[0])
    seen = tokens()
    starts = seen == 1
    with torch.no_grad():
        e = model.embedding(seen)
        gate = torch.sigmoid(e[..., :12] @ model.smear_gate) * ~starts
        e = e + model.smear_scale * gate[..., None] * torch.cat((torch.zeros_like(e[:, :1]), e[:, :-1]), 1)
        x = x0 = norm(e)
        skips, lane, first = [], None, None
        order = [0, 1, 2, 1, 2, 1, 2, 3, 4, 5]
        assert model.config.order() == tuple(order)
        for at, i in enumerate(order):
            block, scale = model.blocks[i], 1 / math.sqrt(i + 1)
            if at >= 5:
                x = x + model.skip_scales[at - 5] * skips.pop()
            read = block.residual_mix[0] * x + block.residual_mix[1] * x0
            mixed, first = block.mixer(scale * norm(read), starts, first)
            mixed = block.mixer_scale * mixed
            if i < 4:
                x = read + mixed
                x = x + mlp(block, scale * norm(x))
            else:
                lane = x if lane is None else lane
                passed = mlp(block, scale * norm(lane))
                a, w = block.lane_carry, block.lane_writes
                x, lane = (
                    a[0] * x + w[0, 0] * mixed + w[1, 0] * passed,
                    a[1] * lane + w[0, 1] * mixed + w[1, 1] * passed,
                )
            if at < 5:
                skips.append(x)
        wanted = norm((x + lane) / 2)
        torch.testing.assert_close(model.features(seen), wanted, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("settings", [ALL, MIXED, {**ALL, "document_mask": False}], ids=["all", "mixed", "stream"])
def test_nothing_reaches_an_earlier_position_or_another_document(models, settings):
    model = lively(models.build(bos_id=1, **settings)[0])
    seen = tokens()
    changed = seen.clone()
    changed[:, 16:30] = (changed[:, 16:30] + 5) % 60 + 2
    with torch.no_grad():
        moved = (model(seen) - model(changed)).abs().amax((0, 2))
    assert moved[:16].max() < 1e-12
    assert moved[16:30].min() > 1e-6
    assert (moved[30:].max() < 1e-12) == settings.get("document_mask", True)


@pytest.mark.parametrize("settings", [ALL, MIXED, {**ALL, "document_mask": False}], ids=["all", "mixed", "stream"])
@pytest.mark.parametrize("length", [1, 16])
def test_steps_with_the_state_carried_are_one_pass(models, settings, length):
    model = lively(models.build(bos_id=1, **settings)[0])
    seen = tokens(18 if length == 1 else 50)
    with torch.no_grad():
        whole = model(seen).log_softmax(-1)
        first = state = model.initial_state(2, 50)
        parts = []
        for part in seen.split(length, 1):
            x, state = model.step(part, state)
            parts.append(model.head(x).log_softmax(-1))
        again = model.head(model.step(seen[:, :length], first)[0]).log_softmax(-1)
    torch.testing.assert_close(torch.cat(parts, 1), whole, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(again, parts[0], rtol=0, atol=0)
    assert len(state) == len(model.config.order()) + 1


@pytest.mark.parametrize("settings", [ALL, MIXED], ids=["all", "mixed"])
def test_every_parameter_trains_and_has_its_role(models, settings):
    model, context = models.build(bos_id=1, **settings)
    lively(model)
    model(tokens()).log_softmax(-1)[..., 0].sum().backward()
    roles = hybrid.roles(model)
    assert roles.keys() == dict(model.named_parameters()).keys()
    for name, p in model.named_parameters():
        assert p.grad is not None, name
        assert p.grad.any(), name
        if "lane" in name or "smear" in name:
            assert roles[name].name == "scalar"
    assert hybrid.flops_per_token(model.config, context) > 0


def test_switches_are_off_by_default_and_change_no_parameter(models):
    names = {name for name, _ in models.build(**SMALL)[0].named_parameters()}
    assert not [n for n in names if "lane" in n or "smear" in n or "gate" in n or "value_mix" in n]


def test_smearing_alone_adds_the_embedding_before_but_none_across_a_start(models):
    model = lively(models.build(bos_id=1, smear_channels=4, **SMALL)[0])
    seen = torch.tensor([[5, 6, 1, 7, 7]])
    with torch.no_grad():
        e = model.embedding(seen)[0]
        given = model._smeared(e[None], model._nothing(1), seen == 1)[0]
        part = torch.sigmoid(e[:, :4] @ model.smear_gate) * model.smear_scale
    torch.testing.assert_close(given[[0, 2]], e[[0, 2]], rtol=0, atol=0)
    for t in (1, 3, 4):
        torch.testing.assert_close(given[t], e[t] + part[t] * e[t - 1])


def test_a_loop_runs_its_layers_again_and_costs_that_much_more(models):
    plain, context = models.build(unet_skips=False, **SMALL)
    looped, _ = models.build(unet_skips=False, loop_layers=(1, 2), loop_times=2, **SMALL)
    unrolled, _ = models.build(unet_skips=False, **{**SMALL, "n_layers": 6})
    lively(looped)
    assert sum(p.numel() for p in plain.parameters()) == sum(p.numel() for p in looped.parameters())
    given = looped.state_dict()
    same = {
        name: given[".".join(["blocks", str((0, 1, 2, 1, 2, 3)[int(name.split(".")[1])]), *name.split(".")[2:]])]
        if name.startswith("blocks") else given[name] for name in unrolled.state_dict()
    }  # fmt: skip
    unrolled.load_state_dict(same)
    unrolled.double().dtype = torch.float64
    with torch.no_grad():
        torch.testing.assert_close(looped(tokens()), unrolled(tokens()), rtol=0, atol=0)
    assert hybrid.flops_per_token(looped.config, context) == hybrid.flops_per_token(unrolled.config, context)


@pytest.mark.parametrize(
    "settings",
    [
        {"smear_channels": -1}, {"smear_channels": 513}, {"lane_layers": 10}, {"lane_layers": -1}, {"loop_times": -1},
        {"loop_layers": (1,), "loop_times": 0}, {"loop_layers": (2, 1)}, {"loop_layers": (1, 3)},
        {"loop_layers": (-1, 0)}, {"loop_layers": (8, 9)}, {"loop_layers": (6, 7), "lane_layers": 2},
        {"lane_layers": 2, "mlp_ratio": 0.0}, {"loop_times": 65},
    ],
)  # fmt: skip
def test_switches_out_of_range_are_refused(settings):
    with pytest.raises(ConfigError):
        hybrid.Config(**settings)


def test_with_everything_on_the_model_is_one_graph(models):
    settings = {**ALL, "n_layers": 3, "loop_layers": (1,), "loop_times": 2, "lane_layers": 1}
    model = lively(models.build(bos_id=1, **settings)[0])
    with torch.no_grad():
        given = torch.compile(model.features, fullgraph=True, backend="eager")(tokens(24))
        torch.testing.assert_close(given, model.features(tokens(24)), rtol=1e-9, atol=1e-10)
