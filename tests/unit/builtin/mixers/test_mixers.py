"""The mixers ``attention`` and ``mamba3``: shapes, causality, documents, roles."""

import math

import pytest
import torch

from golfreg.api.errors import ConfigError, PluginError
from golfreg.api.values import MATRIX_ROLES, BuildContext
from golfreg.builtin.kernels.mamba3_siso import reference
from golfreg.builtin.mixers.attention import attention
from golfreg.builtin.mixers.mamba3 import mamba3

CONTEXT = BuildContext(vocab_size=64, sequence_length=48, kernels={"mamba3_siso": reference})
MIXERS = {
    "attention": (attention, attention.Config(n_heads=4, n_kv_heads=2)),
    "mamba3": (mamba3, mamba3.Config(headdim=16, d_state=8, chunk_size=8, ngroups=2)),
}


def make(name, d_model=32):
    """A mixer with weights that let every path matter: none of them zero."""
    torch.manual_seed(0)
    target, config = MIXERS[name]
    mixer = target.build(d_model, config, CONTEXT).double()
    with torch.no_grad():
        for p in mixer.parameters():
            p.add_(torch.randn_like(p) * 0.2)
    return mixer


def documents(length, *starts):
    starts_BT = torch.zeros(1, length, dtype=torch.bool)
    starts_BT[0, list(starts)] = True
    return starts_BT


