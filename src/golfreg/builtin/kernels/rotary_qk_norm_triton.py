"""golfreg's Triton kernel of ``rotary_qk_norm``: one pass forward, one backward, reading the projection by strides.

A program takes some positions of one head. The gain's gradient is summed per program, then in a fixed order.
B batch, T time, H heads, E head width, R rotated pairs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import triton
import triton.language as tl

POSITIONS = 32
"""Of one head in a program."""
Tensor = torch.Tensor


@triton.jit
def load_parts(at, i, r, e, valid, R: tl.constexpr, E: tl.constexpr):
    """The two rotated halves [C, pairs], and the channels after them [C, E]."""
    pair = valid[:, None] & (r < R)[None, :]
    first = tl.load(at + i[:, None] + r[None, :], mask=pair, other=0.0).to(tl.float32)
    second = tl.load(at + i[:, None] + R + r[None, :], mask=pair, other=0.0).to(tl.float32)
    kept = valid[:, None] & ((e >= 2 * R) & (e < E))[None, :]
    rest = tl.load(at + i[:, None] + e[None, :], mask=kept, other=0.0).to(tl.float32)
    return first, second, rest


@triton.jit
def store_parts(at, i, r, e, valid, first, second, rest, R: tl.constexpr, E: tl.constexpr):
    pair = valid[:, None] & (r < R)[None, :]
    kind = at.dtype.element_ty
    tl.store(at + i[:, None] + r[None, :], first.to(kind), mask=pair)
    tl.store(at + i[:, None] + R + r[None, :], second.to(kind), mask=pair)
    kept = valid[:, None] & ((e >= 2 * R) & (e < E))[None, :]
    tl.store(at + i[:, None] + e[None, :], rest.to(kind), mask=kept)


@triton.jit
def product(first, second, rest, a, b, c):
    return tl.sum(first * a, 1) + tl.sum(second * b, 1) + tl.sum(rest * c, 1)


@triton.jit
def rotary_kernel(
    x_at, cos_at, sin_at, gain_at, g_at, out_at, partial_at, T, stride_b, stride_t, stride_h, eps,
    H: tl.constexpr, E: tl.constexpr, R: tl.constexpr, C: tl.constexpr, PAIRS: tl.constexpr, WIDTH: tl.constexpr,
    GAINED: tl.constexpr, BACKWARD: tl.constexpr,
):  # fmt: skip
    """out: y, or with ``BACKWARD`` the gradient of x. With n = x rsqrt(mean(x^2) + eps) and u the gradient of y turned
    back: dgain = sum of u n, dn = gain u, dx = (dn - n mean(dn n)) rsqrt(mean(x^2) + eps)."""
    block = tl.program_id(0)
    head = tl.program_id(1)
    batch = tl.program_id(2).to(tl.int64)
    t = block * C + tl.arange(0, C)
    r = tl.arange(0, PAIRS)
    e = tl.arange(0, WIDTH)
    valid = t < T
    x_rows = t.to(tl.int64) * stride_t
    rows = t.to(tl.int64) * (H * E)
    first, second, rest = load_parts(x_at + batch * stride_b + head * stride_h, x_rows, r, e, valid, R, E)
    rstd = tl.rsqrt(product(first, second, rest, first, second, rest) / E + eps)[:, None]
    first, second, rest = first * rstd, second * rstd, rest * rstd
    angle = valid[:, None] & (r < R)[None, :]
    cos = tl.load(cos_at + t[:, None] * R + r[None, :], mask=angle, other=1.0).to(tl.float32)
    sin = tl.load(sin_at + t[:, None] * R + r[None, :], mask=angle, other=0.0).to(tl.float32)
    gain = tl.load(gain_at + head).to(tl.float32) if GAINED else 1.0
    out = out_at + batch * T * (H * E) + head * E
    if BACKWARD:
        a, b, c = load_parts(g_at + batch * T * (H * E) + head * E, rows, r, e, valid, R, E)
        a, b = a * cos - b * sin, b * cos + a * sin
        along = product(first, second, rest, a, b, c)
        if GAINED:
            place = (batch * H + head) * tl.num_programs(0) + block
            tl.store(partial_at + place, tl.sum(along, 0))
        mean = (along / E)[:, None]
        scale = rstd * gain
        store_parts(
            out, rows, r, e, valid, (a - first * mean) * scale, (b - second * mean) * scale, (c - rest * mean) * scale,
            R, E,
        )  # fmt: skip
    else:
        y_first = (first * cos + second * sin) * gain
        y_second = (second * cos - first * sin) * gain
        store_parts(out, rows, r, e, valid, y_first, y_second, rest * gain, R, E)


def launch(
    x: Tensor, cos: Tensor, sin: Tensor, gain: Tensor | None, g: Tensor | None, out: Tensor, eps: float
) -> Tensor:
    """Fills ``out``; returns the parts of the gain's gradient [B, H, blocks], empty forward or without a gain."""
    B, T, H, E = x.shape
    R = cos.size(-1)
    blocks = triton.cdiv(T, POSITIONS)
    summed = gain is not None and g is not None
    parts = torch.empty((B, H, blocks) if summed else (0,), dtype=torch.float32, device=x.device)
    rotary_kernel[(blocks, H, B)](
        x, cos, sin, x if gain is None else gain, x if g is None else g, out, parts, T, x.stride(0), x.stride(1),
        x.stride(2), eps, H=H, E=E, R=R, C=POSITIONS, PAIRS=triton.next_power_of_2(R), WIDTH=triton.next_power_of_2(E),
        GAINED=gain is not None, BACKWARD=g is not None, num_warps=4,
    )  # fmt: skip
    return parts


