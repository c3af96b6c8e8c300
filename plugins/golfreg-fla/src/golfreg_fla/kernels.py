"""fla's chunked kernels as torch custom ops behind the signatures of their ops.

fla's own functions tell ``torch.compile`` to break the graph; these call what is inside them. The backward computes
the forward's residuals anew, as they depend on the number of documents. fla tunes a kernel when it first meets a
shape, which in a run happens in the warm-up before the clock.

Shape letters: B batch, T time, H heads, K key width, V value width.
"""

from __future__ import annotations

import importlib
import warnings
from typing import Any

import torch

from golfreg.api.errors import EnvironmentFault
from golfreg_fla.packed import Packed
from golfreg_fla.plugin import INSTALL

Tensor = torch.Tensor
DTYPES = ("bfloat16", "float16")


def fla(name: str) -> Any:
    """The module ``fla.NAME``. Its warnings about other libraries are nobody's here."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module(f"fla.{name}")
    except ImportError as error:
        raise EnvironmentFault(f"`fla.{name}` could not be imported: {error}", hint=INSTALL) from error


def chunk_indices(packed: Packed, chunk: int) -> Any:
    if packed.cu_seqlens is None:
        return None
    return fla("ops.utils").prepare_chunk_indices(packed.cu_seqlens, chunk)


def nothing(like: Tensor) -> Tensor:
    return like.new_empty((0,), dtype=torch.float32)


def fresh(x: Tensor, dtype: torch.dtype) -> Tensor:
    """A tensor of its own, contiguous: a custom op may return no view of an input."""
    return x.to(dtype, memory_format=torch.contiguous_format, copy=True)


def state_shape(q: Tensor, v: Tensor) -> tuple[int, ...]:
    return (q.shape[0], q.shape[2], q.shape[3], v.shape[3])


def _delta(q: Tensor, k: Tensor, v: Tensor, g: Tensor, beta: Tensor, state: Tensor | None, end: bool, chunk: int,
           packed: Packed) -> tuple[dict[str, Any], Tensor, Tensor, Any]:  # fmt: skip
    """(what the backward needs, o, A, the last state)."""
    common = {
        **{name: packed.stack(x) for name, x in (("q", q), ("k", k), ("v", v), ("beta", beta))},
        "scale": q.shape[-1] ** -0.5, "initial_state": packed.entering(state), "cu_seqlens": packed.cu_seqlens,
        "chunk_indices": chunk_indices(packed, chunk), "chunk_size": chunk,
    }  # fmt: skip
    running, o, A, after, *_ = fla("ops.gated_delta_rule.chunk").chunk_gated_delta_rule_fwd(
        **common, g=packed.stack(g), output_final_state=end
    )
    return {**common, "g": running}, o, A, after


@torch.library.custom_op("golfreg_fla::delta_forward", mutates_args=())
def _delta_forward(
    q: Tensor, k: Tensor, v: Tensor, g: Tensor, beta: Tensor, starts: Tensor | None, state: Tensor | None,
    chunk: int, return_state: bool,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    packed = Packed.of(q, starts)
    _, o, _, after = _delta(q, k, v, g, beta, state, return_state, chunk, packed)
    end = fresh(packed.last(after), torch.float32) if return_state else nothing(q)
    return fresh(packed.unstack(o), v.dtype), end


@_delta_forward.register_fake
def _(q, k, v, g, beta, starts, state, chunk, return_state):  # type: ignore[no-untyped-def]
    return v.new_empty(v.shape), q.new_empty(state_shape(q, v) if return_state else (0,), dtype=torch.float32)


@torch.library.custom_op("golfreg_fla::delta_backward", mutates_args=())
def _delta_backward(
    q: Tensor, k: Tensor, v: Tensor, g: Tensor, beta: Tensor, starts: Tensor | None, state: Tensor | None,
    do: Tensor, dend: Tensor | None, chunk: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    packed = Packed.of(q, starts)
    saved, _, A, _ = _delta(q, k, v, g, beta, state, False, chunk, packed)
    dq, dk, dv, dbeta, dg, dstate, *_ = fla("ops.gated_delta_rule.chunk").chunk_gated_delta_rule_bwd(
        **saved, A=A, do=packed.stack(do), dht=None if dend is None else packed.spread_last(dend)
    )
    grads = [
        fresh(packed.unstack(d), x.dtype) for d, x in zip((dq, dk, dv, dg, dbeta), (q, k, v, g, beta), strict=True)
    ]
    before = nothing(q) if state is None else fresh(packed.entered(dstate), torch.float32)
    return (*grads, before)  # type: ignore[return-value]


@_delta_backward.register_fake
def _(q, k, v, g, beta, starts, state, do, dend, chunk):  # type: ignore[no-untyped-def]
    before = q.new_empty((0,) if state is None else state_shape(q, v), dtype=torch.float32)
    return (*(x.new_empty(x.shape) for x in (q, k, v, g, beta)), before)


def _linear(q: Tensor, k: Tensor, v: Tensor, g: Tensor, state: Tensor | None, end: bool,
            packed: Packed) -> tuple[dict[str, Any], Tensor, Tensor, Any]:  # fmt: skip
    """(what the backward needs, o, A, the last state)."""
    chunk = min(64, max(16, 1 << (packed.stack(q).shape[1] - 1).bit_length()))
    common = {
        **{name: packed.stack(x) for name, x in (("q", q), ("k", k), ("v", v))},
        "scale": q.shape[-1] ** -0.5, "initial_state": packed.entering(state), "cu_seqlens": packed.cu_seqlens,
        "chunk_indices": chunk_indices(packed, chunk), "chunk_size": chunk,
    }  # fmt: skip
    running, A, _, after, o = fla("ops.gla.chunk").chunk_gla_fwd(
        **common, g=packed.stack(g), g_cumsum=None, output_final_state=end
    )
    return {**common, "g": None, "g_cumsum": running}, o, A, after


@torch.library.custom_op("golfreg_fla::linear_forward", mutates_args=())
def _linear_forward(
    q: Tensor, k: Tensor, v: Tensor, g: Tensor, starts: Tensor | None, state: Tensor | None, return_state: bool
) -> tuple[Tensor, Tensor]:
    packed = Packed.of(q, starts)
    _, o, _, after = _linear(q, k, v, g, state, return_state, packed)
    end = fresh(packed.last(after), torch.float32) if return_state else nothing(q)
    return fresh(packed.unstack(o), v.dtype), end


@_linear_forward.register_fake
def _(q, k, v, g, starts, state, return_state):  # type: ignore[no-untyped-def]
    return v.new_empty(v.shape), q.new_empty(state_shape(q, v) if return_state else (0,), dtype=torch.float32)


@torch.library.custom_op("golfreg_fla::linear_backward", mutates_args=())
def _linear_backward(
    q: Tensor, k: Tensor, v: Tensor, g: Tensor, starts: Tensor | None, state: Tensor | None,
    do: Tensor, dend: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    packed = Packed.of(q, starts)
    saved, _, A, _ = _linear(q, k, v, g, state, False, packed)
    dq, dk, dv, dg, dstate = fla("ops.gla.chunk").chunk_gla_bwd(
        **saved, h=None, A=A, do=packed.stack(do), dht=None if dend is None else packed.spread_last(dend)
    )
    grads = [fresh(packed.unstack(d), x.dtype) for d, x in zip((dq, dk, dv, dg), (q, k, v, g), strict=True)]
    before = nothing(q) if state is None else fresh(packed.entered(dstate), torch.float32)
    return (*grads, before)  # type: ignore[return-value]


@_linear_backward.register_fake
def _(q, k, v, g, starts, state, do, dend):  # type: ignore[no-untyped-def]
    before = q.new_empty((0,) if state is None else state_shape(q, v), dtype=torch.float32)
    return (*(x.new_empty(x.shape) for x in (q, k, v, g)), before)


def keep(n_inputs: int) -> Any:
    """``setup_context`` of an op whose first arguments are ``n_inputs`` tensors, starts and a state."""

    def setup(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*inputs[: n_inputs + 2])
        ctx.static = inputs[n_inputs + 2 : -1]
        ctx.rest = len(inputs) - n_inputs - 2

    return setup


def differentiate(n_inputs: int, backward: Any) -> Any:
    def autograd(ctx: Any, do: Tensor | None, dend: Tensor | None) -> tuple[Any, ...]:
        v, state = ctx.saved_tensors[2], ctx.saved_tensors[n_inputs + 1]
        do = torch.zeros_like(v) if do is None else do.contiguous()
        dend = None if dend is None or dend.numel() == 0 else dend.contiguous()
        *grads, before = backward(*ctx.saved_tensors, do, dend, *ctx.static)
        return (*grads, None, before if state is not None else None, *[None] * ctx.rest)

    return autograd


_delta_forward.register_autograd(differentiate(5, _delta_backward), setup_context=keep(5))
_linear_forward.register_autograd(differentiate(4, _linear_backward), setup_context=keep(4))


def gated_delta_rule(
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
    """The op's signature."""
    state = None if initial_state_BHKV is None else initial_state_BHKV.float()
    o, end = _delta_forward(
        q_BTHK, k_BTHK, v_BTHV, g_BTH.float(), beta_BTH, starts_BT, state,
        chunk_size if chunk_size in (16, 32, 64) else 64, return_state,
    )  # fmt: skip
    return (o, end) if return_state else o


