"""golfreg's Triton kernel of ``symmetric_product``: the tiles on and below the diagonal, each written twice.

Half of the products of the general kernel; the trick is known from the Muon of public speed records. A program finds
its tile by its number among those of the lower triangle. K matrices, M rows, N columns.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import triton
import triton.language as tl

TILE, DEPTH = 64, 64
"""Rows of a square tile of the result, and columns that are multiplied at a time."""
PRECISION = "tf32x3"
"""Of products of float32 operands: as exact as float32."""
Tensor = torch.Tensor


@triton.jit
def product_kernel(
    x_at, c_at, y_at, M, N, stride_k, stride_m, stride_n, c_stride_k, c_stride_m, alpha, beta,
    ADDED: tl.constexpr, TILE: tl.constexpr, DEPTH: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """y[K, M, M], contiguous; c's last stride is 1."""
    number = tl.program_id(0)
    matrix = tl.program_id(1).to(tl.int64)
    # Tile (down, across), across <= down, has the number down (down + 1) / 2 + across; the root is one off at most.
    down = ((tl.sqrt(8.0 * number.to(tl.float32) + 1.0) - 1.0) * 0.5).to(tl.int32)
    down = tl.where(down * (down + 1) // 2 > number, down - 1, down)
    down = tl.where((down + 1) * (down + 2) // 2 <= number, down + 1, down)
    across = number - down * (down + 1) // 2
    i = down * TILE + tl.arange(0, TILE)
    j = across * TILE + tl.arange(0, TILE)
    n = tl.arange(0, DEPTH)
    x_at += matrix * stride_k
    y_at += matrix * M * M
    total = tl.zeros((TILE, TILE), tl.float32)
    for start in range(0, N, DEPTH):
        inside = (start + n < N)[None, :]
        a = tl.load(
            x_at + i[:, None] * stride_m + (start + n)[None, :] * stride_n, mask=inside & (i < M)[:, None], other=0.0
        )
        b = tl.load(
            x_at + j[:, None] * stride_m + (start + n)[None, :] * stride_n, mask=inside & (j < M)[:, None], other=0.0
        )
        total = tl.dot(a, tl.trans(b), acc=total, input_precision=PRECISION)
    total = total * alpha
    here = (i < M)[:, None] & (j < M)[None, :]
    if ADDED:
        c = tl.load(c_at + matrix * c_stride_k + i[:, None] * c_stride_m + j[None, :], mask=here, other=0.0)
        total += beta * c.to(tl.float32)
    y = total.to(y_at.dtype.element_ty)
    tl.store(y_at + i[:, None] * M + j[None, :], y, mask=here)
    if down > across:
        mirrored = (j < M)[:, None] & (i < M)[None, :]
        tl.store(y_at + j[:, None] * M + i[None, :], tl.trans(y), mask=mirrored)


def launch(x: Tensor, c: Tensor | None, y: Tensor, alpha: float, beta: float) -> None:
    K, M, N = x.shape
    side = triton.cdiv(M, TILE)
    other = x if c is None else c
    product_kernel[(side * (side + 1) // 2, K)](
        x, other, y, M, N, x.stride(0), x.stride(1), x.stride(2), other.stride(0), other.stride(1), alpha, beta,
        ADDED=c is not None, TILE=TILE, DEPTH=DEPTH, PRECISION=PRECISION, num_warps=4, num_stages=3,
    )  # fmt: skip


@torch.library.custom_op("golfreg::symmetric_product", mutates_args=())
def _op(x: Tensor, c: Tensor | None, alpha: float, beta: float) -> Tensor:
    y = torch.empty((x.size(0), x.size(1), x.size(1)), dtype=x.dtype, device=x.device)
    launch(x, c if c is None or c.stride(-1) == 1 else c.contiguous(), y, alpha, beta)
    return y


@_op.register_fake
def _(x: Tensor, c: Tensor | None, alpha: float, beta: float) -> Tensor:
    return x.new_empty((x.size(0), x.size(1), x.size(1)))


def call(x_KMN: Tensor, c_KMM: Tensor | None = None, *, alpha: float = 1.0, beta: float = 0.0) -> Tensor:
    """The op's signature."""
    y: Tensor = torch.ops.golfreg.symmetric_product(x_KMN, c_KMM, alpha, beta)
    return y


class TritonKernel:
    """The kernel's entry: ``call`` has the op's signature."""

    call = staticmethod(call)

    def supports(self, device: str, dtype: str, **static: Any) -> str | None:
        """None, or why it cannot run. With Triton's interpreter on, float32 runs on the CPU."""
        from golfreg.builtin.kernels.triton_support import refusal

        return refusal(device, dtype)

    def configurations(self) -> dict[str, Callable[[], object]]:
        return {"bfloat16": partial(_launch_all, torch.bfloat16), "float32": partial(_launch_all, torch.float32)}


def _launch_all(dtype: torch.dtype) -> None:
    x, gram, y = (torch.empty(11, 512, n, dtype=dtype, device="meta") for n in (2048, 512, 512))
    launch(x, None, y, 1.0, 0.0)
    launch(gram, gram, y, 2.0315, -4.775)


triton_kernel = TritonKernel()
