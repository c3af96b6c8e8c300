"""``gptq``: the algorithm against a plain loop, what it gains, and inputs that are degenerate.

R rows, C columns, N inputs.
"""

import importlib
import sys

import numpy as np
import pytest
import torch

from golfreg.api import Budget, ConfigError, GolfregError, Role
from golfreg.builtin.quantizers import gptq_encode
from golfreg.builtin.quantizers.gptq import GptqConfig, gptq
from golfreg.builtin.quantizers.gptq_solve import error_weights, inverse_factor, solve, weighted_error
from golfreg.builtin.quantizers.rowwise import RowwiseConfig, rowwise

BUDGET = Budget(16_000_000, lambda sections: 0)
GROUPS = (("z", 20), ("dt", 3), ("A", 2), ("x", 15))


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def correlated(columns, inputs=2000, seed=3):
    """A second moment of inputs that go together, some larger than others."""
    x_NC = normal(inputs, columns, seed=seed) @ normal(columns, columns, seed=seed + 1)
    x_NC = x_NC * torch.exp(normal(columns, seed=seed + 2)) + 3 * normal(inputs, 1, seed=seed + 3)
    return x_NC.T @ x_NC / inputs


def quantize(weight, moment, role="qkv", groups=(), **settings):
    config = GptqConfig(raw_elements=0, **settings)
    statistics = {"input_second_moment": {} if moment is None else {"w": moment}}
    sections = gptq.quantize({"w": weight}, {"w": Role(role, groups)}, statistics, BUDGET, config)
    return sections, gptq.dequantize(sections, config)["w"]


def nearest(weight, **settings):
    config = RowwiseConfig(raw_elements=0, **settings)
    sections = rowwise.quantize({"w": weight}, {"w": Role("qkv")}, {}, BUDGET, config)
    return rowwise.dequantize(sections, config)["w"]


def plain_gptq(weight_RC, moment_CC, scale_R, highest, damping, order):
    """Optimal brain quantization with a fixed order, in float64: one row and one column at a time.

    After each column its row and column leave the inverse of H by elimination (arXiv 2208.11580, equation 3 and 4).
    """
    codes_RC = np.zeros(weight_RC.shape)
    H_CC = moment_CC.astype(np.float64)
    inverse = np.linalg.inv(H_CC + damping * H_CC.diagonal().mean() * np.eye(len(H_CC)))
    left_RC = weight_RC.astype(np.float64).copy()
    for c in order:
        for r in range(len(left_RC)):
            code = np.clip(np.round(left_RC[r, c] / scale_R[r]), -highest, highest)
            codes_RC[r, c] = code
            error = (left_RC[r, c] - code * scale_R[r]) / inverse[c, c]
            left_RC[r] -= error * inverse[c]
        inverse = inverse - np.outer(inverse[:, c], inverse[c]) / inverse[c, c]
    return codes_RC


@pytest.mark.parametrize("activation_order", [True, False])
@pytest.mark.parametrize(("rows", "columns"), [(7, 24), (3, 150), (5, 1), (1, 300)])
def test_codes_equal_those_of_a_plain_loop(rows, columns, activation_order):
    weight, moment = normal(rows, columns), correlated(columns)
    sections, _ = quantize(weight, moment, bits=4, activation_order=activation_order)
    scale = sections[1].data.astype(np.float64)
    order = np.argsort(-moment.diagonal().numpy(), kind="stable") if activation_order else range(columns)
    expected = plain_gptq(weight.numpy(), moment.numpy(), scale, 7, 0.01, order)
    assert (sections[0].data != expected).mean() < 0.003  # a tie may fall the other way in float32


@pytest.mark.parametrize("bits", [2, 3, 4, 6, 8])
def test_the_weighted_error_is_far_below_that_of_the_nearest_codes(bits):
    weight, moment = normal(64, 128), correlated(128)
    _, solved = quantize(weight, moment, bits=bits)
    errors = [weighted_error(w - weight, moment).sum() for w in (solved, nearest(weight, bits=bits))]
    assert errors[0] < 0.5 * errors[1]


