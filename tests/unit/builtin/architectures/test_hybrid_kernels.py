"""The hybrid computes with the kernels that its context has, and gives its head to a kernel of the loss."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from golfreg.api.values import BuildContext
from golfreg.builtin.architectures.hybrid import hybrid
from golfreg.builtin.kernels import mlp_activation, rms_norm, softcapped_cross_entropy
from golfreg.builtin.mixers.attention import attention
from golfreg.train.loss import Gradients

TOKENS, TARGETS = torch.randint(64, (2, 3, 16), generator=torch.Generator().manual_seed(0)).unbind()


def build(kernels: dict[str, Any], **config: Any) -> torch.nn.Module:
    torch.manual_seed(0)
    context = BuildContext(64, 16, mixers={"attention": (attention, attention.Config())}, kernels=kernels)
    model = hybrid.build(hybrid.Config(n_layers=2, d_model=64, **config), context)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))  # What starts at zero would hide a difference.
    return model


@pytest.mark.parametrize("kind", ["relu2", "leaky_relu2"])
def test_the_kernel_of_the_activation_is_called_with_its_kind(kind: str) -> None:
    asked = []

    def kernel(x: torch.Tensor, *, kind: str) -> torch.Tensor:
        asked.append(kind)
        return mlp_activation.reference(x, kind=kind)

    plain, fused = (build(kernels, mlp_activation=kind)(TOKENS) for kernels in ({}, {"mlp_activation": kernel}))
    torch.testing.assert_close(fused, plain)
    assert asked == [kind] * 2


def test_a_kernel_is_not_asked_where_there_is_no_mlp() -> None:
    asked: list[Any] = []
    assert build({"mlp_activation": asked.append}, mlp_ratio=0.0)(TOKENS).shape == (3, 16, 64)
    assert not asked


@pytest.mark.parametrize("config", [{}, {"logit_softcap": 0.0}, {"tie_embeddings": False}])
def test_a_kernel_of_the_loss_gives_the_same_loss_and_gradients(config: dict[str, Any]) -> None:
    found = []
    for kernel in (None, softcapped_cross_entropy.reference):
        model = build({}, **config)
        gradients = Gradients(model, vocab_size=64, compile_model=False, loss_kernel=kernel)
        loss = gradients(zip(TOKENS.chunk(3), TARGETS.chunk(3), strict=True), TOKENS.numel())
        found.append((loss, {name: p.grad for name, p in model.named_parameters()}))
    torch.testing.assert_close(found[1], found[0])


def test_the_kernel_of_the_norm_computes_every_norm_of_the_stream() -> None:
    asked = []

    def kernel(x: torch.Tensor, *, eps: float) -> torch.Tensor:
        asked.append(eps)
        return rms_norm.reference(x, eps=eps)

    plain, fused = (build(kernels)(TOKENS) for kernels in ({}, {"rms_norm": kernel}))
    torch.testing.assert_close(fused, plain)
    assert asked == [torch.finfo(torch.float32).eps] * (2 * 2 + 2)
