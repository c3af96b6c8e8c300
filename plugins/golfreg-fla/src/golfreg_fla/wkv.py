"""The op ``rwkv7_wkv``, the recurrence of RWKV-7's heads (arXiv 2503.14456, the WKV state's evolution).

Per head, with S [K, V] (the paper's state transposed), w = exp(g), a unit removal key kappa and a learning rate a::

    S_t = diag(w_t) S_{t-1} - (a_t kappa_t) (S_{t-1}^T kappa_t)^T + k_t v_t^T        o_t = S_t^T r_t

With p_t = a_t kappa_t and G the running sum of g in a chunk, what is removed, u_t = S_{t-1}^T kappa_t, solves::

    u_i = S_0^T (e^{G_{i-1}} kappa_i) + sum_{j<i} (x_ij k_j) v_j - (x_ij p_j) u_j,   x_ij = kappa_i e^{G_{i-1} - G_j}

The paper's decay is never below exp(-e^{-1/2}): so e^{G_i - G_j} is a product of two numbers around the middle of the
chunk, of which none overflows, and every sum over channels is a matrix product.

Shape letters: B batch, T time, H heads, K key width, V value width, N chunks, C chunk length.
"""

from __future__ import annotations

import math
from typing import Any

import torch

from golfreg.api.kernel import ReferenceKernel
from golfreg_fla.chunks import chunked, flat, seen
from golfreg_fla.delta_rule import Recurrence, start_marks

Tensor = torch.Tensor
LOWEST = -math.exp(-0.5)
"""Of ``g``: a chunk of 64 then spans e^39."""


def reference(
    r_BTHK: Tensor,
    g_BTHK: Tensor,
    k_BTHK: Tensor,
    v_BTHV: Tensor,
    kappa_BTHK: Tensor,
    rate_BTHK: Tensor,
    starts_BT: Tensor | None = None,
    initial_state_BHKV: Tensor | None = None,
    *,
    chunk_size: int,
    return_state: bool = False,
) -> Any:
    """o_BTHV, or (o_BTHV, state_BHKV) with ``return_state``; float32 inside (float64 for float64).

    ``g`` is the logarithm of the decay, from ``LOWEST`` to 0; ``kappa`` has length 1, ``rate`` is from 0 to 1.
    ``starts_BT`` is True where a document starts. ``chunk_size`` is at most 64.
    """
    batch, length, n_heads, width = r_BTHK.shape
    real = torch.float64 if r_BTHK.dtype == torch.float64 else torch.float32
    C = min(chunk_size, length)
    r, g, k, v, kappa, rate = (chunked(x.to(real), C) for x in (r_BTHK, g_BTHK, k_BTHK, v_BTHV, kappa_BTHK, rate_BTHK))
    p, G = rate * kappa, g.cumsum(-2)
    one = seen(starts_BT, length, C, r)
    middle = G[..., C // 2, :].unsqueeze(-2)
    until, before, since = (G - middle).exp(), (G - g - middle).exp(), (middle - G).exp()
    k_since, p_since, r_until, kappa_before = k * since, p * since, r * until, kappa * before
    upto, earlier = one.pair.tril(), one.pair.tril(-1)

    identity = torch.eye(C, dtype=real, device=r.device)
    mixing = (kappa_before @ p_since.mT) * earlier
    enters, leaves = one.enters.unsqueeze(-1), one.leaves.unsqueeze(-1)
    right = torch.cat((((kappa_before @ k_since.mT) * earlier) @ v, kappa * (G - g).exp() * enters), -1)
    u0, from_state = torch.linalg.solve_triangular(identity + mixing, right, upper=False, unitriangular=True).split(
        [v.shape[-1], width], -1
    )
    of_v, of_u = (r_until @ k_since.mT) * upto, (r_until @ p_since.mT) * upto
    inside, r_in, left = of_v @ v, r * G.exp() * enters, (G[..., -1:, :] - G).exp() * leaves
    added, p_out = (k * left).mT @ v, p * left
    kept_BNHK = G[..., -1, :].exp() * one.enters[..., -1:]
    S = r.new_zeros(batch, n_heads, width, v.shape[-1])
    if initial_state_BHKV is not None:
        S = initial_state_BHKV.to(real)
    outputs = []
    for n in range(r.shape[1]):
        u = u0[:, n] + from_state[:, n] @ S
        outputs.append(inside[:, n] + r_in[:, n] @ S - of_u[:, n] @ u)
        S = kept_BNHK[:, n].unsqueeze(-1) * S + added[:, n] - p_out[:, n].mT @ u
    o_BTHV = flat(torch.stack(outputs, 1), length).to(r_BTHK.dtype)
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
    """Keyword arguments of the op. ``starts``: (sequence, position) of each document start."""
    generator = torch.Generator().manual_seed(seed)
    real = torch.float64 if dtype == torch.float64 else torch.float32

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    keys = batch, length, n_heads, width
    state = normal(batch, n_heads, width, value_width) * 0.5
    return {
        "r_BTHK": normal(*keys).to(device, dtype),
        "g_BTHK": (LOWEST * normal(*keys).mul(3).sigmoid()).to(device, real),
        "k_BTHK": normal(*keys).to(device, dtype),
        "v_BTHV": normal(batch, length, n_heads, value_width).to(device, dtype),
        "kappa_BTHK": torch.nn.functional.normalize(normal(*keys), dim=-1).to(device, dtype),
        "rate_BTHK": normal(*keys).sigmoid().to(device, dtype),
        "starts_BT": start_marks(starts, batch, length, device),
        "initial_state_BHKV": state.to(device, real) if initial_state else None,
        "chunk_size": chunk_size,
        "return_state": return_state,
    }


op = Recurrence(reference, make_inputs, ("r_BTHK", "g_BTHK", "k_BTHK", "v_BTHV", "kappa_BTHK", "rate_BTHK"))
reference_kernel = ReferenceKernel(reference)
