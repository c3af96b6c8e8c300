"""``rdo``: what a price does to error and bytes, and the price that fits.

R rows, C columns, N inputs.
"""

import importlib
import itertools
import sys

import numpy as np
import pytest
import torch

from golfreg.api import Budget, ConfigError, Role
from golfreg.builtin.codecs.golf import GolfCodec
from golfreg.builtin.quantizers.gptq import GptqConfig, gptq
from golfreg.builtin.quantizers.gptq_solve import weighted_error
from golfreg.builtin.quantizers.rdo import PIECE, RdoConfig, levels, rdo
from golfreg.builtin.quantizers.rdo_encode import entropy_table
from golfreg.builtin.quantizers.rdo_trellis import path, places

GROUPS = (("z", 20), ("dt", 4), ("x", 40))
CODEC = GolfCodec()


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def entropy_bytes(sections):
    """What ideal static codes of each section would take, and the scales as they are."""
    found = 0.0
    for s in sections:
        if s.layout.part == "codes":
            counts = np.unique(s.data, return_counts=True)[1]
            found += float((counts * np.log2(s.data.size / counts)).sum()) / 8
        else:
            found += s.data.nbytes
    return int(found)


def golf_bytes(sections):
    return sum(len(stream.data) for stream in CODEC.encode(sections, None))


def golf_table(section):
    return CODEC.cost_table(section, None)


@pytest.fixture(scope="module")
def model():
    """Weights, roles and second moments of inputs that go together, some larger than others."""
    columns = 96
    x_NC = normal(1500, columns, seed=3) @ normal(columns, columns, seed=4)
    x_NC = x_NC * torch.exp(normal(columns, seed=5)) + 3 * normal(1500, 1, seed=6)
    moment = x_NC.T @ x_NC / len(x_NC)
    state = {"a": normal(160, columns), "b": normal(64, columns, seed=1) * torch.exp(normal(64, 1, seed=2))}
    return state, {"a": Role("mlp_up"), "b": Role("in_proj", GROUPS)}, {"a": moment, "b": moment}


def quantize(model, target=rdo, pack=entropy_bytes, cap=16_000_000, table=None, told=None, **settings):
    state, roles, moments = model
    config = target.Config(raw_elements=0, **settings)
    budget = Budget(cap, pack, "cpu", table, told.append if told is not None else lambda text: None)
    sections = target.quantize(state, roles, {"input_second_moment": moments}, budget, config)
    found = target.dequantize(sections, config)
    error = sum(
        float(weighted_error(found[n] - w, moments[n]).div(w.square().mean(1).double()).sum()) for n, w in state.items()
    )
    return sections, error


def same(a, b):
    return all(x.layout == y.layout and np.array_equal(x.data, y.data) for x, y in zip(a, b, strict=True))


def test_a_price_of_zero_gives_the_codes_of_gptq(model):
    assert same(quantize(model, price=0.0, bits=4)[0], quantize(model, gptq, bits=4)[0])


def test_a_tiny_price_gives_nearly_the_codes_of_gptq(model):
    found, expected = (quantize(model, target, **s)[0] for target, s in ((rdo, {"price": 1e-7}), (gptq, {})))
    changed = [(a.data != b.data).mean() for a, b in zip(found, expected, strict=True)]
    assert max(changed) < 0.001


def test_bytes_fall_and_the_error_rises_with_the_price(model):
    found = [quantize(model, bits=5, clip_std=12, price=p) for p in (0.0, 0.05, 0.2, 0.8)]
    sizes, errors = [entropy_bytes(sections) for sections, _ in found], [error for _, error in found]
    assert sizes == sorted(sizes, reverse=True)
    assert errors == sorted(errors)
    assert sizes[-1] < 0.8 * sizes[0]


@pytest.mark.parametrize(("clip_std", "most"), [(6.6, 1.0), (14.0, 0.9)])
def test_at_equal_bytes_the_weighted_error_is_below_that_of_gptq(model, clip_std, most):
    coarse, error = quantize(model, gptq, bits=5, clip_std=clip_std)
    size = entropy_bytes(coarse)
    fine, chosen = quantize(model, bits=5, clip_std=clip_std / 1.1, target_bytes=size)
    assert 0.99 * size <= entropy_bytes(fine) <= size
    assert chosen < most * error


def test_the_artifact_fits_the_cap_and_nearly_fills_it_with_the_codecs_own_costs(model):
    told = []
    small = {"a": model[0]["a"][:64]}, {"a": model[1]["a"]}, model[2]
    cap = int(0.97 * golf_bytes(quantize(small, bits=4, price=0.0)[0]))
    sections, _ = quantize(small, pack=golf_bytes, table=golf_table, cap=cap, told=told, bits=4)
    assert 0.99 * cap <= golf_bytes(sections) <= cap
    assert len(told) <= 9


def test_the_same_weights_give_the_same_codes(model):
    first, second = (quantize(model, bits=4, price=0.2)[0] for _ in range(2))
    assert same(first, second)


def test_what_fits_without_a_price_is_left_as_gptq_has_it_and_said(model):
    told = []
    assert same(quantize(model, told=told)[0], quantize(model, gptq)[0])
    assert "smaller than wanted without any price" in told[-1]


