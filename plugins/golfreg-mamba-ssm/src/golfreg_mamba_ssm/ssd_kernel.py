"""mamba-ssm's state-space duality kernels as a kernel of the op ``mamba2_ssd``.

Upstream takes documents as an index for each position, ``seq_idx``; where it is 0 the initial state goes on.
Shape letters: B batch, T time, H heads, G groups, P head width, N state.
"""

from __future__ import annotations

from typing import Any

import torch

from golfreg_mamba_ssm.upstream import upstream

Tensor = torch.Tensor
_MODULE = "ops.triton.ssd_combined"


def _index(starts: Tensor | None) -> Tensor | None:
    return None if starts is None else starts.cumsum(1).to(torch.int32)


def _fresh(x: Tensor, dtype: torch.dtype) -> Tensor:
    """A tensor of its own, contiguous: a custom op may return no view of an input."""
    return x.to(dtype, memory_format=torch.contiguous_format, copy=True)


@torch.library.custom_op("golfreg_mamba_ssm::ssd_forward", mutates_args=())
def _forward(
    x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, starts: Tensor | None, state: Tensor | None,
    chunk: int, return_state: bool,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    out, _, _, _, _, last = upstream(_MODULE)._mamba_chunk_scan_combined_fwd(
        x, dt, A, B, C, chunk, D=D, initial_states=state, seq_idx=_index(starts)
    )
    return _fresh(out, x.dtype), _fresh(last if return_state else last[:0], torch.float32)


def _state_shape(x: Tensor, B: Tensor, there: bool) -> tuple[int, ...]:
    return (x.shape[0] if there else 0, *x.shape[2:], B.shape[3])


@_forward.register_fake
def _(x, dt, A, B, C, D, starts, state, chunk, return_state):  # type: ignore[no-untyped-def]
    return x.new_empty(x.shape), x.new_empty(_state_shape(x, B, return_state), dtype=torch.float32)


@torch.library.custom_op("golfreg_mamba_ssm::ssd_backward", mutates_args=())
def _backward(
    dout: Tensor, dlast: Tensor | None, x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor,
    starts: Tensor | None, state: Tensor | None, out: Tensor, chunk: int,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    dx, ddt, dA, dB, dC, dD, _, _, dstate = upstream(_MODULE)._mamba_chunk_scan_combined_bwd(
        dout, x, dt, A, B, C, out, chunk, D=D, initial_states=state, dfinal_states=dlast, seq_idx=_index(starts)
    )
    grads = [_fresh(d, of.dtype) for d, of in zip((dx, ddt, dA, dB, dC, dD), (x, dt, A, B, C, D), strict=True)]
    before = x.new_empty(_state_shape(x, B, False), dtype=torch.float32)
    return (*grads, before if state is None else _fresh(dstate, torch.float32))  # type: ignore[return-value]


@_backward.register_fake
def _(dout, dlast, x, dt, A, B, C, D, starts, state, out, chunk):  # type: ignore[no-untyped-def]
    before = x.new_empty(_state_shape(x, B, state is not None), dtype=torch.float32)
    return (*(of.new_empty(of.shape) for of in (x, dt, A, B, C, D)), before)


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*inputs[:8], output[0])
    ctx.chunk, ctx.with_state = inputs[8], inputs[9]


def _autograd(ctx: Any, dout: Tensor | None, dlast: Tensor | None) -> tuple[Any, ...]:
    saved = ctx.saved_tensors
    dout = torch.zeros_like(saved[0]) if dout is None else dout.contiguous()
    dlast = dlast.contiguous() if dlast is not None and ctx.with_state else None
    *grads, before = _backward(dout, dlast, *saved, ctx.chunk)
    return (*grads, None, before if saved[7] is not None else None, None, None)


_forward.register_autograd(_autograd, setup_context=_setup_context)


def call(
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
    """The op's signature."""
    state = None if initial_state_BHPN is None else initial_state_BHPN.float().contiguous()
    y, last = _forward(
        x_BTHP.contiguous(), dt_BTH.float().contiguous(), A_H.float().contiguous(), B_BTGN.contiguous(),
        C_BTGN.contiguous(), D_H.float().contiguous(), starts_BT, state, chunk_size, return_state,
    )  # fmt: skip
    return (y, last) if return_state else y


class SsdKernel:
    """The kernel's entry: ``call`` has the op's signature."""

    call = staticmethod(call)

    def supports(self, device: str, dtype: str, **static: Any) -> str | None:
        """None, or what upstream cannot do."""
        if str(device).split(":")[0] != "cuda" or torch.version.cuda is None:
            return f"mamba-ssm's Triton kernels need an NVIDIA GPU, the device is {device}"
        if torch.cuda.is_available() and torch.cuda.get_device_capability()[0] < 8:
            return "bfloat16 matrix units begin with compute capability 8.0"
        if dtype not in ("bfloat16", "float16", "float32"):
            return f"dtype {dtype} is not bfloat16, float16 or float32"
        chunk = static.get("chunk_size", 64)
        if chunk not in (16, 32, 64, 128, 256):
            return f"chunk_size {chunk} is not a power of two from 16 to 256"
        return None


ssd_kernel = SsdKernel()