def test_inputs_that_do_not_go_together_give_the_nearest_codes():
    weight = normal(16, 200)
    _, solved = quantize(weight, torch.diag(torch.rand(200, generator=torch.Generator().manual_seed(1)) + 0.1))
    assert torch.equal(solved, nearest(weight))


def test_the_error_weights_are_exactly_what_the_codes_cost():
    weight, moment = normal(8, 40), correlated(40).double()
    factor = inverse_factor(moment, 0.0)
    costs = torch.zeros(8, dtype=torch.float64)

    def choose(left_R, column, cost):
        codes = torch.round(left_R / 0.3)
        costs.add_(cost * (left_R - 0.3 * codes).double().square())
        return codes

    codes = solve(weight, factor, torch.full((8,), 0.3), torch.full((8,), 127.0), choose)
    torch.testing.assert_close(costs, weighted_error(weight - 0.3 * codes, moment), rtol=1e-3, atol=0)
    assert torch.equal(error_weights(factor), factor.diagonal() ** -2)


def test_a_chooser_is_asked_for_every_matrix_and_knows_its_row_groups():
    asked = []

    def chooser(name, groups, order_C, scale_R, highest_R, weight_C):
        asked.append((name, groups, sorted(order_C.tolist()), len(scale_R), highest_R.unique().tolist()))
        return lambda left_R, column, cost: torch.zeros_like(left_R)

    weight, roles = normal(40, 12), {"w": Role("in_proj", GROUPS)}
    config = GptqConfig(raw_elements=0, bits=4, overrides={"in_proj": {"dt": 8}})
    sections = gptq_encode.encode({"w": weight}, roles, {"w": correlated(12)}, config, "cpu", chooser)
    assert asked == [("w", list(GROUPS), list(range(12)), 40, [7.0, 127.0])]
    assert not any(s.data.any() for s in sections if s.layout.part == "codes")


def test_a_moment_of_less_than_full_rank_is_no_obstacle():
    for inputs in (1, 3, 40):
        x_NC = normal(inputs, 60, seed=inputs)
        moment = x_NC.T @ x_NC / inputs
        weight = normal(32, 60)
        for damping in (0.0, 0.01):
            _, solved = quantize(weight, moment, bits=4, damping=damping)
            assert torch.isfinite(solved).all()
            error, before = ((d - weight) @ x_NC.T for d in (solved, nearest(weight, bits=4)))
            assert error.square().sum() < 0.8 * before.square().sum()


def test_an_input_that_is_always_zero_costs_nothing_and_its_weights_are_rounded_not_dropped():
    moment, weight = correlated(50), normal(16, 50)
    moment[[4, 17]] = 0
    moment[:, [4, 17]] = 0
    _, solved = quantize(weight, moment)
    assert torch.equal(solved[:, [4, 17]], nearest(weight)[:, [4, 17]])
    assert torch.equal(quantize(weight, torch.zeros(50, 50))[1], nearest(weight))


def test_columns_and_rows_of_zeros_survive():
    weight = normal(16, 50)
    weight[3] = 0
    weight[:, 7] = 0
    _, solved = quantize(weight, correlated(50))
    assert torch.equal(solved[3], torch.zeros(50))
    assert torch.isfinite(solved).all()


def test_row_groups_have_their_own_widths_in_one_solution():
    weight, moment = normal(40, 64), correlated(64)
    overrides = {"in_proj": {"bits": 4, "dt": {"bits": 8}, "A": 8, "x": {"clip_std": 2.5}}}
    sections, solved = quantize(weight, moment, "in_proj", GROUPS, overrides=overrides)
    codes = {s.layout.group: s.layout.alphabet[1] for s in sections if s.layout.part == "codes"}
    assert codes == {"z": 7, "dt": 127, "A": 127, "x": 7}
    error = weighted_error(solved - weight, moment)
    assert error[20:25].max() < 0.1 * error[:20].min()
    alone, _ = quantize(weight[20:23], moment, "qkv", bits=8)
    of_dt = next(s for s in sections if s.layout.group == "dt" and s.layout.part == "codes")
    np.testing.assert_array_equal(alone[0].data, of_dt.data)  # rows do not see each other