@pytest.mark.parametrize("name", MIXERS)
def test_no_position_sees_a_later_one(name):
    mixer, x = make(name), torch.randn(1, 40, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    changed = x.clone()
    changed[:, 23:] += 1.0
    for starts_BT in (None, documents(40, 0, 17)):
        before, after = mixer(x, starts_BT), mixer(changed, starts_BT)
        torch.testing.assert_close(after[:, :23], before[:, :23], rtol=0, atol=1e-12)
        assert (after[:, 23:] - before[:, 23:]).abs().amax(-1).min() > 1e-3


@pytest.mark.parametrize("name", MIXERS)
def test_nothing_crosses_a_document_start(name):
    mixer, x = make(name), torch.randn(1, 40, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    starts_BT = documents(40, 9, 10, 24)
    together = mixer(x, starts_BT)
    for first, end in ((0, 9), (9, 10), (10, 24), (24, 40)):
        torch.testing.assert_close(together[:, first:end], mixer(x[:, first:end]), rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", MIXERS)
def test_without_starts_the_whole_window_is_one_document(name):
    mixer, x = make(name), torch.randn(2, 30, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    none = torch.zeros(2, 30, dtype=torch.bool)
    torch.testing.assert_close(mixer(x), mixer(x, none), rtol=1e-9, atol=1e-10)
    changed = x.clone()
    changed[:, 0] += 1.0
    assert (mixer(changed) - mixer(x))[:, -1].abs().max() > 1e-6


@pytest.mark.parametrize("name", MIXERS)
def test_gradients_are_finite_where_documents_start(name):
    mixer = make(name).float()
    x = torch.randn(2, 40, 32, generator=torch.Generator().manual_seed(4)).requires_grad_()
    starts_BT = torch.rand(2, 40, generator=torch.Generator().manual_seed(5)) < 0.4
    mixer(x, starts_BT).square().sum().backward()
    assert x.grad.isfinite().all()
    for parameter_name, p in mixer.named_parameters():
        assert p.grad is not None, parameter_name
        assert p.grad.isfinite().all(), parameter_name
        assert p.grad.abs().max() > 0, parameter_name


@pytest.mark.parametrize("name", MIXERS)
def test_roles_cover_every_parameter_and_their_groups_add_up(name):
    mixer = make(name)
    roles = MIXERS[name][0].roles(mixer)
    parameters = dict(mixer.named_parameters())
    assert roles.keys() == parameters.keys()
    for parameter_name, role in roles.items():
        assert (role.name in MATRIX_ROLES) == (parameters[parameter_name].ndim == 2 and "bias" not in parameter_name)
        if role.groups:
            assert sum(rows for _, rows in role.groups) == parameters[parameter_name].shape[0]


@pytest.mark.parametrize("name", MIXERS)
def test_bfloat16_inputs_give_bfloat16_outputs_with_float32_weights(name):
    mixer = make(name).float()
    x = torch.randn(1, 20, 32, generator=torch.Generator().manual_seed(6))
    exact, rough = mixer(x, documents(20, 5)), mixer(x.bfloat16(), documents(20, 5))
    assert rough.dtype == torch.bfloat16
    assert (rough.float() - exact).square().mean().sqrt() < 0.03 * exact.square().mean().sqrt()


def test_a_mamba3_layer_has_the_published_size():
    mixer = mamba3.build(512, mamba3.Config(), CONTEXT)
    assert mixer.in_proj.weight.shape == (2240, 512)
    assert sum(p.numel() for p in mixer.parameters()) == 1_673_376
    groups = mamba3.roles(mixer)["in_proj.weight"].groups
    assert groups == (
        ("z", 1024), ("x", 1024), ("B", 64), ("C", 64), ("dt", 16), ("A", 16), ("trap", 16), ("angle", 16),
    )  # fmt: skip


def test_mamba3_starts_with_time_steps_in_their_range():
    torch.manual_seed(0)
    mixer = mamba3.build(512, mamba3.Config(dt_min=0.01, dt_max=0.02), CONTEXT)
    dt = torch.nn.functional.softplus(mixer.dt_bias)
    assert dt.min() > 0.0099
    assert dt.max() < 0.0201


def test_a_mixer_starts_by_adding_nothing_to_the_residual_stream():
    for target, config in MIXERS.values():
        assert not target.build(32, config, CONTEXT).out_proj.weight.any()


@pytest.mark.parametrize("a_form", ["softplus", "heavy_tail"])
def test_the_form_of_a_changes_the_output(a_form):
    torch.manual_seed(0)
    config = mamba3.Config(headdim=16, d_state=8, a_form=a_form)
    called = {}

    def kernel(projected, *args, **static):
        called.update(static)
        return reference(projected, *args, **static)

    mixer = mamba3.build(32, config, BuildContext(64, 48, kernels={"mamba3_siso": kernel}))
    assert mixer(torch.randn(1, 5, 32)).shape == (1, 5, 32)
    assert called == mamba3.static_arguments(config)["mamba3_siso"]
    assert called["a_form"] == a_form


@pytest.mark.parametrize(
    "settings",
    [
        {"d_state": 0}, {"expand": 0}, {"headdim": -1}, {"rope_fraction": 0.0}, {"rope_fraction": 1.5},
        {"rope_fraction": math.nan}, {"d_state": 2}, {"a_form": "relu"}, {"dt_min": 0.0}, {"dt_min": 1.0},
        {"a_floor": -1.0}, {"norm_eps": 0.0}, {"dt_init_floor": 0.0}, {"chunk_size": 0}, {"dt_max": math.nan},
        {"a_floor": math.nan}, {"norm_eps": math.nan}, {"d_state": 1 << 40},
    ],
)  # fmt: skip
def test_mamba3_refuses_settings_out_of_range(settings):
    with pytest.raises(ConfigError) as error:
        mamba3.Config(**settings)
    assert error.value.hint


@pytest.mark.parametrize(
    "settings",
    [{"n_heads": 0}, {"n_heads": 8, "n_kv_heads": 3}, {"n_kv_heads": 0}, {"rope_base": 0.0}, {"rope_base": math.nan}],
)
def test_attention_refuses_settings_out_of_range(settings):
    with pytest.raises(ConfigError) as error:
        attention.Config(**settings)
    assert error.value.hint


def test_widths_that_do_not_divide_are_refused_by_name():
    with pytest.raises(ConfigError, match="d_model = 36 and n_heads = 8"):
        attention.build(36, attention.Config(), CONTEXT)
    with pytest.raises(ConfigError, match=r"headdim = 64"):
        mamba3.build(40, mamba3.Config(), CONTEXT)
    with pytest.raises(ConfigError, match=r"ngroups = 3"):
        mamba3.build(64, mamba3.Config(ngroups=3), CONTEXT)


def test_mamba3_says_that_its_kernel_is_missing():
    with pytest.raises(PluginError, match="mamba3_siso"):
        mamba3.build(64, mamba3.Config(), BuildContext(64, 48))