def gated_linear_attention(
    q_BTHK: Tensor,
    k_BTHK: Tensor,
    v_BTHV: Tensor,
    g_BTHK: Tensor,
    starts_BT: Tensor | None = None,
    initial_state_BHKV: Tensor | None = None,
    *,
    return_state: bool = False,
) -> Any:
    """The op's signature."""
    state = None if initial_state_BHKV is None else initial_state_BHKV.float()
    o, end = _linear_forward(q_BTHK, k_BTHK, v_BTHV, g_BTHK.float(), starts_BT, state, return_state)
    return (o, end) if return_state else o


class FlaKernel:
    """A kernel's entry: ``call`` has the op's signature."""

    def __init__(self, call: Any) -> None:
        self.call = call

    def supports(self, device: str, dtype: str, **static: Any) -> str | None:
        """None, or why fla's kernels cannot run."""
        if str(device).split(":")[0] != "cuda" or torch.version.cuda is None:
            return f"fla's Triton kernels need an NVIDIA GPU, the device is {device}"
        if torch.cuda.is_available() and torch.cuda.get_device_capability()[0] < 8:
            return "bfloat16 matrix units begin with compute capability 8.0"
        if dtype not in DTYPES:
            return f"dtype {dtype} is not bfloat16 or float16"
        return None


delta_rule_kernel = FlaKernel(gated_delta_rule)
linear_attention_kernel = FlaKernel(gated_linear_attention)
