"""An exponential moving average of the weights."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


class Average:
    """``decay`` of the old average is kept at each step; less in the beginning, (1 + step) / (10 + step),

    so that a short run's average does not remember the initial weights.
    """

    def __init__(self, parameters: Mapping[str, Tensor], decay: float) -> None:
        self.decay = decay
        self.parameters = list(parameters.values())
        self.means = {name: p.detach().clone() for name, p in parameters.items()}

    @torch.no_grad()
    def update(self, count: int) -> None:
        """Take in the weights after step ``count`` (from 1)."""
        decay = min(self.decay, (1 + count) / (10 + count))
        torch._foreach_lerp_(list(self.means.values()), self.parameters, 1.0 - decay)