def test_a_searched_clip_has_less_error_than_any_clip_by_deviations():
    weight, moment = normal(64, 128), correlated(128)
    weight[:, 5] *= 4
    found = quantize(weight, moment, bits=4, clip_search=True)[1]
    searched = weighted_error(found - weight, moment).sum()
    for clip_std in (2.0, 2.5, 3.0, 4.0):
        fixed = quantize(weight, moment, bits=4, clip_std=clip_std, clip_search=True)[1]
        assert searched < weighted_error(fixed - weight, moment).sum()


def test_the_head_of_tied_embeddings_is_solved_and_an_embedding_without_a_moment_is_rounded():
    weight, moment = normal(200, 32), correlated(32)
    sections, solved = quantize(weight, moment, "embedding")
    assert sections[0].layout.alphabet == (-127, 127)
    plain = quantize(weight, None, "embedding")[1]
    assert torch.equal(plain, nearest(weight, bits=8))
    assert weighted_error(solved - weight, moment).sum() < 0.5 * weighted_error(plain - weight, moment).sum()


def test_a_matrix_of_the_trunk_without_a_moment_is_warned_of():
    with pytest.warns(UserWarning, match="`w` has no second moment"):
        _, solved = quantize(normal(16, 32), None)
    assert torch.equal(solved, nearest(normal(16, 32)))


def test_coarser_scales_are_few_and_the_codes_make_up_for_them():
    weight, moment = normal(256, 64), correlated(64)
    fine, coarse = (quantize(weight, moment, scale_mantissa_bits=bits) for bits in (10, 2))
    assert len(np.unique(coarse[0][1].data)) < 6 < len(np.unique(fine[0][1].data))
    errors = [weighted_error(solved - weight, moment).sum() for _, solved in (fine, coarse)]
    assert errors[1] < 1.3 * errors[0]


@pytest.mark.parametrize(
    "moment", [torch.eye(7), torch.full((32, 32), float("nan")), -torch.eye(32)], ids=["shape", "nan", "negative"]
)
def test_a_moment_that_is_none_is_an_error(moment):
    with pytest.raises(GolfregError, match="second moment"):
        quantize(normal(16, 32), moment)


@pytest.mark.parametrize("settings", [{"damping": -1.0}, {"clip_search": 1}, {"activation_order": "yes"}, {"bits": 9}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ConfigError, match="quantizer `gptq`: "):
        GptqConfig(**settings)


def test_decoding_loads_nothing_that_chooses_codes(monkeypatch):
    package = "golfreg.builtin.quantizers."
    for name in [name for name in sys.modules if name.startswith(package)]:
        monkeypatch.delitem(sys.modules, name)
    fresh = importlib.import_module(f"{package}gptq").gptq
    fresh.dequantize([], fresh.Config())
    loaded = {name.removeprefix(package) for name in sys.modules if name.startswith(package)}
    assert {"gptq", "rowwise"} <= loaded
    assert not loaded & {"gptq_encode", "gptq_solve", "rowwise_training"}


def test_fake_quantization_is_that_of_the_nearest_codes():
    weight = normal(40, 64).requires_grad_()
    rounded = gptq.fake_quant(weight, Role("in_proj", GROUPS), GptqConfig(bits=4, raw_elements=0))
    assert torch.equal(rounded.detach(), nearest(weight.detach(), bits=4))
    rounded.sum().backward()
    assert torch.equal(weight.grad, torch.ones(40, 64))
