"""mamba-ssm's compiled extension ``selective_scan_cuda`` as a kernel of the op ``mamba1_scan``.

The extension knows neither documents nor states, so positions in between do what it lacks (``Laid``): before a
document's start one that lets the state decay to nothing, before a row N that write one number of its initial state
each, after a row N that read one number of the last state each. How many documents a row has is read on the host,
which waits for the GPU once a call. Gradients of B and C are sums of atomics: two runs differ in the last bits.

Shape letters: B batch, T time, I channels, N state, L = T and the positions added, X any.
"""

from __future__ import annotations

import importlib
from typing import Any, NamedTuple

import torch

from golfreg.api.errors import EnvironmentFault
from golfreg_mamba_ssm.plugin import INSTALL_MAMBA1

Tensor = torch.Tensor
FORGET, WRITE = 2.0**30, 2.0**-10
"""Step sizes: of the position before a start, at which every decay is 0, and of those that write a state."""


def extension() -> Any:
    """The module. EnvironmentFault if it is absent, or was compiled for another torch."""
    try:
        return importlib.import_module("selective_scan_cuda")
    except ImportError as error:
        raise EnvironmentFault(f"`selective_scan_cuda` could not be imported: {error}", hint=INSTALL_MAMBA1) from error


class Laid(NamedTuple):
    """Rows as the extension takes them."""

    before: int
    """Positions that write the initial state."""
    length: int
    rows_B1: Tensor
    index_BT: Tensor
    """Where each position of the row went."""
    forget_BT: Tensor | None
    """Whether the position before it lets the state decay."""

    @classmethod
    def of(cls, x_BTI: Tensor, n_state: int, starts_BT: Tensor | None, given: bool, wanted: bool) -> Laid:
        batch, length = x_BTI.shape[:2]
        before = n_state if given else 0
        index_BT = (before + torch.arange(length, device=x_BTI.device)).expand(batch, -1)
        most = 0
        if starts_BT is not None:
            index_BT = index_BT + starts_BT.cumsum(1)
            most = int(starts_BT.sum(1).max())
        total = before + length + most + (n_state if wanted else 0)
        return cls(before, total, torch.arange(batch, device=x_BTI.device).unsqueeze(1), index_BT, starts_BT)

    def put(self, x_BTX: Tensor) -> Tensor:
        """[B, T, X] to [B, X, L], 0 at the positions added."""
        out_BLX = x_BTX.new_zeros(x_BTX.shape[0], self.length, x_BTX.shape[2])
        out_BLX[self.rows_B1, self.index_BT] = x_BTX
        return out_BLX.transpose(1, 2).contiguous()

    def take(self, x_BXL: Tensor) -> Tensor:
        """[B, X, L] to [B, T, X]"""
        return x_BXL.transpose(1, 2)[self.rows_B1, self.index_BT]

    def forget(self, dt_BIL: Tensor) -> None:
        if self.forget_BT is not None:
            row, at = self.forget_BT.nonzero(as_tuple=True)
            dt_BIL[row, :, self.index_BT[row, at] - 1] = FORGET


def _held(A_IN: Tensor) -> Tensor:
    """What the number written at position n must be multiplied by, to be itself after the N - 1 - n that follow."""
    later_N = torch.arange(A_IN.shape[1] - 1, -1, -1, device=A_IN.device)
    return (-WRITE * later_N * A_IN).exp() / WRITE


def _arguments(
    laid: Laid, x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, state: Tensor | None, end: bool
) -> tuple[Any, ...]:
    """What the extension's two functions take first. One group of B and C; no gate, bias or softplus inside."""
    n = A.shape[1]
    u, delta, b, c = (laid.put(y) for y in (x, dt, B, C))
    laid.forget(delta)
    identity = torch.eye(n, dtype=b.dtype, device=b.device)
    if state is not None:
        u[:, :, :n], delta[:, :, :n], b[:, :, :n] = (state * _held(A)).to(u.dtype), WRITE, identity
    if end:
        c[:, :, -n:] = identity
    return u, delta, A, b.unsqueeze(1), c.unsqueeze(1), D, None, None


