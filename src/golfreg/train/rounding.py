"""Late quantization-aware training: steps at the weights that decoding would give back.

The model, compiled or not, knows nothing of it: before the forward pass the rounded weights are written over the
parameters, after the backward pass the weights are written back and the gradients are taken through the quantizer's
``fake_quant``. So a weight that is used twice, or in several micro-batches, is rounded once, nothing is compiled
again, and optimizers, average and checkpoints only ever see the weights themselves.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from golfreg.api.errors import PluginError
from golfreg.api.values import Role
from golfreg.config.plan import Chosen


class Rounding:
    """Rounds every parameter of two or more dimensions as ``quantizer`` does; ``compiled``: in one compiled graph."""

    def __init__(
        self, parameters: Mapping[str, Tensor], roles: Mapping[str, Role], quantizer: Chosen, *, compiled: bool
    ) -> None:
        names = [name for name, parameter in parameters.items() if parameter.ndim >= 2]
        self.parameters = [parameters[name] for name in names]
        fake_quant, config = quantizer.load().fake_quant, quantizer.make_config()
        of_each = [roles[name] for name in names]

        def rounded(weights: list[Tensor]) -> list[Tensor]:
            return [fake_quant(weight, role, config) for weight, role in zip(weights, of_each, strict=True)]

        self.rounded: Any = torch.compile(rounded, dynamic=False) if compiled else rounded
        for name, parameter in zip(names, self.parameters, strict=True):
            with torch.no_grad():
                given = fake_quant(parameter.detach(), roles[name], config)
            if given.shape != parameter.shape or given.dtype != parameter.dtype:
                raise PluginError(
                    f"`fake_quant` of quantizer `{quantizer.name}` makes {given.dtype}{list(given.shape)}"
                    f" of `{name}`, which is {parameter.dtype}{list(parameter.shape)}"
                )

    @contextlib.contextmanager
    def weights(self) -> Iterator[None]:
        """Inside, the parameters are rounded; at the end they are what they were, and the gradients are theirs."""
        kept = [parameter.detach().clone().requires_grad_() for parameter in self.parameters]
        rounded = self.rounded(kept)
        _write(self.parameters, rounded)
        try:
            yield
        finally:
            _write(self.parameters, kept)
        used = [i for i, parameter in enumerate(self.parameters) if parameter.grad is not None]
        gradients = torch.autograd.grad(
            [rounded[i] for i in used],
            [kept[i] for i in used],
            [self.parameters[i].grad for i in used],
            materialize_grads=True,
        )
        for i, gradient in zip(used, gradients, strict=True):
            self.parameters[i].grad = gradient


@torch.no_grad()
def _write(parameters: list[Tensor], values: list[Tensor]) -> None:
    torch._foreach_copy_(parameters, values)
