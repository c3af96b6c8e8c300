"""Allocations and launches of golfreg's Triton kernels of ``mamba3_siso``, with pinned configurations."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass

import torch
import triton

from golfreg.builtin.kernels import mamba3_triton_backward as backward
from golfreg.builtin.kernels import mamba3_triton_forward as forward
from golfreg.builtin.kernels import mamba3_triton_sums as sums

CHUNKS = (16, 32, 64)
"""Chunk lengths that are compiled; any other request runs with 64, which changes nothing but rounding."""

CONFIGS: dict[str, dict[str, int]] = {
    "prepare": {"num_warps": 4, "num_stages": 1},
    "states": {"num_warps": 4, "STAGES": 3},
    "outputs": {"num_warps": 4, "STAGES": 2, "HEADS": 8},
    "state_gradients": {"num_warps": 4, "STAGES": 2},
    "query_gradients": {"num_warps": 4, "STAGES": 1, "HEADS": 1, "KEEP": 0},
    "key_gradients": {"num_warps": 4, "STAGES": 1, "HEADS": 1, "maxnreg": 168},
    "sum_heads": {"num_warps": 4, "num_stages": 1, "maxnreg": 168, "M": 32},
    "phase_carry": {"num_warps": 4, "num_stages": 1},
    "finish": {"num_warps": 4, "num_stages": 1},
}
"""Launch settings for bfloat16 and float16 on sm_90, measured (docs/benchmarks_mamba3.md). ``KEEP`` 1 is not measured:
``query_gradients`` writes the rotated q and k, and ``key_gradients`` reads them instead of rotating again."""

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"

PRECISION = "tf32x3"
"""Matrix products of float32 operands: three tf32 products, as exact as float32."""


@dataclass(frozen=True)
class Sizes:
    """B batch, T time, H heads, P head width, G groups, N state, R angles, C chunk; a_form and flags."""

    B: int
    T: int
    H: int
    P: int
    G: int
    N: int
    R: int
    C: int
    heavy: bool
    a_floor: float
    eps: float

    @property
    def K(self) -> int:
        """Chunks of a sequence."""
        return -(-self.T // self.C)

    @property
    def T_pad(self) -> int:
        return self.K * self.C

    @property
    def B_col(self) -> int:
        return 2 * self.H * self.P

    @property
    def dt_col(self) -> int:
        return self.B_col + 2 * self.G * self.N

    @property
    def width(self) -> int:
        """Columns of the per-chunk parts of the parameters' gradients."""
        return 2 * self.H * self.N + 2 * self.G * self.N + 2 * self.H


def settings(kernel: str, dtype: torch.dtype) -> dict[str, int]:
    """Launch settings; float32 tiles are twice as large, so nothing is prefetched for them."""
    chosen = dict(CONFIGS[kernel])
    if dtype == torch.float32 and "STAGES" in chosen:
        chosen |= {"STAGES": 1, "num_warps": 8}
        chosen.pop("maxnreg", None)
    return chosen


def residual_shapes(s: Sizes, dtype: torch.dtype) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
    """What the forward keeps for the backward."""
    phase = torch.float32 if dtype == torch.float32 else torch.int16
    return {
        "bc": ((s.B, s.T_pad, 2, s.G, s.N), dtype),
        "scalars": ((5, s.B, s.H, s.T_pad), torch.float32),
        "first": ((s.B, s.T_pad), torch.int32),
        "sg0": ((s.B, s.H), torch.float32),
        "phase": ((s.B, s.H, s.T_pad, s.R), phase),
        "states": ((s.B, s.H, s.K, s.P, s.N), dtype),
    }


def state_shapes(s: Sizes) -> tuple[tuple[int, ...], ...]:
    """Shapes of (phi, h, k, v)."""
    return (s.B, s.H, s.R), (s.B, s.H, s.P, s.N), (s.B, s.H, s.N), (s.B, s.H, s.P)


def power_of_two(n: int) -> int:
    return max(16, triton.next_power_of_2(n))


