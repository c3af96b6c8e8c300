"""golfreg's Triton kernel of ``rms_norm``: a program takes rows at a time, and recomputes their length backward.

N rows, D columns. The weight's gradient is summed per program in registers, then over programs in a fixed order.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import triton
import triton.language as tl

WIDEST = 8192
"""Columns of a row that is held in registers."""
PROGRAMS = 1024
"""Backward, at most: each adds one row to what is summed for the weight."""
Tensor = torch.Tensor


@triton.jit
def forward_kernel(x_at, weight_at, y_at, N, D, eps, WEIGHTED: tl.constexpr, ROWS: tl.constexpr, WIDTH: tl.constexpr):
    row = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)
    column = tl.arange(0, WIDTH)
    here = (row < N)[:, None] & (column < D)[None, :]
    at = row[:, None] * D + column[None, :]
    x = tl.load(x_at + at, mask=here, other=0.0).to(tl.float32)
    y = x * tl.rsqrt(tl.sum(x * x, 1) / D + eps)[:, None]
    if WEIGHTED:
        y = y * tl.load(weight_at + column, mask=column < D, other=0.0).to(tl.float32)[None, :]
    tl.store(y_at + at, y.to(y_at.dtype.element_ty), mask=here)


@triton.jit
def backward_kernel(
    x_at, weight_at, g_at, dx_at, partial_at, N, D, eps, blocks,
    WEIGHTED: tl.constexpr, ROWS: tl.constexpr, WIDTH: tl.constexpr,
):  # fmt: skip
    """With r = rsqrt(mean(x^2) + eps) and n = x r: dx = r (g w - n mean(g w n)), dw = sum of g n."""
    program = tl.program_id(0)
    column = tl.arange(0, WIDTH)
    weight = tl.full((WIDTH,), 1.0, tl.float32)
    if WEIGHTED:
        weight = tl.load(weight_at + column, mask=column < D, other=0.0).to(tl.float32)
    dweight = tl.zeros((WIDTH,), tl.float32)
    for block in range(blocks):
        row = (program.to(tl.int64) * blocks + block) * ROWS + tl.arange(0, ROWS)
        here = (row < N)[:, None] & (column < D)[None, :]
        at = row[:, None] * D + column[None, :]
        x = tl.load(x_at + at, mask=here, other=0.0).to(tl.float32)
        g = tl.load(g_at + at, mask=here, other=0.0).to(tl.float32)
        rstd = tl.rsqrt(tl.sum(x * x, 1) / D + eps)[:, None]
        x = x * rstd
        if WEIGHTED:
            dweight += tl.sum(g * x, 0)
            g = g * weight[None, :]
        dx = (g - x * (tl.sum(g * x, 1) / D)[:, None]) * rstd
        tl.store(dx_at + at, dx.to(dx_at.dtype.element_ty), mask=here)
    if WEIGHTED:
        tl.store(partial_at + program.to(tl.int64) * D + column, dweight, mask=column < D)


def tiles(D: int) -> dict[str, int]:
    """Rows and columns of a tile, about 4096 values, and warps."""
    width = triton.next_power_of_2(D)
    return {"ROWS": max(1, min(16, 4096 // width)), "WIDTH": width, "num_warps": 8 if width > 4096 else 4}


def launch_forward(x: Tensor, weight: Tensor | None, y: Tensor, eps: float) -> None:
    N, D = x.shape
    tile = tiles(D)
    forward_kernel[(triton.cdiv(N, tile["ROWS"]),)](
        x, x if weight is None else weight, y, N, D, eps, WEIGHTED=weight is not None, **tile
    )


def launch_backward(x: Tensor, weight: Tensor | None, g: Tensor, dx: Tensor, eps: float) -> Tensor:
    """Fills ``dx``; returns the parts of the weight's gradient, one row for each program."""
    N, D = x.shape
    tile = tiles(D)
    total = triton.cdiv(N, tile["ROWS"])
    blocks = triton.cdiv(total, PROGRAMS)
    programs = triton.cdiv(total, blocks)
    parts = torch.empty((programs, D) if weight is not None else (0,), dtype=torch.float32, device=x.device)
    backward_kernel[(programs,)](
        x, x if weight is None else weight, g, dx, parts, N, D, eps, blocks, WEIGHTED=weight is not None, **tile
    )
    return parts


@torch.library.custom_op("golfreg::rms_norm", mutates_args=())
def _forward(x: Tensor, weight: Tensor | None, eps: float) -> Tensor:
    y = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    rows = x.reshape(-1, x.size(-1)).contiguous()
    launch_forward(rows, None if weight is None else weight.contiguous(), y.view(rows.shape), eps)
    return y


@_forward.register_fake
def _(x: Tensor, weight: Tensor | None, eps: float) -> Tensor:
    return x.new_empty(x.shape)


@torch.library.custom_op("golfreg::rms_norm_backward", mutates_args=())
def _backward(x: Tensor, weight: Tensor | None, g: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """(gradient of x, gradient of the weight or nothing)."""
    dx = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    rows = x.reshape(-1, x.size(-1)).contiguous()
    parts = launch_backward(
        rows,
        None if weight is None else weight.contiguous(),
        g.reshape(rows.shape).contiguous(),
        dx.view(rows.shape),
        eps,
    )
    return dx, parts if weight is None else parts.sum(0).to(weight.dtype)


@_backward.register_fake
def _(x: Tensor, weight: Tensor | None, g: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    dweight = x.new_empty((0,), dtype=torch.float32) if weight is None else weight.new_empty(weight.shape)
    return x.new_empty(x.shape), dweight


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(inputs[0], inputs[1])
    ctx.eps = inputs[2]


def _autograd(ctx: Any, g: Tensor) -> tuple[Tensor, Tensor | None, None]:
    x, weight = ctx.saved_tensors
    dx, dweight = torch.ops.golfreg.rms_norm_backward(x, weight, g, ctx.eps)
    return dx, None if weight is None else dweight, None


_forward.register_autograd(_autograd, setup_context=_setup_context)


def call(x_XD: Tensor, weight_D: Tensor | None = None, *, eps: float) -> Tensor:
    """The op's signature."""
    y: Tensor = torch.ops.golfreg.rms_norm(x_XD, weight_D, eps)
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
            f"{name}, {width} columns": partial(_launch_all, dtype, width)
            for name, dtype in (("bfloat16", torch.bfloat16), ("float32", torch.float32))
            for width in (512, 1024)
        }


def _launch_all(dtype: torch.dtype, width: int) -> None:
    x, y, g, dx = (torch.empty(131_072, width, dtype=dtype, device="meta") for _ in range(4))
    weight = torch.empty(width, device="meta")
    launch_forward(x, weight, y, 1e-6)
    launch_backward(x, weight, g, dx, 1e-6)


triton_kernel = TritonKernel()
