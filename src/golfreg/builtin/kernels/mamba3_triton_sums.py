"""Backward kernels of ``mamba3_siso`` that sum over heads and time: ``sum_heads``, ``phase_carry`` and ``finish``.

``mamba3_triton_backward`` has the launches before them, and what each of the six does.
Shape letters and arrays as in ``mamba3_triton_forward``.
"""

from __future__ import annotations

import triton
import triton.language as tl

from golfreg.builtin.kernels.mamba3_triton_common import (
    PI,
    apart,
    decay_and_slope,
    load_phase,
    sigmoid,
    sums,
    tanh,
    together,
)


@triton.jit
def _same_document(sum_later, document_later, sum_now, document_now):
    """Combines two neighbouring runs of positions in a sum that restarts with each document."""
    return sum_now + tl.where(document_later == document_now, sum_later, 0.0), document_now


@triton.jit
def _sum_over_time(dphi, first_C, STARTS: tl.constexpr):
    """From dphi[C, N/2]: sums over the later positions of the document in the chunk, and the sum [N/2] over the
    document that began before the chunk."""
    if STARTS:
        document = tl.broadcast_to(first_C[:, None], dphi.shape)
        later_sum, _ = tl.associative_scan((dphi, document), 0, _same_document, reverse=True)
        dphi = tl.where((first_C < 0)[:, None], dphi, 0.0)
    else:
        later_sum = tl.cumsum(dphi, 0, reverse=True)
    return later_sum, tl.sum(dphi, 0)