def run_forward(
    s: Sizes,
    projected: torch.Tensor,
    dt_bias: torch.Tensor,
    B_bias: torch.Tensor,
    C_bias: torch.Tensor,
    B_norm: torch.Tensor,
    C_norm: torch.Tensor,
    D: torch.Tensor,
    starts: torch.Tensor | None,
    initial: tuple[torch.Tensor, ...] | None,
    return_state: bool,
) -> tuple[torch.Tensor, list[torch.Tensor], dict[str, torch.Tensor]]:
    """(output, final state or empty tensors, residuals)."""
    dtype, device = projected.dtype, projected.device
    kept = {
        name: torch.empty(shape, dtype=kind, device=device) for name, (shape, kind) in residual_shapes(s, dtype).items()
    }
    if starts is None:
        kept["first"] = torch.empty((0,), dtype=torch.int32, device=device)
    out = torch.empty((s.B, s.T, s.H * s.P), dtype=dtype, device=device)
    final = [
        torch.empty(shape if return_state else (0,), dtype=torch.float32, device=device) for shape in state_shapes(s)
    ]
    before = initial if initial is not None else tuple(final)
    stride_b, stride_t = projected.stride(0), projected.stride(1)
    flag = starts if starts is not None else kept["first"]
    plane = s.B * s.H * s.T_pad
    common = {"H": s.H, "G": s.G, "P": s.P, "N": s.N, "R": s.R, "C": s.C, "STARTS": starts is not None}
    forward.prepare_kernel[(s.K, s.B)](
        projected, dt_bias, B_norm, C_norm, flag, kept["bc"], kept["scalars"], kept["first"], kept["sg0"],
        stride_b, s.T, s.T_pad, plane, s.eps, s.a_floor, stride_t=stride_t, B_col=s.B_col, dt_col=s.dt_col,
        H=s.H, G=s.G, N=s.N, C=s.C, HP=power_of_two(s.H), HEAVY=s.heavy, STARTS=starts is not None,
        **settings("prepare", dtype),
    )  # fmt: skip
    forward.states_kernel[(s.H, s.B)](
        projected, kept["bc"], kept["scalars"], kept["first"], B_bias, kept["phase"], kept["states"], kept["sg0"],
        *before, *final, stride_b, s.T, s.T_pad, plane, s.K, stride_t=stride_t, angle_col=s.dt_col + 3 * s.H,
        **common, INITIAL=initial is not None, FINAL=return_state, PRECISION=PRECISION, FAST=not INTERPRETED,
        **settings("states", dtype),
    )  # fmt: skip
    heads = settings("outputs", dtype)
    heads["HEADS"] = math.gcd(heads["HEADS"], s.H)
    forward.outputs_kernel[(s.H // heads["HEADS"], s.K, s.B)](
        projected, kept["bc"], kept["scalars"], kept["first"], B_bias, C_bias, D, kept["phase"], kept["states"], out,
        stride_b, s.T, s.T_pad, plane, s.K, stride_t=stride_t, **common, PRECISION=PRECISION,
        FAST=not INTERPRETED, **heads,
    )  # fmt: skip
    return out, final, kept


def run_backward(
    s: Sizes,
    projected: torch.Tensor,
    dt_bias: torch.Tensor,
    B_bias: torch.Tensor,
    C_bias: torch.Tensor,
    B_norm: torch.Tensor,
    C_norm: torch.Tensor,
    D: torch.Tensor,
    starts: torch.Tensor | None,
    initial: tuple[torch.Tensor, ...] | None,
    kept: dict[str, torch.Tensor],
    dout: torch.Tensor,
    dfinal: tuple[torch.Tensor, ...] | None,
) -> list[torch.Tensor]:
    """Gradients of projected, dt_bias, B_bias, C_bias, B_norm, C_norm, D, and of the initial state if there is one."""
    dtype, device, real = projected.dtype, projected.device, torch.float32

    def new(*shape: int, kind: torch.dtype = real) -> torch.Tensor:
        return torch.empty(shape, dtype=kind, device=device)

    dprojected = new(*projected.shape, kind=dtype)
    S = max(s.P, s.C)
    dstates = new(s.B, s.H, s.K, S, s.N, kind=dtype)
    dq = new(s.B, s.H, s.T_pad, s.N, kind=dtype)
    dh0 = new(s.B, s.H, s.P, s.N)
    channels = settings("sum_heads", dtype)
    M = channels["M"]
    dscalars = new(3 + 2 * s.N // M, s.B, s.H, s.T_pad)
    dnormed = new(s.B, s.T_pad, 2, s.G, s.N)
    dangle, dphase = new(s.B, s.G, s.T_pad, s.R), new(s.B, s.H, s.K, s.R)
    carry, dphi0 = new(s.B, s.H, s.K, s.R), new(s.B, s.H, s.R)
    partials = new(s.B * s.K, s.width)
    none = kept["sg0"]
    dphi1, dh1, dk1, dv1 = dfinal if dfinal is not None else (none,) * 4
    flag = starts if starts is not None else kept["first"]
    stride_b, stride_t = projected.stride(0), projected.stride(1)
    out_stride_b = dprojected.stride(0)
    strides = {"stride_t": stride_t, "out_stride_t": dprojected.stride(1)}
    plane = s.B * s.H * s.T_pad
    common: dict[str, int | str] = {"H": s.H, "G": s.G, "P": s.P, "N": s.N, "R": s.R, "C": s.C, "S": S}
    common |= {"STARTS": starts is not None, "FINAL": dfinal is not None}
    common |= {"PRECISION": PRECISION, "FAST": not INTERPRETED}
    inner = {**common, **strides, "width": s.width}
    sizes = (stride_b, out_stride_b, s.T, s.T_pad, plane, s.K)
    heads = settings("query_gradients", dtype)
    heads["HEADS"] = math.gcd(heads["HEADS"], s.H)
    keep = {"KEEP": heads["KEEP"]}
    rotated = new(s.B, s.H, s.K, 2, s.C, s.N, kind=dtype) if keep["KEEP"] else dq
    backward.query_gradients_kernel[(s.H // heads["HEADS"], s.K, s.B)](
        projected, kept["bc"], kept["scalars"], kept["first"], B_bias, C_bias, D, kept["phase"], kept["states"], dout,
        dq, rotated, dprojected, dscalars, partials, *sizes, **inner, **heads,
    )  # fmt: skip
    backward.state_gradients_kernel[(s.H, s.B)](
        dprojected, kept["bc"], kept["scalars"], kept["first"], C_bias, kept["phase"], dh1, dstates, dh0,
        out_stride_b, s.T, s.T_pad, s.K, out_stride_t=dprojected.stride(1), **common,
        **settings("state_gradients", dtype),
    )  # fmt: skip
    heads = settings("key_gradients", dtype)
    heads["HEADS"] = math.gcd(heads["HEADS"], s.H)
    backward.key_gradients_kernel[(s.H // heads["HEADS"], s.K, s.B)](
        projected, kept["bc"], kept["scalars"], kept["first"], B_bias, C_bias, D, kept["phase"], kept["states"],
        dk1, dv1, dstates, rotated, dprojected, dscalars, *sizes, **inner, **keep, **heads,
    )  # fmt: skip
    sums.sum_heads_kernel[(s.K, s.B, s.G * s.N // M)](
        projected, kept["bc"], kept["scalars"], kept["first"], B_bias, C_bias, kept["phase"], dq, dstates, dk1,
        dnormed, dscalars, dangle, dphase, partials, stride_b, s.T, s.T_pad, plane, s.K,
        stride_t=stride_t, angle_col=s.dt_col + 3 * s.H, width=s.width, H=s.H, G=s.G, N=s.N, R=s.R, C=s.C, S=S,
        STARTS=starts is not None, FINAL=dfinal is not None, FAST=not INTERPRETED, **channels,
    )  # fmt: skip
    sums.phase_carry_kernel[(s.H, s.B)](
        dphase, kept["first"], dphi1, carry, dphi0, s.T_pad, s.K,
        H=s.H, R=s.R, RP=power_of_two(s.R), C=s.C, BLOCK=min(64, power_of_two(s.K)),
        STARTS=starts is not None, FINAL=dfinal is not None, **settings("phase_carry", dtype),
    )  # fmt: skip
    dbefore: list[torch.Tensor] = []
    dsg0 = none
    if initial is not None:
        _, _, k0, v0 = initial
        sg0 = kept["sg0"].unsqueeze(-1)
        dk0 = torch.einsum("bhpn,bhp->bhn", dh0, v0)
        dv0 = torch.einsum("bhpn,bhn->bhp", dh0, k0)
        dsg0 = (dk0 * k0).sum(-1)
        dbefore = [dphi0, dh0, sg0 * dk0, sg0 * dv0]
    sums.finish_kernel[(s.K, s.B)](
        projected, dt_bias, B_norm, C_norm, flag, kept["scalars"], dscalars, kept["first"], dangle, carry, dsg0,
        dnormed, dprojected, partials,
        stride_b, out_stride_b, s.T, s.T_pad, plane, s.K, s.a_floor, s.eps, **strides, B_col=s.B_col, dt_col=s.dt_col,
        width=s.width, H=s.H, G=s.G, N=s.N, M=M, R=s.R, HP=power_of_two(s.H), RP=power_of_two(s.R), C=s.C,
        HEAVY=s.heavy, STARTS=starts is not None, INITIAL=initial is not None, **settings("finish", dtype),
    )  # fmt: skip
    HN, GN = s.H * s.N, s.G * s.N
    totals = partials.sum(0).split([HN, HN, GN, GN, s.H, s.H])
    return [
        dprojected,
        totals[5].to(dt_bias.dtype, copy=True),
        totals[0].view(s.H, s.N).to(B_bias.dtype, copy=True),
        totals[1].view(s.H, s.N).to(C_bias.dtype, copy=True),
        totals[2].view(s.G, s.N).sum(0).to(B_norm.dtype),
        totals[3].view(s.G, s.N).sum(0).to(C_norm.dtype),
        totals[4].to(D.dtype, copy=True),
        *dbefore,
    ]
