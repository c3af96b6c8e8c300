"""fla's chunked kernels as a kernel of the op ``rwkv7_wkv``.

fla has one autograd function for it, without the functions inside that the other two ops have: its two halves are
called with an object that keeps what the first one saves. The backward runs with what the forward was given, and
fla computes the rest anew. The paper's decay has a lower bound, which is what fla's chunks of 64 need.

Shape letters: B batch, T time, H heads, K key width, V value width.
"""

from __future__ import annotations

from typing import Any

import torch

from golfreg_fla.kernels import FlaKernel, chunk_indices, differentiate, fla, fresh, keep, nothing, state_shape
from golfreg_fla.packed import Packed

Tensor = torch.Tensor


class Kept:
    """What fla's function takes for autograd's context."""

    saved_tensors: tuple[Tensor | None, ...] = ()

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        self.saved_tensors = tensors


def function() -> Any:
    return fla("ops.generalized_delta_rule.dplr.chunk").ChunkDPLRDeltaRuleFunction


def _resumed(packed: Packed, tensors: tuple[Tensor, ...], state: Tensor | None, chunk: int) -> Kept:
    """What fla's forward would have left, so that its backward can be called without it."""
    kept = Kept()
    kept.save_for_backward(*(packed.stack(x) for x in tensors), packed.entering(state))
    settings = {
        "scale": 1.0, "chunk_size": chunk, "cu_seqlens": packed.cu_seqlens, "safe_gate": True,
        "chunk_indices": chunk_indices(packed, chunk), "disable_recompute": False, "cp_context": None,
    }  # fmt: skip
    vars(kept).update(settings, _fwd_used_autocast=False, _dtype=None)
    return kept


@torch.library.custom_op("golfreg_fla::wkv_forward", mutates_args=())
def _forward(
    q: Tensor, k: Tensor, v: Tensor, a: Tensor, b: Tensor, g: Tensor, starts: Tensor | None, state: Tensor | None,
    chunk: int, return_state: bool,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    packed = Packed.of(q, starts)
    o, after = function().forward(
        Kept(), *(packed.stack(x) for x in (q, k, v, a, b, g)), scale=1.0, initial_state=packed.entering(state),
        output_final_state=return_state, cu_seqlens=packed.cu_seqlens, safe_gate=True, chunk_size=chunk,
    )  # fmt: skip
    end = fresh(packed.last(after), torch.float32) if return_state else nothing(q)
    return fresh(packed.unstack(o), v.dtype), end


@_forward.register_fake
def _(q, k, v, a, b, g, starts, state, chunk, return_state):  # type: ignore[no-untyped-def]
    return v.new_empty(v.shape), q.new_empty(state_shape(q, v) if return_state else (0,), dtype=torch.float32)


@torch.library.custom_op("golfreg_fla::wkv_backward", mutates_args=())
def _backward(
    q: Tensor, k: Tensor, v: Tensor, a: Tensor, b: Tensor, g: Tensor, starts: Tensor | None, state: Tensor | None,
    do: Tensor, dend: Tensor | None, chunk: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    packed = Packed.of(q, starts)
    of_end = None if dend is None else packed.spread_last(dend)
    found = function().backward(_resumed(packed, (q, k, v, a, b, g), state, chunk), packed.stack(do), of_end)
    grads = [fresh(packed.unstack(d), x.dtype) for d, x in zip(found[:6], (q, k, v, a, b, g), strict=True)]
    before = nothing(q) if state is None else fresh(packed.entered(found[7]), torch.float32)
    return (*grads, before)  # type: ignore[return-value]


@_backward.register_fake
def _(q, k, v, a, b, g, starts, state, do, dend, chunk):  # type: ignore[no-untyped-def]
    before = q.new_empty((0,) if state is None else state_shape(q, v), dtype=torch.float32)
    return (*(x.new_empty(x.shape) for x in (q, k, v, a, b, g)), before)


_forward.register_autograd(differentiate(6, _backward), setup_context=keep(6))


def rwkv7_wkv(
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
    """The op's signature."""
    state = None if initial_state_BHKV is None else initial_state_BHKV.float()
    o, end = _forward(
        r_BTHK, k_BTHK, v_BTHV, -kappa_BTHK, kappa_BTHK * rate_BTHK, g_BTHK.float(), starts_BT, state,
        chunk_size if chunk_size in (16, 32, 64) else 64, return_state,
    )  # fmt: skip
    return (o, end) if return_state else o


wkv_kernel = FlaKernel(rwkv7_wkv)
