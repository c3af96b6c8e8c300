"""``in_proj`` of low rank and a fractional ``expand`` of ``mamba3``."""

import pytest
import torch

from golfreg.api.errors import ConfigError
from golfreg.api.values import BuildContext
from golfreg.builtin.kernels.mamba3_siso import reference
from golfreg.builtin.mixers.mamba3 import mamba3

CONTEXT = BuildContext(vocab_size=64, sequence_length=48, kernels={"mamba3_siso": reference})
SMALL = {"headdim": 16, "d_state": 8}


def make(**settings):
    torch.manual_seed(0)
    mixer = mamba3.build(32, mamba3.Config(**SMALL, **settings), CONTEXT)
    torch.nn.init.normal_(mixer.out_proj.weight)
    return mixer


def test_in_proj_of_low_rank_is_the_product_of_two_matrices():
    low, full = make(in_proj_rank=5), make()
    rest = {name: p for name, p in low.state_dict().items() if not name.startswith("in_")}
    full.load_state_dict({**rest, "in_proj.weight": low.in_proj.weight @ low.in_down.weight})
    x = torch.randn(2, 9, 32, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(low(x), full(x), rtol=1e-4, atol=1e-5)
    rows = full.in_proj.weight.shape[0]
    assert sum(p.numel() for p in low.parameters()) == sum(p.numel() for p in full.parameters()) - 27 * rows + 5 * 32
    configs = mamba3.Config(**SMALL), mamba3.Config(**SMALL, in_proj_rank=5)
    flops = [mamba3.flops_per_token(32, config, CONTEXT) for config in configs]
    assert flops[1] - flops[0] == 6 * (5 * 32 - 27 * rows)


def test_a_fixed_factor_follows_from_the_configuration_and_is_no_parameter():
    first, second = make(in_proj_rank=5, in_proj_fixed=True), make(in_proj_rank=5, in_proj_fixed=True)
    assert "drawn_RD" not in first.state_dict()
    assert torch.equal(first.drawn_RD, second.drawn_RD)
    learned = make(in_proj_rank=5)
    assert {n for n, _ in learned.named_parameters()} - {n for n, _ in first.named_parameters()} == {"in_down.weight"}
    learned.load_state_dict({**first.state_dict(), "in_down.weight": first.drawn_RD})
    x = torch.randn(2, 9, 32, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(first(x), learned(x))
    with torch.device("meta"):
        assert make(in_proj_rank=5, in_proj_fixed=True).in_proj.weight.is_meta


def test_roles_of_low_rank_cover_every_parameter():
    for settings in ({}, {"in_proj_rank": 5}, {"in_proj_rank": 5, "in_proj_fixed": True}):
        mixer = make(**settings)
        assert mamba3.roles(mixer).keys() == dict(mixer.named_parameters()).keys()
    assert mamba3.roles(make(in_proj_rank=5))["in_down.weight"].name == "in_proj"


def test_expand_may_be_a_fraction_that_gives_whole_heads():
    mixer = make(expand=1.5)
    assert mixer.out_proj.weight.shape == (32, 48)
    assert len(mixer.D) == 3
    assert mixer(torch.zeros(1, 3, 32)).shape == (1, 3, 32)
    with pytest.raises(ConfigError, match=r"expand \* d_model = 40"):
        make(expand=1.25)


@pytest.mark.parametrize("settings", [{"in_proj_rank": -1}, {"in_proj_fixed": True}, {"expand": float("nan")}])
def test_a_switch_out_of_range_is_refused(settings):
    with pytest.raises(ConfigError) as error:
        mamba3.Config(**settings)
    assert error.value.hint
