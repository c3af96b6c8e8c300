"""What the references share: time cut into chunks, and which positions of a chunk are of one document.

Shape letters: B batch, T time, X any, N chunks, C chunk length, H heads.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F

Tensor = torch.Tensor


class Seen(NamedTuple):
    """Masks of float 0 and 1, broadcast over heads.

    ``pair`` [B, N, 1, C, C]: both positions are of one document (whatever their order); ``enters`` [B, N, 1, C]:
    the position is of the document that enters the chunk; ``leaves``: of the one that leaves it.
    """

    pair: Tensor
    enters: Tensor
    leaves: Tensor


def chunked(x_BTHX: Tensor, chunk: int) -> Tensor:
    """[B, T, H, ...] to [B, N, H, C, ...], padded with zeros at the end."""
    padding = -x_BTHX.shape[1] % chunk
    padded = F.pad(x_BTHX, (0, 0) * (x_BTHX.ndim - 2) + (0, padding)) if padding else x_BTHX
    return padded.unflatten(1, (-1, chunk)).transpose(2, 3)


def flat(x_BNHCX: Tensor, length: int) -> Tensor:
    """The inverse of ``chunked``."""
    return x_BNHCX.transpose(2, 3).flatten(1, 2)[:, :length]


def seen(starts_BT: Tensor | None, length: int, chunk: int, like: Tensor) -> Seen:
    """Masks for documents that begin where ``starts_BT`` is True; padding belongs to the last one."""
    if starts_BT is None:
        starts_BT = torch.zeros(1, length, dtype=torch.bool, device=like.device)
    document_BNC = F.pad(starts_BT, (0, -length % chunk)).unflatten(1, (-1, chunk)).cumsum(-1)
    pair = document_BNC.unsqueeze(-1) == document_BNC.unsqueeze(-2)
    masks = pair, document_BNC == 0, document_BNC == document_BNC[..., -1:]
    return Seen(*(mask.unsqueeze(2).to(like.dtype) for mask in masks))
