"""The op ``gated_delta_rule``, the recurrence of Gated DeltaNet (arXiv 2412.06464, equation 10).

Per head, with S [K, V], alpha = exp(g) and scale = K^-1/2::

    S_t = alpha_t S_{t-1} + beta_t k_t (v_t - alpha_t S_{t-1}^T k_t)^T        o_t = scale S_t^T q_t

In a chunk the corrections u_t = beta_t (v_t - alpha_t S_{t-1}^T k_t) solve a triangular system (the paper's WY form)::

    u_i = beta_i (v_i - e^{G_i} S_0^T k_i - sum_{j<i} e^{G_i - G_j} (k_i k_j) u_j),   G the running sum of g

Shape letters: B batch, T time, H heads, K key width, V value width, N chunks, C chunk length.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch

from golfreg.api.kernel import ReferenceKernel
from golfreg.api.values import Case
from golfreg_fla.chunks import chunked, flat, seen

Tensor = torch.Tensor


def reference(
    q_BTHK: Tensor,
    k_BTHK: Tensor,
    v_BTHV: Tensor,
    g_BTH: Tensor,
    beta_BTH: Tensor,
    starts_BT: Tensor | None = None,
    initial_state_BHKV: Tensor | None = None,
    *,
    chunk_size: int,
    return_state: bool = False,
) -> Any:
    """o_BTHV, or (o_BTHV, state_BHKV) with ``return_state``; float32 inside (float64 for float64).

    ``g`` is the logarithm of the decay, at most 0. ``starts_BT`` is True where a document starts.
    """
    batch, length, n_heads, width = q_BTHK.shape
    real = torch.float64 if q_BTHK.dtype == torch.float64 else torch.float32
    C = min(chunk_size, length)
    q, k, v = (chunked(x.to(real), C) for x in (q_BTHK * width**-0.5, k_BTHK, v_BTHV))
    G, beta = chunked(g_BTH.to(real), C).cumsum(-1), chunked(beta_BTH.to(real), C).unsqueeze(-1)
    one = seen(starts_BT, length, C, q)
    lower_CC = torch.ones(C, C, dtype=torch.bool, device=q.device).tril()
    decay = (G.unsqueeze(-1) - G.unsqueeze(-2)).masked_fill(~lower_CC, -torch.inf).exp() * one.pair
    enters, leaves = G.exp() * one.enters, (G[..., -1:] - G).exp() * one.leaves
    kept_BNH = enters[..., -1]

    mixing = beta * (k @ k.mT) * decay.tril(-1)
    identity = torch.eye(C, dtype=real, device=q.device)
    right = torch.cat((beta * v, beta * enters.unsqueeze(-1) * k), -1)
    u0, w = torch.linalg.solve_triangular(identity + mixing, right, upper=False, unitriangular=True).split(
        [v.shape[-1], width], -1
    )
    score, q_in, k_out = (q @ k.mT) * decay, q * enters.unsqueeze(-1), k * leaves.unsqueeze(-1)
    S = q.new_zeros(batch, n_heads, width, v.shape[-1])
    if initial_state_BHKV is not None:
        S = initial_state_BHKV.to(real)
    outputs = []
    for n in range(q.shape[1]):
        u = u0[:, n] - w[:, n] @ S
        outputs.append(q_in[:, n] @ S + score[:, n] @ u)
        S = kept_BNH[:, n, :, None, None] * S + k_out[:, n].mT @ u
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
    """Keyword arguments of the op. ``starts``: (sequence, position) of each document start."""
    generator = torch.Generator().manual_seed(seed)
    real = torch.float64 if dtype == torch.float64 else torch.float32

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    q, k = (torch.nn.functional.normalize(normal(batch, length, n_heads, width), dim=-1) for _ in range(2))
    g = -torch.nn.functional.softplus(normal(batch, length, n_heads) - 1)
    state = normal(batch, n_heads, width, value_width) * 0.5
    return {
        "q_BTHK": q.to(device, dtype),
        "k_BTHK": k.to(device, dtype),
        "v_BTHV": normal(batch, length, n_heads, value_width).to(device, dtype),
        "g_BTH": g.to(device, real),
        "beta_BTH": normal(batch, length, n_heads).sigmoid().to(device, dtype),
        "starts_BT": start_marks(starts, batch, length, device),
        "initial_state_BHKV": state.to(device, real) if initial_state else None,
        "chunk_size": chunk_size,
        "return_state": return_state,
    }


def start_marks(
    starts: tuple[tuple[int, int], ...] | None, batch: int, length: int, device: str | torch.device
) -> Tensor | None:
    if starts is None:
        return None
    marks_BT = torch.zeros(batch, length, dtype=torch.bool, device=device)
    for sequence, position in starts:
        marks_BT[sequence, position] = True
    return marks_BT


SHAPES: dict[str, dict[str, Any]] = {
    "two_and_a_half_chunks": {},
    "one_position": {"length": 1},
    "one_past_a_chunk": {"length": 9},
    "document_starts": {"starts": ((0, 0), (0, 1), (0, 7), (0, 8), (1, 5), (1, 16))},
    "continued": {"initial_state": True, "return_state": True},
    "continued_with_starts": {"starts": ((0, 0), (0, 9), (1, 8)), "initial_state": True, "return_state": True},
    "as_the_mixer_calls_it": {"batch": 1, "length": 130, "width": 64, "value_width": 64, "chunk_size": 64},
}
"""Cases of every op of this package: name to what ``make_inputs`` takes."""


class Recurrence:
    """An op of this package: its reference, cases and tolerances. ``names``: of the inputs that have gradients."""

    def __init__(
        self, reference: Callable[..., Any], make_inputs: Callable[..., dict[str, Any]], names: tuple[str, ...]
    ) -> None:
        self.reference = reference
        self._make_inputs, self._names = make_inputs, names

    def cases(self) -> list[Case]:
        return [
            Case(name, functools.partial(self._make_inputs, **shape), self._names) for name, shape in SHAPES.items()
        ]

    def tolerance(self, dtype: torch.dtype) -> float:
        """Largest RMS error relative to the reference in float64, of an output or a gradient."""
        return {torch.float64: 1e-9, torch.float32: 1e-4, torch.float16: 4e-3}.get(dtype, 3e-2)


op = Recurrence(reference, make_inputs, ("q_BTHK", "k_BTHK", "v_BTHV", "g_BTH", "beta_BTH"))
reference_kernel = ReferenceKernel(reference)
