"""golfreg's Triton kernel of ``mamba3_siso`` as torch custom ops, forward and backward.

The kernels are in ``mamba3_triton_forward``, ``_backward`` and ``_sums``; the mathematics is in ``mamba3_siso``.
Between ``in_proj`` and ``out_proj`` nothing is copied: the kernels read the projection's output through strides and
write its gradient in place. Sums have a fixed order, so two runs give equal bits.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from golfreg.api.errors import ConfigError
from golfreg.builtin.kernels.mamba3_triton_launch import (
    CHUNKS,
    Sizes,
    residual_shapes,
    run_backward,
    run_forward,
    state_shapes,
)

Tensor = torch.Tensor
_STATE = ("phi", "h", "k", "v")


def _sizes(
    projected: Tensor,
    dt_bias: Tensor,
    headdim: int,
    d_state: int,
    ngroups: int,
    n_angles: int,
    chunk_size: int,
    a_form: str,
    a_floor: float,
    norm_eps: float,
) -> Sizes:
    chunk = chunk_size if chunk_size in CHUNKS else 64
    B, T, _ = projected.shape
    heavy = a_form == "heavy_tail"
    return Sizes(B, T, dt_bias.shape[0], headdim, ngroups, d_state, n_angles, chunk, heavy, a_floor, norm_eps)


def _rows_contiguous(x: Tensor) -> Tensor:
    return x if x.stride(-1) == 1 else x.contiguous()


@torch.library.custom_op("golfreg::mamba3_siso_forward", mutates_args=())
def _forward(
    projected: Tensor,
    dt_bias: Tensor,
    B_bias: Tensor,
    C_bias: Tensor,
    B_norm: Tensor,
    C_norm: Tensor,
    D: Tensor,
    starts: Tensor | None,
    phi: Tensor | None,
    h: Tensor | None,
    k: Tensor | None,
    v: Tensor | None,
    headdim: int,
    d_state: int,
    ngroups: int,
    n_angles: int,
    chunk_size: int,
    a_form: str,
    a_floor: float,
    norm_eps: float,
    return_state: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """(y, phi, h, k, v, bc, scalars, first, sg0, phase, states); the state is empty unless asked for."""
    s = _sizes(projected, dt_bias, headdim, d_state, ngroups, n_angles, chunk_size, a_form, a_floor, norm_eps)
    initial = None if phi is None or h is None or k is None or v is None else (phi, h, k, v)
    out, final, kept = run_forward(
        s, _rows_contiguous(projected), dt_bias, B_bias, C_bias, B_norm, C_norm, D, starts, initial, return_state
    )
    phi1, h1, k1, v1 = final
    return (
        out, phi1, h1, k1, v1,
        kept["bc"], kept["scalars"], kept["first"], kept["sg0"], kept["phase"], kept["states"],
    )  # fmt: skip


@_forward.register_fake
def _(  # type: ignore[no-untyped-def]
    projected, dt_bias, B_bias, C_bias, B_norm, C_norm, D, starts, phi, h, k, v,
    headdim, d_state, ngroups, n_angles, chunk_size, a_form, a_floor, norm_eps, return_state,
):  # fmt: skip
    s = _sizes(projected, dt_bias, headdim, d_state, ngroups, n_angles, chunk_size, a_form, a_floor, norm_eps)
    kept = [projected.new_empty(shape, dtype=kind) for shape, kind in residual_shapes(s, projected.dtype).values()]
    if starts is None:
        kept[2] = projected.new_empty((0,), dtype=torch.int32)
    final = [projected.new_empty(shape if return_state else (0,), dtype=torch.float32) for shape in state_shapes(s)]
    return (projected.new_empty((s.B, s.T, s.H * s.P)), *final, *kept)


@torch.library.custom_op("golfreg::mamba3_siso_backward", mutates_args=())
def _backward(
    projected: Tensor,
    dt_bias: Tensor,
    B_bias: Tensor,
    C_bias: Tensor,
    B_norm: Tensor,
    C_norm: Tensor,
    D: Tensor,
    starts: Tensor | None,
    k: Tensor | None,
    v: Tensor | None,
    bc: Tensor,
    scalars: Tensor,
    first: Tensor,
    sg0: Tensor,
    phase: Tensor,
    states: Tensor,
    dout: Tensor,
    dphi: Tensor | None,
    dh: Tensor | None,
    dk: Tensor | None,
    dv: Tensor | None,
    headdim: int,
    d_state: int,
    ngroups: int,
    n_angles: int,
    chunk_size: int,
    a_form: str,
    a_floor: float,
    norm_eps: float,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Gradients of the seven inputs and of the initial state (empty if there was none)."""
    s = _sizes(projected, dt_bias, headdim, d_state, ngroups, n_angles, chunk_size, a_form, a_floor, norm_eps)
    kept = {"bc": bc, "scalars": scalars, "first": first, "sg0": sg0, "phase": phase, "states": states}
    initial = None if k is None or v is None else (k, k, k, v)
    dfinal = None if dphi is None or dh is None or dk is None or dv is None else (dphi, dh, dk, dv)
    grads = run_backward(
        s, _rows_contiguous(projected), dt_bias, B_bias, C_bias, B_norm, C_norm, D, starts, initial, kept,
        dout.contiguous(), dfinal,
    )  # fmt: skip
    if initial is None:
        grads += [projected.new_empty((0,), dtype=torch.float32) for _ in _STATE]
    return tuple(grads)  # type: ignore[return-value]


