"""What the conformance kit cannot see of ``rwkv7``: the first layer's values, and where the initial values lie."""

from __future__ import annotations

import math

import pytest
import torch

pytest.importorskip("golfreg_fla", reason="install it: pip install -e plugins/golfreg-fla")

from golfreg.api import BuildContext, ConfigError
from golfreg.testing.models import liven
from golfreg_fla.rwkv7 import OP, Rwkv7Config, rwkv7
from golfreg_fla.wkv import LOWEST, reference

D = 64
CONTEXT = BuildContext(vocab_size=96, sequence_length=32, kernels={OP: reference})
SMALL = Rwkv7Config(head_width=16, decay_rank=8, rate_rank=8, value_rank=8, gate_rank=8, chunk_size=16)


def built(**changes):
    torch.manual_seed(0)
    return liven(rwkv7.build(D, Rwkv7Config(**{**vars(SMALL), **changes}), CONTEXT))


def test_the_first_layer_passes_its_values_on_and_a_later_one_mixes_them_in() -> None:
    mixer = built(value_residual=True)
    x_BTD, given_BTD = torch.randn(2, 20, D), torch.randn(2, 20, D, requires_grad=True)
    alone, passed = mixer(x_BTD)
    later, same = mixer(x_BTD, None, given_BTD)
    assert same is given_BTD
    assert passed.shape == given_BTD.shape
    assert not torch.allclose(later, alone, atol=1e-2)
    torch.testing.assert_close(mixer(x_BTD, None, passed)[0], alone, msg="its own values change nothing")
    (gradient,) = torch.autograd.grad(later.square().sum(), given_BTD)
    assert gradient.abs().sum(-1).gt(0).all()


def test_a_later_layer_in_steps_is_the_layer_over_all() -> None:
    mixer = built(value_residual=True)
    x_BTD, given_BTD = torch.randn(2, 24, D), torch.randn(2, 24, D)
    starts_BT = torch.zeros(2, 24, dtype=torch.bool)
    starts_BT[:, 0] = starts_BT[1, 8] = starts_BT[0, 13] = True
    with torch.no_grad():
        whole, _ = mixer(x_BTD, starts_BT, given_BTD)
        state, parts = mixer.initial_state(2, 24), []
        for at in range(0, 24, 8):
            part = slice(at, at + 8)
            y_BTD, state, _ = mixer.step(x_BTD[:, part], starts_BT[:, part], state, given_BTD[:, part])
            parts.append(y_BTD)
    torch.testing.assert_close(torch.cat(parts, 1), whole, rtol=1e-4, atol=1e-4)


def test_no_decay_is_stronger_than_what_the_op_takes() -> None:
    seen = []

    def watched(r, g, *rest, **static):
        seen.append(g)
        return reference(r, g, *rest, **static)

    mixer = rwkv7.build(D, SMALL, BuildContext(vocab_size=96, sequence_length=32, kernels={OP: watched}))
    mixer(torch.randn(1, 8, D))
    with torch.no_grad():
        mixer.decay_bias.fill_(math.inf)
    mixer(torch.randn(1, 8, D))
    lowest, highest = seen[0].aminmax()
    assert LOWEST < lowest < highest < 0
    assert seen[1].min().item() == pytest.approx(LOWEST)


def test_a_width_that_heads_do_not_divide_is_refused() -> None:
    with pytest.raises(ConfigError, match="head_width = 64"):
        rwkv7.build(96, Rwkv7Config(), CONTEXT)