@triton.jit
def sum_heads_kernel(
    projected, bc, scalars, first, B_bias, C_bias, phase, dq, dstates, dk_final,
    dnormed, dscalars, dangle, dphase, partials,
    stride_b, T, T_pad, scalar_stride, n_chunks, stride_t: tl.constexpr, angle_col: tl.constexpr, width: tl.constexpr,
    H: tl.constexpr, G: tl.constexpr, N: tl.constexpr, R: tl.constexpr, C: tl.constexpr, S: tl.constexpr,
    M: tl.constexpr, STARTS: tl.constexpr, FINAL: tl.constexpr, FAST: tl.constexpr,
):  # fmt: skip
    """dnormed[B, T_pad, 2, G, N], of B and C after their norm: dq and dk turned back and summed over the group's heads
    in registers, M channels in a program. Of dscalars: planes 3 + part scale, 3 + N/M + part dt by the phase.
    dangle[B, G, T_pad, R] and dphase[B, H, K, R]: of this chunk's positions alone."""
    chunk = tl.program_id(0)
    batch = tl.program_id(1).to(tl.int64)
    group = tl.program_id(2) // (N // M)
    part = tl.program_id(2) % (N // M)
    EXACT: tl.constexpr = projected.dtype.element_ty == tl.float32
    i = tl.arange(0, C)
    m = part * M + tl.arange(0, M)
    even = part * M + 2 * tl.arange(0, M // 2)
    r = part * (M // 2) + tl.arange(0, M // 2)
    t = chunk * C + i
    start = batch * T_pad + chunk * C
    bc += start * (2 * G * N) + group * N
    dnormed += start * (2 * G * N) + group * N
    partials += (batch * n_chunks + chunk) * width
    dangle += ((batch * G + group) * T_pad + chunk * C) * R
    bc_tile = i[:, None] * (2 * G * N) + m[None, :]
    key_tile = i[:, None] * N + m[None, :]
    rotated = (r < R)[None, :] & (i >= 0)[:, None]
    if STARTS:
        first_C = tl.load(first + start + i)
    angle_at = projected + batch * stride_b + t[:, None] * stride_t + (angle_col + r)[None, :]
    angle = tl.load(angle_at, mask=(t < T)[:, None] & rotated, other=0.0).to(tl.float32)
    tanh_angle = 2.0 * sigmoid(2.0 * angle, FAST) - 1.0
    db0 = tl.zeros((C, M // 2), tl.float32)
    db1 = tl.zeros((C, M // 2), tl.float32)
    dc0 = tl.zeros((C, M // 2), tl.float32)
    dc1 = tl.zeros((C, M // 2), tl.float32)
    dangle_acc = tl.zeros((C, M // 2), tl.float32)

    for head in range(group * (H // G), (group + 1) * (H // G)):
        bh = batch * H + head
        cell = scalars + bh * T_pad + chunk * C + i
        dcell = dscalars + bh * T_pad + chunk * C + i
        own_d = (tl.load(cell + scalar_stride) * tl.load(dcell + scalar_stride))[:, None]
        scale = tl.load(cell + 2 * scalar_stride)
        cos, sin = load_phase(phase + (bh * T_pad + chunk * C) * R, i, r, R, FAST and not EXACT)
        b = tl.load(bc + bc_tile).to(tl.float32) + tl.load(B_bias + head * N + m).to(tl.float32)[None, :]
        b0, b1 = apart(b, C, M)
        c = tl.load(bc + G * N + bc_tile).to(tl.float32) + tl.load(C_bias + head * N + m).to(tl.float32)[None, :]
        c0, c1 = apart(c, C, M)

        x0, x1 = apart(tl.load(dq + (bh * T_pad + chunk * C) * N + key_tile).to(tl.float32), C, M)
        g0 = x0 * cos + x1 * sin + own_d * b0
        g1 = x1 * cos - x0 * sin + own_d * b1
        tl.store(partials + (H + head) * N + even, tl.sum(g0, 0))
        tl.store(partials + (H + head) * N + even + 1, tl.sum(g1, 0))
        dc0 += g0
        dc1 += g1
        dphi = c0 * g1 - c1 * g0

        x0, x1 = apart(tl.load(dstates + (bh * n_chunks + chunk) * S * N + key_tile).to(tl.float32), C, M)
        g0 = x0 * cos + x1 * sin
        g1 = x1 * cos - x0 * sin
        tl.store(dcell + (3 + part) * scalar_stride, tl.sum(b0 * g0 + b1 * g1, 1))
        g0 = g0 * scale[:, None] + own_d * c0
        g1 = g1 * scale[:, None] + own_d * c1
        if FINAL:
            is_last = (t == T - 1)[:, None]
            e0 = tl.where(is_last, tl.load(dk_final + bh * N + even)[None, :], 0.0)
            e1 = tl.where(is_last, tl.load(dk_final + bh * N + even + 1)[None, :], 0.0)
            g0 += e0 * cos + e1 * sin
            g1 += e1 * cos - e0 * sin
        tl.store(partials + head * N + even, tl.sum(g0, 0))
        tl.store(partials + head * N + even + 1, tl.sum(g1, 0))
        db0 += g0
        db1 += g1
        dphi += b0 * g1 - b1 * g0

        if part * (M // 2) < R:
            later_sum, total = _sum_over_time(dphi, first_C if STARTS else i, STARTS)
            dangle_acc += tl.load(cell + 3 * scalar_stride)[:, None] * later_sum
            tl.store(dphase + (bh * n_chunks + chunk) * R + r, total, mask=r < R)
            tl.store(dcell + (3 + N // M + part) * scalar_stride, tl.sum(tanh_angle * later_sum, 1) * PI)

    tl.store(dangle + i[:, None] * R + r[None, :], dangle_acc, mask=rotated)
    tl.store(dnormed + bc_tile, together(db0, db1, C, M))
    tl.store(dnormed + G * N + bc_tile, together(dc0, dc1, C, M))


@triton.jit
def phase_carry_kernel(
    dphase, first, dphi1, carry, dphi0, T_pad, n_chunks,
    H: tl.constexpr, R: tl.constexpr, RP: tl.constexpr, C: tl.constexpr, BLOCK: tl.constexpr,
    STARTS: tl.constexpr, FINAL: tl.constexpr,
):  # fmt: skip
    """carry[B, H, K, R]: gradient of the phase at the end of chunk K, from the chunks after it in its document."""
    head = tl.program_id(0)
    batch = tl.program_id(1).to(tl.int64)
    bh = batch * H + head
    i = tl.arange(0, BLOCK)
    r = tl.arange(0, RP)
    total = tl.load(dphi1 + bh * R + r, mask=r < R, other=0.0) if FINAL else tl.zeros((RP,), tl.float32)
    n_blocks = tl.cdiv(n_chunks, BLOCK)
    for step in range(n_blocks):
        chunk = (n_blocks - 1 - step) * BLOCK + i
        at = (bh * n_chunks + chunk)[:, None] * R + r[None, :]
        mask = (chunk < n_chunks)[:, None] & (r < R)[None, :]
        own = tl.load(dphase + at, mask=mask, other=0.0)
        after = i[None, :] > i[:, None]
        if STARTS:
            end = tl.load(first + batch * T_pad + chunk * C + C - 1, mask=chunk < n_chunks, other=-1)
            broken = tl.where(end >= 0, i, BLOCK)
            until = tl.min(tl.where(after, broken[None, :], BLOCK), axis=1)
            whole = tl.min(broken)
            after = after & (i[None, :] <= until[:, None])
            passing = tl.where((until == BLOCK)[:, None], total[None, :], 0.0)
            total = tl.sum(tl.where((i <= whole)[:, None], own, 0.0), 0) + tl.where(whole == BLOCK, total, 0.0)
        else:
            passing = total[None, :]
            total = total + tl.sum(own, 0)
        tl.store(carry + at, sums(after, own, True, "tf32x3") + passing, mask=mask)
    tl.store(dphi0 + bh * R + r, total, mask=r < R)


@triton.jit
def _norm_backward(x_at, out_at, norm, mask, g, partial, eps, N: tl.constexpr):
    """Gradient of the RMS norm's input, written to ``out_at``; of its weight, summed over the chunk."""
    n = tl.arange(0, N)
    x = tl.load(x_at, mask=mask, other=0.0).to(tl.float32)
    rstd = tl.rsqrt(tl.sum(x * x, 1) / N + eps)[:, None]
    x = x * rstd
    tl.store(partial + n, tl.sum(g * x, 0))
    g = g * tl.load(norm + n).to(tl.float32)[None, :]
    tl.store(out_at, (g - x * (tl.sum(g * x, 1) / N)[:, None]) * rstd, mask=mask)


@triton.jit
def finish_kernel(
    projected, dt_bias, B_norm, C_norm, starts, scalars, dscalars, first, dangle, carry, dsg0, dnormed,
    dprojected, partials,
    stride_b, out_stride_b, T, T_pad, scalar_stride, n_chunks, a_floor, eps, stride_t: tl.constexpr,
    out_stride_t: tl.constexpr, B_col: tl.constexpr, dt_col: tl.constexpr, width: tl.constexpr,
    H: tl.constexpr, G: tl.constexpr, N: tl.constexpr, M: tl.constexpr, R: tl.constexpr,
    HP: tl.constexpr, RP: tl.constexpr, C: tl.constexpr, HEAVY: tl.constexpr, STARTS: tl.constexpr,
    INITIAL: tl.constexpr,
):  # fmt: skip
    """The columns B, C, dt, A, trap and angle of dprojected; the chunk's part of the gradients of dt_bias and norms."""
    chunk = tl.program_id(0)
    batch = tl.program_id(1).to(tl.int64)
    i = tl.arange(0, C)
    h = tl.arange(0, HP)
    r = tl.arange(0, RP)
    t = chunk * C + i
    row = projected + batch * stride_b + t * stride_t
    out_row = dprojected + batch * out_stride_b + t * out_stride_t
    heads = (h < H)[None, :]
    here = (t < T)[:, None] & heads
    own = (batch * H + h)[None, :] * T_pad + t[:, None]

    later = i[:, None] <= i[None, :]
    before = (t > 0) & (t < T)
    leaves = i >= 0
    if STARTS:
        later = later & (i[:, None] >= tl.load(first + batch * T_pad + t)[None, :])
        before = before & (tl.load(starts + batch * T + t, mask=t < T, other=1) == 0)
        leaves = i >= tl.load(first + batch * T_pad + chunk * C + C - 1)
    ddecay = tl.load(dscalars + own, mask=heads, other=0.0)
    ddecay += tl.load(dscalars + 2 * scalar_stride + own, mask=heads, other=0.0)
    dlog = sums(later, ddecay, True, "tf32x3")
    dgamma = tl.load(dscalars + scalar_stride + own, mask=heads, other=0.0)
    dgamma *= tl.load(scalars + 4 * scalar_stride + own, mask=heads, other=0.0)
    dbeta = tl.zeros((C, HP), tl.float32)
    for part in tl.static_range(N // M):
        dgamma += tl.load(dscalars + (3 + part) * scalar_stride + own, mask=heads, other=0.0)
        dbeta += tl.load(dscalars + (3 + part) * scalar_stride + own - 1, mask=before[:, None] & heads, other=0.0)
    if INITIAL:
        entering = tl.load(dsg0 + batch * H + h, mask=h < H, other=0.0)
        dbeta += tl.where((t == 0)[:, None], entering[None, :], 0.0)

    # The phase: what later chunks add reaches every position of the chunk's last document.
    carry_at = carry + ((batch * H + h) * n_chunks + chunk)[:, None] * R + r[None, :]
    carry_HR = tl.load(carry_at, mask=(h < H)[:, None] & (r < R)[None, :], other=0.0)
    angles = (t < T)[:, None] & (r < R)[None, :]
    tanh_angle = tanh(tl.load(row[:, None] + (dt_col + 3 * H + r)[None, :], mask=angles, other=0.0).to(tl.float32))
    dt = tl.load(scalars + 3 * scalar_stride + own, mask=heads, other=0.0)
    dturn = tl.dot(tl.where(leaves[:, None], dt, 0.0), carry_HR, input_precision="tf32x3")
    for group in range(G):
        at = ((batch * G + group) * T_pad + t)[:, None] * R + r[None, :]
        dturn += tl.load(dangle + at, mask=angles, other=0.0)
    dangle_raw = (1.0 - tanh_angle * tanh_angle) * dturn * PI
    tl.store(out_row[:, None] + (dt_col + 3 * H + r)[None, :], dangle_raw, mask=angles)
    ddt = tl.dot(tanh_angle, tl.trans(carry_HR), input_precision="tf32x3")
    ddt = tl.where(leaves[:, None], ddt, 0.0) * PI
    for part in tl.static_range((2 * R + M - 1) // M):
        ddt += tl.load(dscalars + (3 + N // M + part) * scalar_stride + own, mask=heads, other=0.0)

    cell = row[:, None] + (dt_col + h)[None, :]
    out_cell = out_row[:, None] + (dt_col + h)[None, :]
    bias = tl.load(dt_bias + h, mask=h < H, other=0.0).to(tl.float32)[None, :]
    slope_dt = tl.sigmoid(tl.load(cell, mask=here, other=0.0).to(tl.float32) + bias)
    A, slope_A = decay_and_slope(tl.load(cell + H, mask=here, other=0.0).to(tl.float32), a_floor, HEAVY)
    lam = tl.sigmoid(tl.load(cell + 2 * H, mask=here, other=0.0).to(tl.float32))
    ddt = (ddt + lam * dgamma + (1.0 - lam) * dbeta + A * dlog) * slope_dt
    ddt = tl.where(here, ddt, 0.0)
    tl.store(out_cell, ddt, mask=here)
    tl.store(out_cell + H, dt * dlog * slope_A, mask=here)
    tl.store(out_cell + 2 * H, dt * (dgamma - dbeta) * lam * (1.0 - lam), mask=here)
    tl.store(partials + (batch * n_chunks + chunk) * width + width - H + h, tl.sum(ddt, 0), mask=h < H)

    n = tl.arange(0, N)
    for group in range(G):
        tile = (B_col + group * N + n)[None, :]
        g_at = dnormed + (batch * T_pad + t)[:, None] * (2 * G * N) + (group * N + n)[None, :]
        at = partials + (batch * n_chunks + chunk) * width + (2 * H + group) * N
        mask = (t < T)[:, None]
        _norm_backward(row[:, None] + tile, out_row[:, None] + tile, B_norm, mask, tl.load(g_at), at, eps, N)
        tile += G * N
        g = tl.load(g_at + G * N)
        _norm_backward(row[:, None] + tile, out_row[:, None] + tile, C_norm, mask, g, at + G * N, eps, N)