@torch.library.custom_op("golfreg_mamba_ssm::scan_forward", mutates_args=())
def _forward(
    x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor, starts: Tensor | None, state: Tensor | None,
    return_state: bool,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    laid = Laid.of(x, A.shape[1], starts, state is not None, return_state)
    out, *_ = extension().fwd(*_arguments(laid, x, dt, A, B, C, D, state, return_state), False)
    end = out[:, :, -A.shape[1] :].float().contiguous() if return_state else _no_state(x, A)
    return laid.take(out).contiguous(), end


def _no_state(x: Tensor, A: Tensor) -> Tensor:
    return x.new_empty((0, x.shape[2], A.shape[1]), dtype=torch.float32)


def _state(x: Tensor, A: Tensor, there: bool) -> Tensor:
    return x.new_empty((x.shape[0] if there else 0, x.shape[2], A.shape[1]), dtype=torch.float32)


@_forward.register_fake
def _(x, dt, A, B, C, D, starts, state, return_state):  # type: ignore[no-untyped-def]
    return x.new_empty(x.shape), _state(x, A, return_state)


@torch.library.custom_op("golfreg_mamba_ssm::scan_backward", mutates_args=())
def _backward(
    dout: Tensor, dlast: Tensor | None, x: Tensor, dt: Tensor, A: Tensor, B: Tensor, C: Tensor, D: Tensor,
    starts: Tensor | None, state: Tensor | None,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    n, end = A.shape[1], dlast is not None
    laid = Laid.of(x, n, starts, state is not None, end)
    arguments = _arguments(laid, x, dt, A, B, C, D, state, end)
    _, states = extension().fwd(*arguments, False)
    pull = laid.put(dout)
    if dlast is not None:
        pull[:, :, -n:] = dlast.to(pull.dtype)
    du, ddt, dA, dB, dC, dD, *_ = extension().bwd(*arguments, pull, states, None, None, False, False)
    before = _no_state(x, A)
    if state is not None:
        before = du[:, :, :n].float() * _held(A)
        # What is written depends on A, so that what enters the row does not.
        dA = dA - WRITE * torch.arange(n - 1, -1, -1, device=A.device) * (before * state).sum(0)
    grads = [laid.take(d).to(of.dtype).contiguous() for d, of in ((du, x), (ddt, dt), (dB[:, 0], B), (dC[:, 0], C))]
    return grads[0], grads[1], dA, grads[2], grads[3], dD, before


@_backward.register_fake
def _(dout, dlast, x, dt, A, B, C, D, starts, state):  # type: ignore[no-untyped-def]
    return (*(of.new_empty(of.shape) for of in (x, dt, A, B, C, D)), _state(x, A, state is not None))


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*inputs[:8])
    ctx.with_state = inputs[8]


def _autograd(ctx: Any, dout: Tensor | None, dlast: Tensor | None) -> tuple[Any, ...]:
    saved = ctx.saved_tensors
    dout = torch.zeros_like(saved[0]) if dout is None else dout.contiguous()
    dlast = dlast.contiguous() if dlast is not None and ctx.with_state else None
    *grads, before = _backward(dout, dlast, *saved)
    return (*grads, None, before if saved[7] is not None else None, None)


_forward.register_autograd(_autograd, setup_context=_setup_context)


def call(
    x_BTI: Tensor,
    dt_BTI: Tensor,
    A_IN: Tensor,
    B_BTN: Tensor,
    C_BTN: Tensor,
    D_I: Tensor,
    starts_BT: Tensor | None = None,
    initial_state_BIN: Tensor | None = None,
    *,
    return_state: bool = False,
) -> Any:
    """The op's signature. With a state, in or out, it computes in float32: states travel through x and y."""
    state = None if initial_state_BIN is None else initial_state_BIN.float().contiguous()
    dtype = x_BTI.dtype if state is None and not return_state else torch.float32
    y, last = _forward(
        x_BTI.to(dtype), dt_BTI.to(dtype), A_IN.float().contiguous(), B_BTN.to(dtype), C_BTN.to(dtype),
        D_I.float().contiguous(), starts_BT, state, return_state,
    )  # fmt: skip
    return (y.to(x_BTI.dtype), last) if return_state else y.to(x_BTI.dtype)


class ScanKernel:
    """The kernel's entry: ``call`` has the op's signature."""

    call = staticmethod(call)

    def supports(self, device: str, dtype: str, **static: Any) -> str | None:
        """None, or what the extension cannot do."""
        if str(device).split(":")[0] != "cuda" or torch.version.cuda is None:
            return f"mamba-ssm's compiled extension needs an NVIDIA GPU, the device is {device}"
        if dtype not in ("bfloat16", "float32"):
            return f"dtype {dtype} is not bfloat16 or float32: a float16 cannot hold the step that forgets a document"
        try:
            extension()
        except EnvironmentFault as fault:
            return fault.message
        return None


scan_kernel = ScanKernel()
