"""The switches of ``attention``: what each computes, written out plainly, and that all of them stay causal."""

import pytest
import torch
import torch.nn.functional as F

from golfreg.api.errors import ConfigError
from golfreg.api.values import BuildContext
from golfreg.builtin.mixers.attention import attention

CONTEXT = BuildContext(vocab_size=64, sequence_length=48)
D, HEADS, KV = 32, 4, 2
SWITCHES = {
    "plain": {},
    "rope": {"rope_fraction": 0.5},
    "gate": {"gate_channels": 12},
    "exclusive": {"exclusive": True},
    "values": {"value_residual": True},
    "all": {"rope_fraction": 0.25, "gate_channels": 32, "exclusive": True, "value_residual": True},
}


def make(**settings):
    torch.manual_seed(0)
    mixer = attention.build(D, attention.Config(n_heads=HEADS, n_kv_heads=KV, **settings), CONTEXT).double()
    with torch.no_grad():
        for p in mixer.parameters():
            p.add_(torch.randn_like(p) * 0.2)
    return mixer


def run(mixer, x, *arguments):
    given = mixer(x, *arguments)
    return given[0] if mixer.passes_on else given


def inputs(length=7, batch=2, seed=1):
    return torch.randn(batch, length, D, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def plainly(m, x, rope=1.0, exclusive=False, first=None):
    """Attention position by position and head by head, from its definition."""
    batch, length, _ = x.shape
    width, out = D // HEADS, torch.zeros(batch, length, D, dtype=x.dtype)
    rotating = int(width * rope)
    for b in range(batch):
        v_all = (x[b] @ m.v_proj.weight.T).view(length, KV, width)
        if m.value_mix is not None:
            v_all = m.value_mix[0] * v_all + m.value_mix[1] * (v_all if first is None else first[b].transpose(0, 1))
        for h in range(HEADS):
            j = h // (HEADS // KV)
            q = x[b] @ m.q_proj.weight[h * width : (h + 1) * width].T
            k = x[b] @ m.k_proj.weight[j * width : (j + 1) * width].T
            q, k = (F.rms_norm(a, (width,)) for a in (q, k))
            v = v_all[:, j]
            for a in (q, k):
                for t in range(length):
                    for i in range(rotating // 2):
                        angle = torch.tensor(t * 10000.0 ** (-2 * i / rotating), dtype=x.dtype)
                        low, high = a[t, i].clone(), a[t, i + rotating // 2].clone()
                        a[t, i] = low * angle.cos() + high * angle.sin()
                        a[t, i + rotating // 2] = high * angle.cos() - low * angle.sin()
            for t in range(length):
                scores = (k[: t + 1] @ q[t]) * m.q_gain[h] / width**0.5
                y = scores.softmax(0) @ v[: t + 1]
                if exclusive:
                    y = y - (y @ v[t]) / (v[t] @ v[t]) * v[t]
                if m.gate is not None:
                    y = y * 2 * torch.sigmoid(m.gate[h] @ x[b, t, : m.gate.shape[1]])
                out[b, t, h * width : (h + 1) * width] = y
    return out @ m.out_proj.weight.T


@pytest.mark.parametrize("name", SWITCHES)
def test_every_switch_computes_what_its_source_says(name):
    settings = SWITCHES[name]
    mixer, x = make(**settings), inputs()
    first = torch.randn(2, KV, 7, D // HEADS, dtype=x.dtype) if mixer.passes_on else None
    with torch.no_grad():
        given = run(mixer, x, None, first) if mixer.passes_on else run(mixer, x)
        wanted = plainly(mixer, x, settings.get("rope_fraction", 1.0), settings.get("exclusive", False), first)
    torch.testing.assert_close(given, wanted, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", SWITCHES)
def test_switches_look_neither_ahead_nor_into_another_document(name):
    mixer, x = make(**SWITCHES[name]), inputs(20)
    starts = torch.zeros(2, 20, dtype=torch.bool)
    starts[:, [0, 9]] = True
    changed = x.clone()
    changed[:, 14:] += 1.0
    with torch.no_grad():
        whole = run(mixer, x, starts)
        torch.testing.assert_close(run(mixer, changed, starts)[:, :14], whole[:, :14], rtol=0, atol=1e-12)
        torch.testing.assert_close(run(mixer, x[:, 9:]), whole[:, 9:], rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", SWITCHES)
def test_steps_are_one_pass_whatever_is_switched_on(name):
    mixer, x = make(**SWITCHES[name]), inputs(20)
    starts = torch.zeros(2, 20, dtype=torch.bool)
    starts[:, [0, 9]] = True
    first = torch.randn(2, KV, 20, D // HEADS, dtype=x.dtype)
    state, parts = mixer.initial_state(2, 20), []
    with torch.no_grad():
        for at in range(0, 20, 4):
            more = (first[:, :, at : at + 4],) if mixer.passes_on else ()
            y, state, *_ = mixer.step(x[:, at : at + 4], starts[:, at : at + 4], state, *more)
            parts.append(y)
        whole = run(mixer, x, starts, *((first,) if mixer.passes_on else ()))
    torch.testing.assert_close(torch.cat(parts, 1), whole, rtol=1e-9, atol=1e-10)


def test_with_a_gate_of_zeros_and_all_channels_rotating_nothing_changes():
    plain, x = make(), inputs()
    switched = attention.build(D, attention.Config(n_heads=HEADS, n_kv_heads=KV, gate_channels=12), CONTEXT).double()
    switched.load_state_dict({**plain.state_dict(), "gate": torch.zeros(HEADS, 12)})
    with torch.no_grad():
        torch.testing.assert_close(switched(x), plain(x), rtol=0, atol=0)


def test_the_first_layer_passes_its_own_values_on():
    mixer, x = make(value_residual=True), inputs()
    with torch.no_grad():
        _, first = mixer(x)
        torch.testing.assert_close(first, mixer.v_proj(x).unflatten(2, (KV, -1)).transpose(1, 2))
        _, same = mixer(x + 1, None, first)
    assert same is first


def test_every_new_parameter_trains_and_is_a_scalar_to_optimizer_and_quantizer():
    mixer, x = make(**SWITCHES["all"]), inputs()
    run(mixer, x).square().sum().backward()
    roles = attention.roles(mixer)
    assert roles.keys() == dict(mixer.named_parameters()).keys()
    for name in ("gate", "value_mix"):
        assert roles[name].name == "scalar"
        assert getattr(mixer, name).grad.abs().max() > 0
    assert attention.roles(make()).keys() == dict(make().named_parameters()).keys()


def test_the_gates_operations_are_counted():
    plain, gated = attention.Config(), attention.Config(gate_channels=12)
    assert attention.flops_per_token(512, gated, CONTEXT) - attention.flops_per_token(512, plain, CONTEXT) == 6 * 8 * 12


@pytest.mark.parametrize(
    "settings", [{"rope_fraction": 0.0}, {"rope_fraction": 1.1}, {"rope_fraction": float("nan")}, {"gate_channels": -1}]
)
def test_a_switch_out_of_range_is_refused(settings):
    with pytest.raises(ConfigError):
        attention.Config(**settings)
    with pytest.raises(ConfigError, match="gate_channels"):
        make(gate_channels=D + 1)
