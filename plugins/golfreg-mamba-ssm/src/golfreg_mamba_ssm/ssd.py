"""The op ``mamba2_ssd``, the recurrence of Mamba-2 (arXiv 2405.21060, state-space duality).

Per head, with h [P, N] and a scalar A < 0::

    h_t = exp(A dt_t) h_{t-1} + dt_t x_t B_t^T        y_t = h_t C_t + D x_t

Shape letters: B batch, T time, H heads, G groups of B and C, P head width, N state, K chunks, C chunk length.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from golfreg.api.kernel import ReferenceKernel
from golfreg_mamba_ssm.recurrence import Recurrence, start_marks

Tensor = torch.Tensor


def reference(
    x_BTHP: Tensor,
    dt_BTH: Tensor,
    A_H: Tensor,
    B_BTGN: Tensor,
    C_BTGN: Tensor,
    D_H: Tensor,
    starts_BT: Tensor | None = None,
    initial_state_BHPN: Tensor | None = None,
    *,
    chunk_size: int,
    return_state: bool = False,
) -> Any:
    """y_BTHP, or (y_BTHP, state_BHPN) with ``return_state``; float32 inside (float64 for float64).

    ``dt`` is positive. ``starts_BT`` is True where a document starts.
    """
    batch, length, n_heads, headdim = x_BTHP.shape
    per_group, n_state = n_heads // B_BTGN.shape[2], B_BTGN.shape[3]
    real = torch.float64 if x_BTHP.dtype == torch.float64 else torch.float32
    C = min(chunk_size, length)
    padding = -length % C

    def chunks(x_BTHX: Tensor) -> Tensor:
        """[B, T, H, ...] to [B, K, H, C, ...]; padded positions have dt = 0, so they change no state."""
        padded = F.pad(x_BTHX.to(real), (0, 0) * (x_BTHX.ndim - 2) + (0, padding))
        return padded.unflatten(1, (-1, C)).transpose(2, 3)

    x_BKHCP, dt_BKHC = chunks(x_BTHP), chunks(dt_BTH)
    b_BKHCN, c_BKHCN = (chunks(x).repeat_interleave(per_group, 2) for x in (B_BTGN, C_BTGN))
    L_BKHC = (dt_BKHC * A_H.to(real).view(-1, 1)).cumsum(-1)
    lower_CC = torch.ones(C, C, dtype=torch.bool, device=x_BTHP.device).tril()
    decay_BKHCC = (L_BKHC.unsqueeze(-1) - L_BKHC.unsqueeze(-2)).masked_fill(~lower_CC, -torch.inf).exp()
    enters_BKHC, leaves_BKHC = L_BKHC.exp(), (L_BKHC[..., -1:] - L_BKHC).exp()
    if starts_BT is not None:
        document_BKC = F.pad(starts_BT, (0, padding)).unflatten(1, (-1, C)).cumsum(-1)
        same_BKCC = document_BKC.unsqueeze(-1) == document_BKC.unsqueeze(-2)
        decay_BKHCC = decay_BKHCC * same_BKCC.unsqueeze(2)
        enters_BKHC = enters_BKHC * (document_BKC == 0).unsqueeze(2)
        leaves_BKHC = leaves_BKHC * (document_BKC == document_BKC[..., -1:]).unsqueeze(2)

    added_BKHCP = x_BKHCP * dt_BKHC.unsqueeze(-1)
    inside_BKHCP = (c_BKHCN @ b_BKHCN.mT * decay_BKHCC) @ added_BKHCP
    state_BKHPN = added_BKHCP.mT @ (b_BKHCN * leaves_BKHC.unsqueeze(-1))
    c_in_BKHCN = c_BKHCN * enters_BKHC.unsqueeze(-1)
    h_BHPN = x_BKHCP.new_zeros(batch, n_heads, headdim, n_state)
    if initial_state_BHPN is not None:
        h_BHPN = initial_state_BHPN.to(real)
    outputs = []
    for n in range(x_BKHCP.shape[1]):
        outputs.append(inside_BKHCP[:, n] + c_in_BKHCN[:, n] @ h_BHPN.mT)
        h_BHPN = enters_BKHC[:, n, :, -1, None, None] * h_BHPN + state_BKHPN[:, n]
    y_BTHP = torch.stack(outputs, 1).transpose(2, 3).flatten(1, 2)[:, :length]
    y_BTHP = (y_BTHP + D_H.to(real).unsqueeze(-1) * x_BTHP.to(real)).to(x_BTHP.dtype)
    return (y_BTHP, h_BHPN) if return_state else y_BTHP


def make_inputs(
    device: str | torch.device,
    dtype: torch.dtype,
    seed: int,
    *,
    batch: int = 2,
    length: int = 20,
    n_heads: int = 4,
    headdim: int = 16,
    ngroups: int = 1,
    d_state: int = 16,
    chunk_size: int = 16,
    starts: tuple[tuple[int, int], ...] | None = None,
    initial_state: bool = False,
    return_state: bool = False,
) -> dict[str, Any]:
    """Keyword arguments of the op. ``starts``: (sequence, position) of each document start."""
    generator = torch.Generator().manual_seed(seed)
    real = torch.float64 if dtype == torch.float64 else torch.float32

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    state = normal(batch, n_heads, headdim, d_state) * 0.5
    return {
        "x_BTHP": normal(batch, length, n_heads, headdim).to(device, dtype),
        "dt_BTH": F.softplus(normal(batch, length, n_heads) - 2).to(device, real),
        "A_H": -normal(n_heads).exp().to(device, real),
        "B_BTGN": normal(batch, length, ngroups, d_state).to(device, dtype),
        "C_BTGN": normal(batch, length, ngroups, d_state).to(device, dtype),
        "D_H": normal(n_heads).to(device, real),
        "starts_BT": start_marks(starts, batch, length, device),
        "initial_state_BHPN": state.to(device, real) if initial_state else None,
        "chunk_size": chunk_size,
        "return_state": return_state,
    }


SHAPES: dict[str, dict[str, Any]] = {
    "more_than_a_chunk": {},
    "one_position": {"length": 1},
    "two_groups": {"ngroups": 2, "length": 33},
    "document_starts": {"starts": ((0, 0), (0, 1), (0, 15), (0, 16), (1, 5), (1, 17))},
    "continued": {"initial_state": True, "return_state": True},
    "continued_with_starts": {"starts": ((0, 0), (0, 9), (1, 16)), "initial_state": True, "return_state": True},
    "as_the_mixer_calls_it": {"batch": 1, "length": 130, "headdim": 64, "d_state": 64, "chunk_size": 64},
}

op = Recurrence(reference, make_inputs, ("x_BTHP", "dt_BTH", "A_H", "B_BTGN", "C_BTGN", "D_H"), SHAPES)
reference_kernel = ReferenceKernel(reference)
