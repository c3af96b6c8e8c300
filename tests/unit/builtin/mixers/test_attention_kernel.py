"""Attention computes QK norm, RoPE and gain with the kernel that its context has, forward and when it goes on."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from golfreg.api.values import BuildContext
from golfreg.builtin.kernels import rotary_qk_norm
from golfreg.builtin.mixers.attention import attention, normed_and_rotated

X_BTD = torch.randn(2, 12, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def build(kernels: dict[str, Any], **config: Any) -> torch.nn.Module:
    torch.manual_seed(0)
    context = BuildContext(64, 16, kernels=kernels)
    mixer = attention.build(32, attention.Config(n_heads=4, n_kv_heads=2, **config), context).double()
    with torch.no_grad():
        for parameter in mixer.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return mixer


@pytest.mark.parametrize("config", [{}, {"rope_fraction": 0.5}])
def test_the_kernel_gives_what_the_plain_code_gives(config: dict[str, Any]) -> None:
    asked = []

    def kernel(*arguments: torch.Tensor, **options: Any) -> torch.Tensor:
        asked.append(arguments[0].shape)
        return rotary_qk_norm.reference(*arguments, **options)

    plain, fused = (build(kernels, **config) for kernels in ({}, {"rotary_qk_norm": kernel}))
    torch.testing.assert_close(fused(X_BTD), plain(X_BTD))
    assert asked == [(2, 12, 4, 8), (2, 12, 2, 8)]


def test_going_on_with_a_kernel_gives_what_one_call_gives() -> None:
    mixer = build({"rotary_qk_norm": rotary_qk_norm.reference})
    state = mixer.initial_state(2, 16)
    parts = []
    for x in X_BTD.split(5, 1):
        y, state = mixer.step(x, None, state)
        parts.append(y)
    torch.testing.assert_close(torch.cat(parts, 1), mixer(X_BTD))


@pytest.mark.parametrize("case", rotary_qk_norm.op.cases(), ids=lambda case: case.name)
def test_the_plain_code_is_the_op(case: Any) -> None:
    inputs = case.inputs("cpu", torch.float64, 0)
    torch.testing.assert_close(normed_and_rotated(**inputs), rotary_qk_norm.reference(**inputs))