@_backward.register_fake
def _(  # type: ignore[no-untyped-def]
    projected, dt_bias, B_bias, C_bias, B_norm, C_norm, D, starts, k, v,
    bc, scalars, first, sg0, phase, states, dout, dphi, dh, dk, dv,
    headdim, d_state, ngroups, n_angles, chunk_size, a_form, a_floor, norm_eps,
):  # fmt: skip
    s = _sizes(projected, dt_bias, headdim, d_state, ngroups, n_angles, chunk_size, a_form, a_floor, norm_eps)
    inputs = (projected, dt_bias, B_bias, C_bias, B_norm, C_norm, D)
    before = [projected.new_empty((0,) if k is None else shape, dtype=torch.float32) for shape in state_shapes(s)]
    return (*(x.new_empty(x.shape) for x in inputs), *before)


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    # The residuals are outputs only for the backward's sake; without these two lines autograd would
    # make gradients of zeros as large as they are.
    ctx.set_materialize_grads(False)
    ctx.mark_non_differentiable(*output[5:])
    ctx.static, ctx.return_state = inputs[12:20], inputs[20]
    ctx.save_for_backward(*inputs[:8], inputs[10], inputs[11], *output[5:], *(output[1:5] if inputs[20] else ()))


def _autograd(ctx: Any, *grads: Tensor | None) -> tuple[Any, ...]:
    saved = ctx.saved_tensors
    projected, k = saved[0], saved[8]
    dout, dfinal = grads[0], grads[1:5]
    if dout is None:
        s_inner = (saved[1].shape[0] * ctx.static[0],)
        dout = projected.new_zeros(projected.shape[:2] + s_inner)
    if ctx.return_state and any(g is not None for g in dfinal):
        dfinal = tuple(
            torch.zeros_like(x) if g is None else g.contiguous() for g, x in zip(dfinal, saved[16:20], strict=True)
        )
    else:
        dfinal = (None,) * 4
    d = torch.ops.golfreg.mamba3_siso_backward(*saved[:16], dout, *dfinal, *ctx.static)
    return (*d[:7], None, *(d[7:] if k is not None else (None,) * 4), *(None,) * 9)


_forward.register_autograd(_autograd, setup_context=_setup_context)


def call(
    projected_BTP: Tensor,
    dt_bias_H: Tensor,
    B_bias_HN: Tensor,
    C_bias_HN: Tensor,
    B_norm_N: Tensor,
    C_norm_N: Tensor,
    D_H: Tensor,
    starts_BT: Tensor | None = None,
    initial_state: tuple[Tensor, Tensor, Tensor, Tensor] | None = None,
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
    """y_BTI, or (y_BTI, (phi, h, k, v)) with ``return_state``; the op's signature."""
    if a_form not in ("softplus", "heavy_tail"):
        raise ConfigError(f"a_form is {a_form!r}", hint="it is `softplus` or `heavy_tail`")
    state: tuple[Tensor | None, ...] = (None,) * 4
    if initial_state is not None:
        state = tuple(x.float().contiguous() for x in initial_state)
    starts = None if starts_BT is None else starts_BT.contiguous()
    out = torch.ops.golfreg.mamba3_siso_forward(
        projected_BTP, dt_bias_H.contiguous(), B_bias_HN.contiguous(), C_bias_HN.contiguous(),
        B_norm_N.contiguous(), C_norm_N.contiguous(), D_H.contiguous(), starts, *state,
        headdim, d_state, ngroups, n_angles, chunk_size, a_form, a_floor, norm_eps, return_state,
    )  # fmt: skip
    return (out[0], tuple(out[1:5])) if return_state else out[0]


class TritonKernel:
    """The kernel's entry: ``call`` has the op's signature."""

    call = staticmethod(call)

    def supports(self, device: str, dtype: str, **static: Any) -> str | None:
        """None, or why it cannot run. With Triton's interpreter on, float32 runs on the CPU."""
        from golfreg.builtin.kernels.triton_support import refusal

        if (reason := refusal(device, dtype)) is not None:
            return reason
        d_state, headdim = static.get("d_state", 64), static.get("headdim", 64)
        if d_state not in (32, 64, 128):
            return f"d_state {d_state} is not 32, 64 or 128"
        if headdim not in (16, 32, 64, 128):
            return f"headdim {headdim} is not 16, 32, 64 or 128"
        return None

    def configurations(self) -> dict[str, Callable[[], object]]:
        from golfreg.builtin.kernels.mamba3_triton_configurations import configurations

        return configurations()


triton_kernel = TritonKernel()
