"""``rowwise`` and ``none``: widths by role and row group, exact decoding, and weights that no one hopes for."""

import numpy as np
import pytest
import torch

from golfreg.api import Budget, ConfigError, GolfregError, InputError, Layout, Role, Section
from golfreg.builtin.quantizers.int8 import int8
from golfreg.builtin.quantizers.none import none
from golfreg.builtin.quantizers.rowwise import CLIP_STD, RowwiseConfig, rowwise

BUDGET = Budget(16_000_000, lambda sections: 0)
GROUPS = (("z", 40), ("dt", 8), ("x", 80))


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def quantize(weight, role="qkv", groups=(), **settings):
    config = RowwiseConfig(**settings)
    sections = rowwise.quantize({"w": weight}, {"w": Role(role, groups)}, {}, BUDGET, config)
    return sections, rowwise.dequantize(sections, config)["w"]


def signal_to_noise(weight, decoded):
    return float(10 * torch.log10(weight.square().mean() / (weight - decoded).square().mean()))


@pytest.mark.parametrize(
    ("bits", "decibels"), [(2, 6.4), (3, 11.9), (4, 15.6), (5, 18.8), (6, 22.6), (7, 26.8), (8, 30.6)]
)
def test_error_of_gaussian_weights_is_what_the_table_says(bits, decibels):
    weight = normal(64, 512)
    sections, decoded = quantize(weight, bits=bits)
    highest = 2 ** (bits - 1) - 1
    assert sections[0].layout.alphabet == (-highest, highest)
    assert np.abs(sections[0].data).max() <= highest
    assert abs(signal_to_noise(weight, decoded) - decibels) < 0.5


def test_decoding_is_exactly_code_times_scale():
    (codes, scales), decoded = quantize(normal(32, 300))
    assert decoded.dtype == torch.float32
    expected = codes.data.astype(np.float64) * scales.data.astype(np.float64)[:, None]
    np.testing.assert_array_equal(decoded.numpy().astype(np.float64), expected)


def test_overrides_choose_bits_by_role_and_by_row_group():
    sections, decoded = quantize(
        normal(128, 64), "in_proj", GROUPS, raw_elements=0, overrides={"in_proj": 4, "in_proj.dt": 8}
    )
    assert [(s.layout.group, s.layout.alphabet) for s in sections if s.layout.part == "codes"] == [
        ("z", (-7, 7)), ("dt", (-127, 127)), ("x", (-7, 7)),
    ]  # fmt: skip
    error = (decoded - normal(128, 64)).square().mean(1)
    assert error[40:48].max() < 0.1 * error[:40].min()


def test_an_override_without_effect_warns():
    with pytest.warns(UserWarning, match=r"without effect: in_proj\.A"):
        quantize(normal(128, 64), "in_proj", GROUPS, overrides={"in_proj.A": 8})


def test_embeddings_have_their_own_bits_and_clip():
    sections, _ = quantize(normal(128, 64), "embedding")
    assert sections[0].layout.alphabet == (-127, 127)
    assert RowwiseConfig(embedding_clip_std=20.0).width("head", "") == (8, 20.0)
    assert RowwiseConfig(clip_std=12.85).width("qkv", "") == (6, 12.85)
    assert RowwiseConfig().width("qkv", "") == (6, CLIP_STD[6])


def test_rows_of_zeros_and_constant_rows_survive():
    weight = normal(16, 512)
    weight[3], weight[4], weight[5] = 0.0, 2.5, 1e-9
    _, decoded = quantize(weight, raw_elements=0)
    assert torch.equal(decoded[3], torch.zeros(512))
    assert (decoded[4] - 2.5).abs().max() < 0.3
    assert torch.isfinite(decoded).all()


def test_each_row_has_its_own_scale():
    weight = normal(8, 1024) * torch.tensor([1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0, 1000.0])[:, None]
    _, decoded = quantize(weight)
    ratios = [signal_to_noise(weight[i], decoded[i]) for i in range(8)]
    assert max(ratios) - min(ratios) < 1.5


def test_a_tensor_of_three_dimensions_has_a_scale_for_each_of_its_first():
    sections, decoded = quantize(normal(32, 16, 16))
    assert [s.layout.shape for s in sections] == [(32, 16, 16), (32,)]
    assert decoded.shape == (32, 16, 16)


def test_small_tensors_and_vectors_stay_floats():
    for weight in (normal(5000), normal(16, 16), torch.tensor(1.5), torch.zeros(0, 7)):
        (section,), decoded = quantize(weight, "scalar")
        assert (section.layout.part, section.layout.dtype) == ("raw", "float16")
        assert torch.equal(decoded, weight.half().float())


