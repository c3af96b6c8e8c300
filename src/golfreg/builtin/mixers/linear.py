"""A bias-free linear layer that keeps float32 weights and multiplies in the dtype of its input."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


class Linear(nn.Linear):
    """``x @ weight.T``. ``zero``: start at zero, as projections back into the residual stream do."""

    def __init__(self, d_in: int, d_out: int, *, zero: bool = False) -> None:
        super().__init__(d_in, d_out, bias=False)
        if zero:
            nn.init.zeros_(self.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(x, self.weight.to(x.dtype))
