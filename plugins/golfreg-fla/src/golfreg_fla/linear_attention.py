"""The op ``gated_linear_attention``, the recurrence of GLA (arXiv 2312.06635, equation 3).

Per head, with S [K, V], alpha = exp(g) per key channel and scale = K^-1/2::

    S_t = diag(alpha_t) S_{t-1} + k_t v_t^T        o_t = scale S_t^T q_t

Inside a chunk the decays of each pair of positions are differences of running sums, taken before the exponential:
each is at most 1, so nothing overflows however strong the decay is.

Shape letters: B batch, T time, H heads, K key width, V value width, N chunks, C chunk length.
"""

from __future__ import annotations

from typing import Any

import torch

from golfreg.api.kernel import ReferenceKernel
from golfreg_fla.chunks import chunked, flat, seen
from golfreg_fla.delta_rule import Recurrence, start_marks

Tensor = torch.Tensor
LONGEST_CHUNK = 16
"""Of the reference: it holds C * K decays a position."""


def reference(
    q_BTHK: Tensor,
    k_BTHK: Tensor,
    v_BTHV: Tensor,
    g_BTHK: Tensor,
    starts_BT: Tensor | None = None,
    initial_state_BHKV: Tensor | None = None,
    *,
    return_state: bool = False,
) -> Any:
    """o_BTHV, or (o_BTHV, state_BHKV) with ``return_state``; float32 inside (float64 for float64).

    ``g`` is the logarithm of the decay, at most 0. ``starts_BT`` is True where a document starts.
    """
    batch, length, n_heads, width = q_BTHK.shape
    real = torch.float64 if q_BTHK.dtype == torch.float64 else torch.float32
    C = min(LONGEST_CHUNK, length)
    q, k, v = (chunked(x.to(real), C) for x in (q_BTHK * width**-0.5, k_BTHK, v_BTHV))
    G = chunked(g_BTHK.to(real), C).cumsum(-2)
    one = seen(starts_BT, length, C, q)
    later_CC1 = torch.ones(C, C, dtype=torch.bool, device=q.device).triu(1).unsqueeze(-1)
    decay = (G.unsqueeze(-2) - G.unsqueeze(-3)).masked_fill(later_CC1, -torch.inf).exp()
    score = torch.einsum("bnhik,bnhjk,bnhijk->bnhij", q, k, decay) * one.pair
    inside = score @ v
    q_in, k_out = q * G.exp() * one.enters.unsqueeze(-1), k * (G[..., -1:, :] - G).exp() * one.leaves.unsqueeze(-1)
    added = k_out.mT @ v
    kept_BNHK = G[..., -1, :].exp() * one.enters[..., -1:]
    S = q.new_zeros(batch, n_heads, width, v.shape[-1])
    if initial_state_BHKV is not None:
        S = initial_state_BHKV.to(real)
    outputs = []
    for n in range(q.shape[1]):
        outputs.append(inside[:, n] + q_in[:, n] @ S)
        S = kept_BNHK[:, n].unsqueeze(-1) * S + added[:, n]
    o_BTHV = flat(torch.stack(outputs, 1), length).to(q_BTHK.dtype)
    return (o_BTHV, S) if return_state else o_BTHV


def make_inputs(
    device: str | torch.device,
    dtype: torch.dtype,
    seed: int,
    *,
    batch: int = 2,
    length: int = 20,
    n_heads: int = 2,
    width: int = 16,
    value_width: int = 32,
    chunk_size: int = 8,
    starts: tuple[tuple[int, int], ...] | None = None,
    initial_state: bool = False,
    return_state: bool = False,
) -> dict[str, Any]:
    """Keyword arguments of the op. ``chunk_size`` is the other op's."""
    generator = torch.Generator().manual_seed(seed)
    real = torch.float64 if dtype == torch.float64 else torch.float32

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    state = normal(batch, n_heads, width, value_width) * 0.5
    return {
        "q_BTHK": normal(batch, length, n_heads, width).to(device, dtype),
        "k_BTHK": normal(batch, length, n_heads, width).to(device, dtype),
        "v_BTHV": normal(batch, length, n_heads, value_width).to(device, dtype),
        "g_BTHK": (torch.nn.functional.logsigmoid(normal(batch, length, n_heads, width)) / 4).to(device, real),
        "starts_BT": start_marks(starts, batch, length, device),
        "initial_state_BHKV": state.to(device, real) if initial_state else None,
        "return_state": return_state,
    }


op = Recurrence(reference, make_inputs, ("q_BTHK", "k_BTHK", "v_BTHV", "g_BTHK"))
reference_kernel = ReferenceKernel(reference)