def _rows(x: Tensor) -> Tensor:
    return x if x.stride(-1) == 1 else x.contiguous()


@torch.library.custom_op("golfreg::rotary_qk_norm", mutates_args=())
def _forward(x: Tensor, cos: Tensor, sin: Tensor, gain: Tensor | None, eps: float) -> Tensor:
    y = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    launch(_rows(x), cos.contiguous(), sin.contiguous(), None if gain is None else gain.contiguous(), None, y, eps)
    return y


@_forward.register_fake
def _(x: Tensor, cos: Tensor, sin: Tensor, gain: Tensor | None, eps: float) -> Tensor:
    return x.new_empty(x.shape)


@torch.library.custom_op("golfreg::rotary_qk_norm_backward", mutates_args=())
def _backward(x: Tensor, cos: Tensor, sin: Tensor, gain: Tensor | None, g: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """(gradient of x, gradient of the gain or nothing)."""
    dx = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    whole = None if gain is None else gain.contiguous()
    parts = launch(_rows(x), cos.contiguous(), sin.contiguous(), whole, g.contiguous(), dx, eps)
    return dx, parts if gain is None else parts.sum((0, 2)).to(gain.dtype)


@_backward.register_fake
def _(x: Tensor, cos: Tensor, sin: Tensor, gain: Tensor | None, g: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    dgain = x.new_empty((0,), dtype=torch.float32) if gain is None else gain.new_empty(gain.shape)
    return x.new_empty(x.shape), dgain


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:4])
    ctx.eps = inputs[4]


def _autograd(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
    gain = ctx.saved_tensors[3]
    dx, dgain = torch.ops.golfreg.rotary_qk_norm_backward(*ctx.saved_tensors, g, ctx.eps)
    return dx, None, None, None if gain is None else dgain, None


_forward.register_autograd(_autograd, setup_context=_setup_context)


def call(x_BTHE: Tensor, cos_TR: Tensor, sin_TR: Tensor, gain_H: Tensor | None = None, *, eps: float) -> Tensor:
    """The op's signature."""
    y: Tensor = torch.ops.golfreg.rotary_qk_norm(x_BTHE, cos_TR, sin_TR, gain_H, eps)
    return y


class TritonKernel:
    """The kernel's entry: ``call`` has the op's signature."""

    call = staticmethod(call)

    def supports(self, device: str, dtype: str, **static: Any) -> str | None:
        """None, or why it cannot run. With Triton's interpreter on, float32 runs on the CPU."""
        from golfreg.builtin.kernels.triton_support import refusal

        return refusal(device, dtype)

    def configurations(self) -> dict[str, Callable[[], object]]:
        return {
            f"{name}, {pairs} of 32 pairs": partial(_launch_all, dtype, pairs)
            for name, dtype in (("bfloat16", torch.bfloat16), ("float32", torch.float32))
            for pairs in (32, 8)
        }


def _launch_all(dtype: torch.dtype, pairs: int) -> None:
    x, g, out = (torch.empty(32, 4096, 8, 64, dtype=dtype, device="meta") for _ in range(3))
    cos, sin, gain = (torch.empty(shape, device="meta") for shape in ((4096, pairs), (4096, pairs), (8,)))
    launch(x, cos, sin, gain, None, out, 1e-6)
    launch(x, cos, sin, gain, g, out, 1e-6)


triton_kernel = TritonKernel()
