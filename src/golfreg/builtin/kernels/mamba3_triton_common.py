"""Pieces shared by golfreg's Triton kernels of ``mamba3_siso``.

Shape letters as in ``mamba3_siso``; C the chunk's length. Phases are counted in turns, so that taking
them modulo 2 pi is exact and 16 bits hold one to 1e-4 radians, a fiftieth of bfloat16's rounding.
"""

from __future__ import annotations

import triton
import triton.language as tl

PI = tl.constexpr(3.141592653589793)


@triton.jit
def sincos_turns(x, FAST: tl.constexpr):
    """sin and cos of x turns, x in [-0.5, 0.5].

    ``FAST``: the GPU's own approximation, to 5e-7; else Taylor series at half the angle, to 1e-7.
    """
    if FAST:
        u = x * (2 * PI)
        sin = tl.inline_asm_elementwise("sin.approx.f32 $0, $1;", "=f,f", [u], tl.float32, is_pure=True, pack=1)
        cos = tl.inline_asm_elementwise("cos.approx.f32 $0, $1;", "=f,f", [u], tl.float32, is_pure=True, pack=1)
    else:
        u = x * PI
        s = u * u
        half = 2.7557319e-06 + s * (-2.5052108e-08 + s * 1.6059044e-10)
        half = u * (1.0 + s * (-0.16666667 + s * (8.3333333e-03 + s * (-1.9841270e-04 + s * half))))
        rest = 2.4801587e-05 + s * (-2.7557319e-07 + s * 2.0876757e-09)
        rest = 1.0 + s * (-0.5 + s * (4.1666667e-02 + s * (-1.3888889e-03 + s * rest)))
        sin = 2.0 * half * rest
        cos = 1.0 - 2.0 * half * half
    return sin, cos


@triton.jit
def exp(x, FAST: tl.constexpr):
    """``FAST`` spares the rescaling that keeps denormal results."""
    if FAST:
        u = x * 1.4426950408889634
        y = tl.inline_asm_elementwise("ex2.approx.ftz.f32 $0, $1;", "=f,f", [u], tl.float32, is_pure=True, pack=1)
    else:
        y = tl.exp(x)
    return y


@triton.jit
def sigmoid(x, FAST: tl.constexpr):
    if FAST:
        u = 1.0 + exp(-x, FAST)
        y = tl.inline_asm_elementwise("rcp.approx.ftz.f32 $0, $1;", "=f,f", [u], tl.float32, is_pure=True, pack=1)
    else:
        y = tl.sigmoid(x)
    return y


@triton.jit
def tanh(x):
    return 2.0 * tl.sigmoid(2.0 * x) - 1.0


@triton.jit
def softplus(x):
    """log(1 + exp(x)); a series where 1 + exp(x) would lose the digits of a small step size."""
    e = tl.exp(-tl.abs(x))
    small = e * (1.0 - e * (0.5 - e * (0.33333333 - e * (0.25 - e * 0.2))))
    return tl.maximum(x, 0.0) + tl.where(e < 0.02, small, tl.log(1.0 + e))


@triton.jit
def decay_and_slope(a, a_floor, HEAVY: tl.constexpr):
    """A(a) <= -a_floor and dA/da, in the two published forms."""
    if HEAVY:
        low = 1.0 / (1.0 - tl.minimum(a, 0.0))
        A = -tl.where(a >= 0.0, 1.0 + a, low)
        slope = -tl.where(a >= 0.0, 1.0, low * low)
    else:
        A = -softplus(a)
        slope = -tl.sigmoid(a)
    return tl.minimum(A, -a_floor), tl.where(A <= -a_floor, slope, 0.0)


@triton.jit
def apart(x, C: tl.constexpr, N: tl.constexpr):
    """The channels (2i, 2i+1) of x[C, N] as two tiles [C, N/2]."""
    return tl.split(tl.reshape(x, (C, N // 2, 2)))


@triton.jit
def together(even, odd, C: tl.constexpr, N: tl.constexpr):
    """Inverse of ``apart``."""
    return tl.reshape(tl.join(even, odd), (C, N))


@triton.jit
def swapped(x, C: tl.constexpr, N: tl.constexpr):
    """x[C, N] with the channels of each pair exchanged."""
    even, odd = apart(x, C, N)
    return together(odd, even, C, N)


@triton.jit
def pin(x, PIN: tl.constexpr):
    """x, computed once: the compiler may not compute it again in another register layout.

    Without this it does so for every consumer, and a large kernel spills. ``PIN`` is off in the interpreter,
    which knows no inline assembly.
    """
    if PIN:
        if x.dtype == tl.bfloat16 or x.dtype == tl.float16:
            x = tl.inline_asm_elementwise("mov.b32 $0, $1;", "=r,r", [x], x.dtype, is_pure=False, pack=2)
        elif x.dtype == tl.float32:
            x = tl.inline_asm_elementwise("mov.b32 $0, $1;", "=r,r", [x], x.dtype, is_pure=False, pack=1)
    return x


@triton.jit
def sums(mask, x, EXACT: tl.constexpr, PRECISION: tl.constexpr):
    """mask @ x for a mask of zeros and ones: cumulative sums by the matrix unit.

    x is split in two bfloat16 parts (relative error 2^-17) unless ``EXACT``.
    """
    if EXACT:
        total = tl.dot(mask.to(tl.float32), x, input_precision=PRECISION)
    else:
        ones = mask.to(tl.bfloat16)
        high = x.to(tl.bfloat16)
        low = (x - high.to(tl.float32)).to(tl.bfloat16)
        total = tl.dot(ones, low, acc=tl.dot(ones, high))
    return total


@triton.jit
def load_phase(phase_ptr, i, r, R: tl.constexpr, FAST: tl.constexpr):
    """cos and sin [C, N/2] of the stored phases; channels that are not rotated get phase 0."""
    x = tl.load(phase_ptr + i[:, None] * R + r[None, :], mask=(r < R)[None, :], other=0)
    if phase_ptr.dtype.element_ty == tl.int16:
        x = x.to(tl.float32) * (1.0 / 65536)
    sin, cos = sincos_turns(x.to(tl.float32), FAST)
    return cos, sin


@triton.jit
def load_rotation(phase_ptr, i, r, R: tl.constexpr, C: tl.constexpr, N: tl.constexpr, FAST: tl.constexpr):
    """cos and sin [C, N], sin negative in the even channels: x turned by the phase is
    ``x * cos + swapped(x) * sin``."""
    cos, sin = load_phase(phase_ptr, i, r, R, FAST)
    return together(cos, cos, C, N), together(-sin, sin, C, N)
