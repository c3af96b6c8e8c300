"""Mamba-3 SISO one position at a time: slow, and what ``reference`` and every kernel must equal.

The formulas are those of arXiv 2603.15569 as the published step function evaluates them.
Shape letters as in ``mamba3_siso``.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F

from golfreg.builtin.kernels.mamba3_siso import State, decay_rate, projection_rows


def rotate_pairs(x_BHN: torch.Tensor, phi_BHR: torch.Tensor) -> torch.Tensor:
    """Rotate the pairs (2i, 2i+1) of the first 2R channels by phi_i."""
    r = phi_BHR.shape[-1]
    even, odd = x_BHN[..., 0 : 2 * r : 2], x_BHN[..., 1 : 2 * r : 2]
    cos, sin = phi_BHR.cos(), phi_BHR.sin()
    pairs = torch.stack((even * cos - odd * sin, even * sin + odd * cos), dim=-1)
    return torch.cat((pairs.flatten(-2), x_BHN[..., 2 * r :]), dim=-1)


def recurrence(
    projected_BTP: torch.Tensor,
    dt_bias_H: torch.Tensor,
    B_bias_HN: torch.Tensor,
    C_bias_HN: torch.Tensor,
    B_norm_N: torch.Tensor,
    C_norm_N: torch.Tensor,
    D_H: torch.Tensor,
    starts_BT: torch.Tensor | None = None,
    initial_state: State | None = None,
    *,
    headdim: int,
    d_state: int,
    ngroups: int,
    n_angles: int,
    chunk_size: int,
    a_form: str,
    a_floor: float,
    norm_eps: float,
    return_state: bool = False,
) -> Any:
    """y_BTI, or (y_BTI, ``State``), in the dtype of ``projected_BTP``; ``chunk_size`` has no effect."""
    n_batch, length, _ = projected_BTP.shape
    n_heads = dt_bias_H.shape[0]
    rows = projection_rows(n_heads, headdim, d_state, ngroups, n_angles)
    new = projected_BTP.new_zeros
    zero = (
        new(n_batch, n_heads, n_angles),
        new(n_batch, n_heads, headdim, d_state),
        new(n_batch, n_heads, d_state),
        new(n_batch, n_heads, headdim),
    )
    phi, h, k_before, v_before = zero if initial_state is None else initial_state

    def keys(x_BS: torch.Tensor, norm_N: torch.Tensor, bias_HN: torch.Tensor, phi_BHR: torch.Tensor) -> torch.Tensor:
        x_BGN = x_BS.unflatten(-1, (ngroups, d_state))
        x_BGN = x_BGN * (x_BGN.square().mean(-1, keepdim=True) + norm_eps).rsqrt() * norm_N
        return rotate_pairs(x_BGN.repeat_interleave(n_heads // ngroups, 1) + bias_HN, phi_BHR)

    outputs = []
    for t in range(length):
        if starts_BT is not None:
            start_B = starts_BT[:, t]
            phi, h, k_before, v_before = (
                x.where(~start_B.view(-1, *[1] * (x.ndim - 1)), x.new_zeros(())) for x in (phi, h, k_before, v_before)
            )
        z, x, B, C, dt, A, trap, angle = projected_BTP[:, t].split([n for _, n in rows], dim=-1)
        dt = F.softplus(dt + dt_bias_H)
        alpha = (decay_rate(A, a_form, a_floor) * dt).exp()
        lam = trap.sigmoid()
        phi = torch.remainder(phi + torch.tanh(angle).unsqueeze(1) * math.pi * dt.unsqueeze(-1), 2 * math.pi)
        k, q = keys(B, B_norm_N, B_bias_HN, phi), keys(C, C_norm_N, C_bias_HN, phi)
        v = x.unflatten(-1, (n_heads, headdim))
        before = ((1 - lam) * dt)[..., None, None] * v_before.unsqueeze(-1) * k_before.unsqueeze(-2)
        now = (lam * dt)[..., None, None] * v.unsqueeze(-1) * k.unsqueeze(-2)
        h = alpha[..., None, None] * (h + before) + now
        y = (h @ q.unsqueeze(-1)).squeeze(-1) + D_H.unsqueeze(-1) * v
        outputs.append(y.flatten(1) * F.silu(z))
        k_before, v_before = k, v
    y_BTI = torch.stack(outputs, 1)
    return (y_BTI, (phi, h, k_before, v_before)) if return_state else y_BTI
