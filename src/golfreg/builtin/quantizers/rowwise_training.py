"""``rowwise`` while training: weights rounded in the forward pass, gradients passed straight through."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from golfreg.api.values import Role
from golfreg.builtin.quantizers import parts
from golfreg.builtin.quantizers.rowwise import row_codes, row_scales

if TYPE_CHECKING:
    from golfreg.builtin.quantizers.rowwise import RowwiseConfig


def fake_quant(weight: torch.Tensor, role: Role, config: RowwiseConfig) -> torch.Tensor:
    """The weight as decoding would give it back, in its own dtype; the gradient is the identity (arXiv 1308.3432)."""
    if weight.ndim < 2 or weight.numel() <= config.raw_elements:
        rounded = weight.detach().to(parts.TORCH_DTYPE[config.raw_dtype])
        return rounded.to(weight.dtype) + (weight - weight.detach())
    pieces = []
    for group, rows in parts.row_groups("weight", weight.detach().to(torch.float32), role):
        bits, clip_std = config.width(role.name, group)
        highest = 2 ** (bits - 1) - 1
        scale_R = row_scales(rows, clip_std, highest, config.scale_mantissa_bits)
        scale = scale_R.to(torch.float32).view(-1, *[1] * (rows.ndim - 1))
        pieces.append(row_codes(rows, scale_R, highest) * scale)
    return torch.cat(pieces).to(weight.dtype) + (weight - weight.detach())
