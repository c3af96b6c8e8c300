"""golfreg's Triton kernel of ``softcapped_cross_entropy``: loss and gradients in one pass over chunks of positions.

Of a chunk's logits, a product in the dtype of the features, the Triton kernel reads each row twice: for the loss, and
to put the gradient in its place. So no float32 logits are in memory, and only one chunk's. As the loss is
a sum, its gradients are known but for a factor when it is: they are kept until backward and scaled.

N positions, C positions of a chunk, D model width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import triton
import triton.language as tl

CHUNK_BYTES = 256 << 20
"""Of logits in memory at once."""
Tensor = torch.Tensor


@triton.jit
def tanh(x):
    """A series near zero, where the difference would lose the digits of a small logit."""
    s = x * x
    near = x * (1.0 - s * (0.33333333 - s * (0.13333333 - s * 0.053968254)))
    e = tl.exp(-2.0 * tl.abs(x))
    far = (1.0 - e) / (1.0 + e)
    return tl.where(s < 0.0225, near, tl.where(x < 0, -far, far))


@triton.jit
def loss_kernel(
    logits, targets, losses, V, stride, cap, CAPPED: tl.constexpr, GRADIENT: tl.constexpr, BLOCK: tl.constexpr
):
    """losses[row] of logits[row, V]; with ``GRADIENT`` the logits are replaced by the gradient of the loss."""
    row = tl.program_id(0).to(tl.int64)
    logits += row * stride
    target = tl.load(targets + row)
    raw = tl.load(logits + target).to(tl.float32)
    largest = raw * 0.0 + float("-inf")
    total = raw * 0.0
    wanted = cap * tanh(raw / cap) if CAPPED else raw
    for start in range(0, V, BLOCK):
        at = start + tl.arange(0, BLOCK)
        z = tl.load(logits + at, mask=at < V, other=0.0).to(tl.float32)
        if CAPPED:
            z = cap * tanh(z / cap)
        z = tl.where(at < V, z, float("-inf"))
        now = tl.maximum(largest, tl.max(z, 0))
        total = total * tl.exp(largest - now) + tl.sum(tl.exp(z - now), 0)
        largest = now
    log_total = largest + tl.log(total)
    tl.store(losses + row, log_total - wanted)
    if GRADIENT:
        # Every program reads and writes its own row alone, and all of the row was read before.
        tl.debug_barrier()
        for start in range(0, V, BLOCK):
            at = start + tl.arange(0, BLOCK)
            z = tl.load(logits + at, mask=at < V, other=0.0).to(tl.float32)
            if CAPPED:
                t = tanh(z / cap)
                g = (tl.exp(cap * t - log_total) - tl.where(at == target, 1.0, 0.0)) * (1.0 - t * t)
            else:
                g = tl.exp(z - log_total) - tl.where(at == target, 1.0, 0.0)
            tl.store(logits + at, g.to(logits.dtype.element_ty), mask=at < V)


def launch(logits_CV: Tensor, targets_C: Tensor, losses_C: Tensor, softcap: float, gradient: bool) -> None:
    """Fill ``losses_C``; with ``gradient``, overwrite the logits."""
    V = logits_CV.size(1)
    block = min(triton.next_power_of_2(V), 4096)
    loss_kernel[(logits_CV.size(0),)](
        logits_CV, targets_C, losses_C, V, logits_CV.stride(0), softcap,
        CAPPED=softcap > 0, GRADIENT=gradient, BLOCK=block, num_warps=8 if block >= 2048 else 4,
    )  # fmt: skip


@torch.library.custom_op("golfreg::softcapped_cross_entropy", mutates_args=())
def _op(
    x_ND: Tensor, weight_VD: Tensor, targets_N: Tensor, softcap: float, gradient: bool, chunk: int
) -> tuple[Tensor, Tensor, Tensor]:
    """(sum of the losses, its gradient by x, by the weight); empty gradients unless they are asked for."""
    weight, x = weight_VD.to(x_ND.dtype).contiguous(), x_ND.contiguous()
    losses_N = torch.empty(x.size(0), dtype=torch.float32, device=x.device)
    dx_ND, dweight_VD = _gradients(x_ND, weight_VD, gradient)
    if gradient:
        dweight_VD.zero_()
    targets_N = targets_N.contiguous()
    for start in range(0, x.size(0), chunk):
        part = slice(start, start + chunk)
        logits_CV = x[part] @ weight.mT
        launch(logits_CV, targets_N[part], losses_N[part], softcap, gradient)
        if gradient:
            torch.mm(logits_CV, weight, out=dx_ND[part])
            dweight_VD += logits_CV.mT @ x[part]
    return losses_N.sum(), dx_ND, dweight_VD


def _gradients(x_ND: Tensor, weight_VD: Tensor, gradient: bool) -> tuple[Tensor, Tensor]:
    shapes = (x_ND.shape, weight_VD.shape) if gradient else ((0,), (0,))
    return x_ND.new_empty(shapes[0]), weight_VD.new_empty(shapes[1])


@_op.register_fake
def _(
    x_ND: Tensor, weight_VD: Tensor, targets_N: Tensor, softcap: float, gradient: bool, chunk: int
) -> tuple[Tensor, Tensor, Tensor]:
    return (x_ND.new_empty((), dtype=torch.float32), *_gradients(x_ND, weight_VD, gradient))


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    ctx.set_materialize_grads(False)
    ctx.mark_non_differentiable(*output[1:])
    ctx.save_for_backward(*output[1:])


def _autograd(ctx: Any, *gradients: Tensor | None) -> tuple[Any, ...]:
    g = gradients[0]
    if g is None:
        return (None,) * 6
    dx_ND, dweight_VD = ctx.saved_tensors
    return dx_ND * g.to(dx_ND.dtype), dweight_VD * g.to(dweight_VD.dtype), None, None, None, None


_op.register_autograd(_autograd, setup_context=_setup_context)


def call(x_ND: Tensor, weight_VD: Tensor, targets_N: Tensor, *, softcap: float) -> Tensor:
    """The sum of the losses; the op's signature."""
    gradient = torch.is_grad_enabled() and (x_ND.requires_grad or weight_VD.requires_grad)
    chunk = max(1, CHUNK_BYTES // (weight_VD.size(0) * x_ND.element_size()))
    loss: Tensor = torch.ops.golfreg.softcapped_cross_entropy(
        x_ND, weight_VD, targets_N, float(softcap), gradient, chunk
    )[0]
    return loss


class TritonKernel:
    """The kernel's entry: ``call`` has the op's signature."""

    call = staticmethod(call)

    def supports(self, device: str, dtype: str, **static: Any) -> str | None:
        """None, or why it cannot run. With Triton's interpreter on, float32 runs on the CPU."""
        from golfreg.builtin.kernels.triton_support import refusal

        return refusal(device, dtype)

    def configurations(self) -> dict[str, Callable[[], object]]:
        return {
            f"{name}, {vocabulary} tokens": partial(_launch_all, dtype, vocabulary)
            for name, dtype in (("bfloat16", torch.bfloat16), ("float32", torch.float32))
            for vocabulary in (1024, 8192)
        }


def _launch_all(dtype: torch.dtype, vocabulary: int) -> None:
    logits = torch.empty(4096, vocabulary, dtype=dtype, device="meta")
    targets, losses = (torch.empty(4096, dtype=kind, device="meta") for kind in (torch.int64, torch.float32))
    launch(logits, targets, losses, 30.0, True)


triton_kernel = TritonKernel()
