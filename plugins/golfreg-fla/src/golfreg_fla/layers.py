"""Layers of the mixers.

Shape letters: B batch, T time, D channels, W width of a convolution, H heads, K, V head widths.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

Tensor = torch.Tensor


class Linear(nn.Linear):
    """``x @ weight.T`` in the dtype of x. ``zero``: start at zero, as projections into the residual stream do."""

    def __init__(self, d_in: int, d_out: int, *, zero: bool = False) -> None:
        super().__init__(d_in, d_out, bias=False)
        if zero:
            nn.init.zeros_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight.to(x.dtype))


class ShortConvolution(nn.Module):
    """A causal convolution of each channel with the last W positions of its document, then SiLU."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(width)
        self.weight = nn.Parameter(torch.empty(channels, width).uniform_(-bound, bound))

    def forward(self, x_BTD: Tensor, starts_BT: Tensor | None, before: tuple[Tensor, Tensor] | None) -> Tensor:
        """``before``: the W - 1 positions that came earlier and their document starts (``after`` gives them)."""
        width, length = self.weight.shape[1], x_BTD.shape[1]
        if before is None:
            x_BSD, starts_BS = F.pad(x_BTD, (0, 0, width - 1, 0)), starts_BT
            if starts_BS is not None:
                starts_BS = F.pad(starts_BS, (width - 1, 0))
        else:
            x_BSD, starts_BS = _joined(x_BTD, starts_BT, before)
        document_BS = None if starts_BS is None else starts_BS.cumsum(1)
        y_BTD = torch.zeros_like(x_BTD)
        weight_DW = self.weight.to(x_BTD.dtype)
        for back in range(width):
            at = width - 1 - back
            shifted = x_BSD[:, at : at + length]
            if document_BS is not None and back:
                same_BT = document_BS[:, at : at + length] == document_BS[:, width - 1 :]
                shifted = shifted * same_BT.unsqueeze(-1)
            y_BTD = y_BTD + shifted * weight_DW[:, -1 - back]
        return F.silu(y_BTD)

    def nothing(self, n_batch: int) -> tuple[Tensor, Tensor]:
        """What came before a window that begins a text."""
        reach = self.weight.shape[1] - 1
        marks = torch.zeros(n_batch, reach, dtype=torch.bool, device=self.weight.device)
        return self.weight.new_zeros(n_batch, reach, self.weight.shape[0]), marks

    def after(self, x_BTD: Tensor, starts_BT: Tensor | None, before: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """``before`` of the next window."""
        x_BSD, starts_BS = _joined(x_BTD, starts_BT, before)
        first = x_BSD.shape[1] - (self.weight.shape[1] - 1)
        return x_BSD[:, first:], starts_BS[:, first:]


def _joined(x_BTD: Tensor, starts_BT: Tensor | None, before: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    marks_BT = starts_BT if starts_BT is not None else torch.zeros_like(x_BTD[..., 0], dtype=torch.bool)
    return torch.cat((before[0].to(x_BTD.dtype), x_BTD), 1), torch.cat((before[1], marks_BT), 1)


def gated_norm(o_BTHV: Tensor, gate_BTI: Tensor, weight_V: Tensor) -> Tensor:
    """RMS norm of each head, a weight, and the gate's SiLU: [B, T, H * V]"""
    o_BTHV = F.rms_norm(o_BTHV.float(), (o_BTHV.shape[-1],), weight_V.float(), 1e-5)
    return (o_BTHV.flatten(2) * F.silu(gate_BTI.float())).to(gate_BTI.dtype)


def unit(x_BTHK: Tensor) -> Tensor:
    """Each head's vector at length 1."""
    return F.normalize(x_BTHK.float(), dim=-1, eps=1e-6).to(x_BTHK.dtype)
