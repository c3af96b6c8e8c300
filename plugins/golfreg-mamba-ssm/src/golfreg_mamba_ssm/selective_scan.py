"""The op ``mamba1_scan``, the selective scan of Mamba-1 (arXiv 2312.00752, equation 2 with its section 3.6's rule).

Per channel, with h [N] and A < 0 a row of numbers::

    h_t = exp(dt_t A) h_{t-1} + dt_t B_t x_t        y_t = C_t h_t + D x_t

Every channel and state number has a decay of its own, so no sum over positions is a matrix product. The reference
goes through all chunks at once position by position, and then through the chunks: 2 sqrt(T) steps, and B T I N
numbers for each of decay and state.

Shape letters: B batch, T time, I channels, N state, K chunks, C chunk length.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F

from golfreg.api.kernel import ReferenceKernel
from golfreg_mamba_ssm.recurrence import Recurrence, start_marks

Tensor = torch.Tensor


def reference(
    x_BTI: Tensor,
    dt_BTI: Tensor,
    A_IN: Tensor,
    B_BTN: Tensor,
    C_BTN: Tensor,
    D_I: Tensor,
    starts_BT: Tensor | None = None,
    initial_state_BIN: Tensor | None = None,
    *,
    return_state: bool = False,
) -> Any:
    """y_BTI, or (y_BTI, state_BIN) with ``return_state``; float32 inside (float64 for float64).

    ``dt`` is positive. ``starts_BT`` is True where a document starts.
    """
    length = x_BTI.shape[1]
    real = torch.float64 if x_BTI.dtype == torch.float64 else torch.float32
    C = math.isqrt(length - 1) + 1

    def chunks(x_BTX: Tensor) -> Tensor:
        """[B, T, ...] to [B, K, C, ...]; padded positions have dt = 0, so they change no state."""
        return F.pad(x_BTX, (0, 0) * (x_BTX.ndim - 2) + (0, -length % C)).unflatten(1, (-1, C))

    x, dt, b, c = (chunks(x.to(real)) for x in (x_BTI, dt_BTI, B_BTN, C_BTN))
    decay_BKCIN = (dt.unsqueeze(-1) * A_IN.to(real)).exp()
    if starts_BT is not None:
        decay_BKCIN = decay_BKCIN.masked_fill(chunks(starts_BT)[..., None, None], 0)
    added_BKCIN = (dt * x).unsqueeze(-1) * b.unsqueeze(-2)
    own, through = [added_BKCIN[:, :, 0]], [decay_BKCIN[:, :, 0]]
    for at in range(1, C):
        own.append(decay_BKCIN[:, :, at] * own[-1] + added_BKCIN[:, :, at])
        through.append(decay_BKCIN[:, :, at] * through[-1])
    h_BIN = torch.zeros_like(own[-1][:, 0]) if initial_state_BIN is None else initial_state_BIN.to(real)
    entering = []
    for n in range(x.shape[1]):
        entering.append(h_BIN)
        h_BIN = through[-1][:, n] * h_BIN + own[-1][:, n]
    h_BKCIN = torch.stack(own, 2) + torch.stack(through, 2) * torch.stack(entering, 1).unsqueeze(2)
    y_BKCI = (h_BKCIN @ c.unsqueeze(-1)).squeeze(-1) + D_I.to(real) * x
    y_BTI = y_BKCI.flatten(1, 2)[:, :length].to(x_BTI.dtype)
    return (y_BTI, h_BIN) if return_state else y_BTI


def make_inputs(
    device: str | torch.device,
    dtype: torch.dtype,
    seed: int,
    *,
    batch: int = 2,
    length: int = 20,
    inner: int = 32,
    d_state: int = 8,
    starts: tuple[tuple[int, int], ...] | None = None,
    initial_state: bool = False,
    return_state: bool = False,
) -> dict[str, Any]:
    """Keyword arguments of the op. ``starts``: (sequence, position) of each document start."""
    generator = torch.Generator().manual_seed(seed)
    real = torch.float64 if dtype == torch.float64 else torch.float32

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    state = normal(batch, inner, d_state) * 0.5
    return {
        "x_BTI": normal(batch, length, inner).to(device, dtype),
        "dt_BTI": F.softplus(normal(batch, length, inner) - 2).to(device, real),
        "A_IN": -normal(inner, d_state).exp().to(device, real),
        "B_BTN": normal(batch, length, d_state).to(device, dtype),
        "C_BTN": normal(batch, length, d_state).to(device, dtype),
        "D_I": normal(inner).to(device, real),
        "starts_BT": start_marks(starts, batch, length, device),
        "initial_state_BIN": state.to(device, real) if initial_state else None,
        "return_state": return_state,
    }


SHAPES: dict[str, dict[str, Any]] = {
    "not_a_square": {},
    "one_position": {"length": 1},
    "a_square": {"length": 25, "d_state": 16},
    "document_starts": {"starts": ((0, 0), (0, 1), (0, 4), (0, 5), (1, 5), (1, 17), (1, 19))},
    "continued": {"initial_state": True, "return_state": True},
    "continued_with_starts": {"starts": ((0, 0), (0, 9), (1, 16)), "initial_state": True, "return_state": True},
    "longer_than_a_chunk_of_the_extension": {"batch": 1, "length": 2100, "inner": 8, "starts": ((0, 2048),)},
}

op = Recurrence(reference, make_inputs, ("x_BTI", "dt_BTI", "A_IN", "B_BTN", "C_BTN", "D_I"), SHAPES)
reference_kernel = ReferenceKernel(reference)
