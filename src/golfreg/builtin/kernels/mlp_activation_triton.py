"""golfreg's Triton kernel of ``mlp_activation``: one pass forward, one backward, and nothing kept but the input."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import triton
import triton.language as tl

from golfreg.builtin.kernels.mlp_activation import SLOPES

BLOCK = 1024
Tensor = torch.Tensor


@triton.jit
def forward_kernel(x_at, y_at, n, slope, BLOCK: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(x_at + at, mask=at < n, other=0.0).to(tl.float32)
    x = tl.where(x < 0, slope * x, x)
    tl.store(y_at + at, (x * x).to(y_at.dtype.element_ty), mask=at < n)


@triton.jit
def backward_kernel(x_at, g_at, dx_at, n, slope, BLOCK: tl.constexpr):
    """d/dx of leaky(x)^2 is 2 leaky(x) leaky'(x)."""
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(x_at + at, mask=at < n, other=0.0).to(tl.float32)
    g = tl.load(g_at + at, mask=at < n, other=0.0).to(tl.float32)
    dx = 2.0 * g * tl.where(x < 0, slope * slope * x, x)
    tl.store(dx_at + at, dx.to(dx_at.dtype.element_ty), mask=at < n)


def launch_forward(x: Tensor, y: Tensor, slope: float) -> None:
    n = x.numel()
    forward_kernel[(triton.cdiv(n, BLOCK),)](x, y, n, slope, BLOCK=BLOCK, num_warps=4)


def launch_backward(x: Tensor, g: Tensor, dx: Tensor, slope: float) -> None:
    n = x.numel()
    backward_kernel[(triton.cdiv(n, BLOCK),)](x, g, dx, n, slope, BLOCK=BLOCK, num_warps=4)


@torch.library.custom_op("golfreg::mlp_activation", mutates_args=())
def _forward(x: Tensor, slope: float) -> Tensor:
    y = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    launch_forward(x.contiguous(), y, slope)
    return y


@_forward.register_fake
def _(x: Tensor, slope: float) -> Tensor:
    return x.new_empty(x.shape)


@torch.library.custom_op("golfreg::mlp_activation_backward", mutates_args=())
def _backward(x: Tensor, g: Tensor, slope: float) -> Tensor:
    dx = torch.empty(x.shape, dtype=x.dtype, device=x.device)
    launch_backward(x.contiguous(), g.contiguous(), dx, slope)
    return dx


@_backward.register_fake
def _(x: Tensor, g: Tensor, slope: float) -> Tensor:
    return x.new_empty(x.shape)


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    ctx.save_for_backward(inputs[0])
    ctx.slope = inputs[1]


def _autograd(ctx: Any, g: Tensor) -> tuple[Tensor, None]:
    return torch.ops.golfreg.mlp_activation_backward(ctx.saved_tensors[0], g, ctx.slope), None


_forward.register_autograd(_autograd, setup_context=_setup_context)


def call(x: Tensor, *, kind: str) -> Tensor:
    """The op's signature."""
    y: Tensor = torch.ops.golfreg.mlp_activation(x, SLOPES[kind])
    return y


class TritonKernel:
    """The kernel's entry: ``call`` has the op's signature."""

    call = staticmethod(call)

    def supports(self, device: str, dtype: str, **static: Any) -> str | None:
        """None, or why it cannot run. With Triton's interpreter on, float32 runs on the CPU."""
        from golfreg.builtin.kernels.mlp_activation import reference_kernel
        from golfreg.builtin.kernels.triton_support import refusal

        return refusal(device, dtype) or reference_kernel.supports(device, dtype, **static)

    def configurations(self) -> dict[str, Callable[[], object]]:
        return {"bfloat16": partial(_launch_all, torch.bfloat16), "float32": partial(_launch_all, torch.float32)}


def _launch_all(dtype: torch.dtype) -> None:
    x, y, dx = (torch.empty(131_072, 1536, dtype=dtype, device="meta") for _ in range(3))
    launch_forward(x, y, 0.5)
    launch_backward(x, y, dx, 0.5)


triton_kernel = TritonKernel()