def test_a_target_that_no_price_reaches_is_said(model):
    told = []
    quantize(model, target_bytes=10, told=told)
    assert "no price up to 4 fits 10 bytes" in told[-1]


def test_an_embedding_that_is_only_looked_up_and_rows_of_zeros_are_priced_too():
    weight = normal(300, 32)
    weight[7] = 0
    model = {"e": weight}, {"e": Role("embedding")}, {}
    sizes = [entropy_bytes(rdo.quantize(*model[:2], {}, Budget(0, len), RdoConfig(price=p, raw_elements=0)))
             for p in (0.0, 0.5)]  # fmt: skip
    assert sizes[1] < 0.995 * sizes[0]
    sections = rdo.quantize(*model[:2], {}, Budget(0, len), RdoConfig(price=0.5, raw_elements=0))
    assert torch.equal(rdo.dequantize(sections, RdoConfig())["e"][7], torch.zeros(32))


def test_costs_of_a_codec_that_has_no_table_are_those_of_entropy(model):
    section = quantize(model, price=0.0, bits=4)[0][0]
    found = entropy_table(section)
    bits = found.bits[found.context_RC, section.data.astype(int) - found.lowest].sum()
    assert abs(bits / 8 - entropy_bytes([section])) < 1
    assert found.bits.shape == (1, 15)


@pytest.mark.parametrize("settings", [{"price": -2.0}, {"price": "low"}, {"target_bytes": -1}, {"table_rounds": 0}])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ConfigError, match="quantizer `rdo`: "):
        RdoConfig(**settings)


def test_decoding_loads_nothing_that_chooses_codes(monkeypatch):
    package = "golfreg.builtin.quantizers."
    for name in [name for name in sys.modules if name.startswith(package)]:
        monkeypatch.delitem(sys.modules, name)
    fresh = importlib.import_module(f"{package}rdo").rdo
    fresh.dequantize([], fresh.Config())
    assert not {"rdo_encode", "gptq_encode", "gptq_solve"} & {
        name.removeprefix(package) for name in sys.modules if name.startswith(package)
    }
    assert issubclass(RdoConfig, GptqConfig)


def grids(codes):
    """The machine of four states, code by code."""
    state, found = 0, []
    for row, code in enumerate(codes):
        state = 0 if row % PIECE == 0 else state
        found.append(state >> 1)
        state = ((0, 2), (2, 0), (1, 3), (3, 1))[state][code & 1]
    return found


@pytest.mark.parametrize("rows", [1, 63, 64, 65, 200])
def test_levels_are_those_of_the_state_machine(rows):
    code_RC = np.random.default_rng(rows).integers(-31, 32, (rows, 5)).astype(np.int8)
    expected = np.array([grids(column) for column in code_RC.T.tolist()]).T
    assert np.array_equal(levels(code_RC), code_RC + 0.5 * expected)


def test_no_path_is_cheaper_than_the_one_that_is_taken():
    rows = 9
    cost_4R = np.random.default_rng(0).random((4, rows))
    taken_R = path(cost_4R, places([rows]))
    assert grids((taken_R & 1).tolist()) == (taken_R >> 1).tolist()
    every = [[2 * g + p for g, p in zip(grids(ps), ps, strict=True)] for ps in itertools.product((0, 1), repeat=rows)]
    least = min(sum(cost_4R[which, row] for row, which in enumerate(taken)) for taken in every)
    assert cost_4R[taken_R, np.arange(rows)].sum() == pytest.approx(least)


@pytest.fixture(scope="module")
def small():
    """A matrix of two and a half pieces, and row groups of 20, 4 and 40 rows; inputs that go together a little."""
    x_NC = normal(1500, 48, seed=3)
    x_NC = x_NC + x_NC @ normal(48, 48, seed=4) / 7
    moment = x_NC.T @ x_NC / len(x_NC)
    state = {"a": normal(160, 48), "b": normal(64, 48, seed=1)}
    return state, {"a": Role("mlp_up"), "b": Role("in_proj", GROUPS)}, {"a": moment, "b": moment}


@pytest.mark.parametrize("price", [0.0, 0.15])
def test_dependent_codes_have_less_error_at_the_same_step_and_no_more_bytes(small, price):
    scalar, error = quantize(small, price=price, clip_std=12)
    dependent, less = quantize(small, price=price, clip_std=12, dependent=True)
    assert less < 0.87 * error
    assert entropy_bytes(dependent) < 1.005 * entropy_bytes(scalar)


@pytest.mark.parametrize("bits", [2, 3])
def test_dependent_codes_stay_within_their_alphabet(small, bits):
    sections, _ = quantize(small, price=0.1, bits=bits, dependent=True)
    for s in sections:
        if s.layout.part == "codes":
            low, high = s.layout.alphabet
            assert low <= s.data.min() <= s.data.max() <= high


def test_dependent_codes_that_fit_without_a_price_have_none(small):
    assert same(quantize(small, dependent=True)[0], quantize(small, price=0.0, dependent=True)[0])


def test_whether_codes_are_dependent_is_true_or_false():
    with pytest.raises(ConfigError, match="dependent"):
        RdoConfig(dependent=1)