def test_a_value_too_large_for_float16_is_kept_in_float32():
    (section,), decoded = quantize(torch.tensor([1e6, 1.0]), "scalar")
    assert section.layout.dtype == "float32"
    assert decoded.tolist() == [1e6, 1.0]


def test_raw_values_can_be_bfloat16_or_float32():
    weight = normal(100)
    for dtype, expected in (("bfloat16", weight.bfloat16().float()), ("float32", weight)):
        assert torch.equal(quantize(weight, "scalar", raw_dtype=dtype)[1], expected)


def test_the_same_weights_give_the_same_sections_at_any_number_of_threads():
    weight, threads, found = normal(256, 512), torch.get_num_threads(), []
    try:
        for n in (1, 2):
            torch.set_num_threads(n)
            found.append([s.data.tobytes() for s in quantize(weight)[0]])
    finally:
        torch.set_num_threads(threads)
    assert found[0] == found[1]


@pytest.mark.parametrize("quantizer", [rowwise, int8, none])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_an_error_that_names_the_tensor(quantizer, value):
    weight = normal(300, 300)
    weight[7, 7] = value
    with pytest.raises(GolfregError, match="`w` has 1 values that are NaN or infinite"):
        quantizer.quantize({"w": weight}, {"w": Role("qkv")}, {}, BUDGET, quantizer.Config())


@pytest.mark.parametrize("quantizer", [rowwise, int8, none])
def test_a_tensor_without_role_or_of_integers_is_an_error(quantizer):
    with pytest.raises(GolfregError, match="`w` has no role"):
        quantizer.quantize({"w": normal(3)}, {}, {}, BUDGET, quantizer.Config())
    with pytest.raises(GolfregError, match="holds torch"):
        quantizer.quantize({"w": torch.arange(3)}, {"w": Role("scalar")}, {}, BUDGET, quantizer.Config())


@pytest.mark.parametrize("quantizer", [rowwise, int8])
def test_row_groups_that_do_not_add_up_are_an_error(quantizer):
    role = Role("in_proj", (("z", 3), ("x", 4)))
    with pytest.raises(GolfregError, match="row groups of `w` have 7 rows and the tensor has 300"):
        quantizer.quantize({"w": normal(300, 300)}, {"w": role}, {}, BUDGET, quantizer.Config())


def test_weights_too_large_for_a_scale_are_an_error():
    with pytest.raises(GolfregError, match="too large"):
        quantize(normal(128, 64) * 1e7)


@pytest.mark.parametrize("damage", ["no scale", "scale of another shape", "scale alone", "codes and raw"])
def test_sections_that_do_not_fit_together_are_refused(damage):
    (codes, scales), _ = quantize(normal(128, 64))
    other = Section(Layout("w", "scale", "qkv", (3,), "float16"), np.ones(3, np.float16))
    raw = Section(Layout("w", "raw", "qkv", (3,), "float16"), np.ones(3, np.float16))
    sections = {
        "no scale": [codes], "scale of another shape": [codes, other], "scale alone": [scales],
        "codes and raw": [codes, scales, raw],
    }[damage]  # fmt: skip
    with pytest.raises(InputError):
        rowwise.dequantize(sections, RowwiseConfig())


def test_none_keeps_bfloat16_bit_for_bit():
    state = {"w": normal(64, 64), "b": torch.tensor(3.14159)}
    sections = none.quantize(state, {n: Role("scalar") for n in state}, {}, BUDGET, none.Config())
    assert {s.layout.dtype for s in sections} == {"bfloat16"}
    decoded = none.dequantize(sections, none.Config())
    assert all(torch.equal(decoded[n], w.bfloat16().float()) for n, w in state.items())


def test_fake_quantization_gives_the_decoded_weights_and_a_straight_gradient():
    weight = normal(128, 64).requires_grad_()
    _, decoded = quantize(weight.detach(), "in_proj", GROUPS, overrides={"in_proj.dt": 8})
    config = RowwiseConfig(overrides={"in_proj.dt": 8})
    rounded = rowwise.fake_quant(weight, Role("in_proj", GROUPS), config)
    assert torch.equal(rounded.detach(), decoded)
    (rounded * normal(128, 64, seed=1)).sum().backward()
    assert torch.equal(weight.grad, normal(128, 64, seed=1))


@pytest.mark.parametrize(
    "settings",
    [
        {"bits": 1}, {"bits": 9}, {"bits": 6.0}, {"bits": True}, {"embedding_bits": "8"}, {"overrides": {"qkv": 16}},
        {"overrides": [("qkv", 5)]}, {"clip_std": -1.0}, {"clip_std": float("nan")}, {"raw_dtype": "float64"},
        {"raw_elements": -1}, {"overrides": {"qkv": "5"}},
    ],
)  # fmt: skip
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ConfigError, match="quantizer `rowwise`: "):
        RowwiseConfig(**settings)
