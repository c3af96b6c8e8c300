"""Forward kernels of ``mamba3_siso``. Three launches, each reads the projection through strides:

1. ``prepare``, one program per (chunk, batch): what all heads share. Normed B and C, and per head and
   position the decay summed over the chunk, gamma, scale = gamma_t + beta_{t+1}, dt.
2. ``states``, one program per (head, batch) that walks the chunks: phases, and the state that enters each
   chunk. Both are stored (the states in the input's dtype), because the backward needs them too.
3. ``outputs``, one program per (chunk, batch, heads): the rest, without any sequential dependence.

Bytes per layer of H*P = 1024, N = 64 in bfloat16, per position: 4480 read, 2048 written, plus states 2048 and
phases 512 written and read, x 2048 read again. One walk with the outputs fused would save 4 KiB of these, but then
512 programs carry everything; with three launches the sequential one is small and the large one is parallel.

Documents: ``first`` is the position in the chunk of the last document start at or before a position, -1 where the
document began in an earlier chunk. Arrays made here are padded to whole chunks; padding has dt = 0.
"""

from __future__ import annotations

import triton
import triton.language as tl

from golfreg.builtin.kernels.mamba3_triton_common import (
    PI,
    decay_and_slope,
    exp,
    load_rotation,
    pin,
    sigmoid,
    sincos_turns,
    softplus,
    sums,
    swapped,
    tanh,
    together,
)


@triton.jit
def prepare_kernel(
    projected, dt_bias, B_norm, C_norm, starts, bc, scalars, first, sg0,
    stride_b, T, T_pad, scalar_stride, eps, a_floor, stride_t: tl.constexpr, B_col: tl.constexpr, dt_col: tl.constexpr,
    H: tl.constexpr, G: tl.constexpr, N: tl.constexpr, C: tl.constexpr, HP: tl.constexpr,
    HEAVY: tl.constexpr, STARTS: tl.constexpr,
):  # fmt: skip
    """bc[B, T_pad, 2, G, N], scalars[:4] (decay sum, gamma, scale, dt)[B, H, T_pad], first[B, T_pad], sg0[B, H]."""
    chunk = tl.program_id(0)
    batch = tl.program_id(1).to(tl.int64)
    i = tl.arange(0, C)
    t = chunk * C + i
    valid = t < T
    row = projected + batch * stride_b + t * stride_t

    n = tl.arange(0, N)
    for part in tl.static_range(2):
        norm = tl.load((B_norm if part == 0 else C_norm) + n).to(tl.float32)
        for group in range(G):
            column = (part * G + group) * N + n
            x = tl.load(row[:, None] + (B_col + column)[None, :], mask=valid[:, None], other=0.0).to(tl.float32)
            x = x * tl.rsqrt(tl.sum(x * x, 1) / N + eps)[:, None] * norm[None, :]
            tl.store(bc + (batch * T_pad + t)[:, None] * (2 * G * N) + column[None, :], x)

    before = i[None, :] <= i[:, None]
    if STARTS:
        start = tl.load(starts + batch * T + t, mask=valid, other=0) != 0
        first_C = tl.max(tl.where(start[None, :] & before, i[None, :], -1), axis=1)
        tl.store(first + batch * T_pad + t, first_C)
        before = before & (i[None, :] >= first_C[:, None])

    h = tl.arange(0, HP)
    here = valid[:, None] & (h < H)[None, :]
    after = (t + 1 < T)[:, None] & (h < H)[None, :]
    if STARTS:
        after = after & (tl.load(starts + batch * T + t + 1, mask=t + 1 < T, other=0) == 0)[:, None]
    cell = row[:, None] + (dt_col + h)[None, :]
    bias = tl.load(dt_bias + h, mask=h < H, other=0.0).to(tl.float32)[None, :]
    dt = tl.where(here, softplus(tl.load(cell, mask=here, other=0.0).to(tl.float32) + bias), 0.0)
    A, _ = decay_and_slope(tl.load(cell + H, mask=here, other=0.0).to(tl.float32), a_floor, HEAVY)
    lam = tl.sigmoid(tl.load(cell + 2 * H, mask=here, other=0.0).to(tl.float32))
    dt_next = softplus(tl.load(cell + stride_t, mask=after, other=0.0).to(tl.float32) + bias)
    lam_next = tl.sigmoid(tl.load(cell + 2 * H + stride_t, mask=after, other=0.0).to(tl.float32))
    gamma = lam * dt
    scale = gamma + tl.where(after, (1.0 - lam_next) * dt_next, 0.0)
    decay = sums(before, A * dt, True, "tf32x3")

    out = scalars + (batch * H + h)[None, :] * T_pad + t[:, None]
    heads = (h < H)[None, :] & (i >= 0)[:, None]
    tl.store(out, decay, mask=heads)
    tl.store(out + scalar_stride, gamma, mask=heads)
    tl.store(out + 2 * scalar_stride, scale, mask=heads)
    tl.store(out + 3 * scalar_stride, dt, mask=heads)
    if chunk == 0:
        beta = tl.sum(tl.where((i == 0)[:, None], dt - gamma, 0.0), axis=0)
        tl.store(sg0 + batch * H + h, beta, mask=h < H)


@triton.jit
def states_kernel(
    projected, bc, scalars, first, B_bias, phase, states, sg0, phi0, h0, k0, v0, phi1, h1, k1, v1,
    stride_b, T, T_pad, scalar_stride, n_chunks, stride_t: tl.constexpr, angle_col: tl.constexpr,
    H: tl.constexpr, G: tl.constexpr, P: tl.constexpr, N: tl.constexpr, R: tl.constexpr, C: tl.constexpr,
    STARTS: tl.constexpr, INITIAL: tl.constexpr, FINAL: tl.constexpr, PRECISION: tl.constexpr, FAST: tl.constexpr,
    STAGES: tl.constexpr,
):  # fmt: skip
    """phase[B, H, T_pad, R], states[B, H, K, P, N] (what enters chunk K), the final state."""
    head = tl.program_id(0)
    batch = tl.program_id(1).to(tl.int64)
    DT: tl.constexpr = projected.dtype.element_ty
    EXACT: tl.constexpr = DT == tl.float32
    bh = batch * H + head
    i = tl.arange(0, C)
    n = tl.arange(0, N)
    p = tl.arange(0, P)
    r = tl.arange(0, N // 2)
    tile = p[:, None] * N + n[None, :]
    bias = tl.load(B_bias + head * N + n).to(tl.float32)
    bc += batch * T_pad * (2 * G * N) + (head // (H // G)) * N
    projected += batch * stride_b
    scalars += bh * T_pad
    phase += bh * T_pad * R
    states += bh * n_chunks * P * N
    if INITIAL:
        k_in = tl.load(k0 + bh * N + n)
        v_in = tl.load(v0 + bh * P + p)
        acc = tl.load(h0 + bh * P * N + tile) + tl.load(sg0 + bh) * v_in[:, None] * k_in[None, :]
        turn = tl.load(phi0 + bh * R + r, mask=r < R, other=0.0) * (0.5 / PI)
        turn = turn - tl.floor(turn + 0.5)
    else:
        acc = tl.zeros((P, N), tl.float32)
        turn = tl.zeros((N // 2,), tl.float32)

    for chunk in tl.range(0, n_chunks, num_stages=STAGES):
        t = chunk * C + i
        tl.store(states + chunk * P * N + tile, acc)
        decay = tl.load(scalars + t)
        decay_end = tl.load(scalars + chunk * C + C - 1)
        scale = tl.load(scalars + 2 * scalar_stride + t)
        dt = tl.load(scalars + 3 * scalar_stride + t)
        angle_at = projected + chunk * C * stride_t + angle_col + i[:, None] * stride_t + r[None, :]
        angle = tl.load(angle_at, mask=(t < T)[:, None] & (r < R)[None, :], other=0.0)
        x_at = projected + (chunk * C * stride_t + (H + head) * P) + i[:, None] * stride_t + p[None, :]
        x = tl.load(x_at, mask=(t < T)[:, None], other=0.0)
        b = tl.load(bc + chunk * C * (2 * G * N) + i[:, None] * (2 * G * N) + n[None, :])
        before = i[None, :] <= i[:, None]
        leaving = tl.exp(decay_end - decay)
        kept = tl.exp(decay_end)
        carried = turn[None, :]
        if STARTS:
            first_C = tl.load(first + batch * T_pad + t)
            first_end = tl.load(first + batch * T_pad + chunk * C + C - 1)
            before = before & (i[None, :] >= first_C[:, None])
            leaving = tl.where(i >= first_end, leaving, 0.0)
            kept = tl.where(first_end < 0, kept, 0.0)
            carried = tl.where((first_C < 0)[:, None], carried, 0.0)

        turns = sums(before, tanh(angle.to(tl.float32)) * (0.5 * dt)[:, None], EXACT, PRECISION) + carried
        turns = turns - tl.floor(turns + 0.5)
        turn = tl.sum(tl.where((i == C - 1)[:, None], turns, 0.0), axis=0)
        if phase.dtype.element_ty == tl.int16:
            stored = tl.floor(turns * 65536.0 + 0.5).to(tl.int32).to(tl.int16)
            used = stored.to(tl.float32) * (1.0 / 65536)
        else:
            stored = turns
            used = turns
        tl.store(phase + chunk * C * R + i[:, None] * R + r[None, :], stored, mask=(r < R)[None, :] & (i >= 0)[:, None])

        sin, cos = sincos_turns(used, FAST and not EXACT)
        b = b.to(tl.float32) + bias[None, :]
        k = b * together(cos, cos, C, N) + swapped(b, C, N) * together(-sin, sin, C, N)
        k_out = pin((k * (scale * leaving)[:, None]).to(DT), FAST)
        acc = tl.dot(tl.trans(x), k_out, acc=acc * kept, input_precision=PRECISION)
        if FINAL:
            if chunk == n_chunks - 1:
                is_last = (t == T - 1)[:, None]
                tl.store(k1 + bh * N + n, tl.sum(tl.where(is_last, k, 0.0), axis=0))
                tl.store(v1 + bh * P + p, tl.sum(tl.where(is_last, x.to(tl.float32), 0.0), axis=0))
    if FINAL:
        tl.store(h1 + bh * P * N + tile, acc)
        tl.store(phi1 + bh * R + r, (turn - tl.floor(turn)) * (2 * PI), mask=r < R)


@triton.jit
def outputs_kernel(
    projected, bc, scalars, first, B_bias, C_bias, D, phase, states, out,
    stride_b, T, T_pad, scalar_stride, n_chunks, stride_t: tl.constexpr,
    H: tl.constexpr, G: tl.constexpr, P: tl.constexpr, N: tl.constexpr, R: tl.constexpr, C: tl.constexpr,
    STARTS: tl.constexpr, PRECISION: tl.constexpr, FAST: tl.constexpr, HEADS: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """out[B, T, H*P] of ``HEADS`` heads of one chunk, and scalars[4] = q_t k_t."""
    chunk = tl.program_id(1)
    batch = tl.program_id(2).to(tl.int64)
    DT: tl.constexpr = projected.dtype.element_ty
    i = tl.arange(0, C)
    n = tl.arange(0, N)
    p = tl.arange(0, P)
    r = tl.arange(0, N // 2)
    t = chunk * C + i
    valid = (t < T)[:, None]
    start = batch * T_pad + chunk * C
    projected += batch * stride_b + (chunk * C).to(tl.int64) * stride_t
    out += (batch * T + chunk * C) * (H * P)
    bc += start * (2 * G * N)
    in_tile = i[:, None] * stride_t + p[None, :]
    seen = i[None, :] < i[:, None]
    if STARTS:
        first_C = tl.load(first + start + i)
        seen = seen & (i[None, :] >= first_C[:, None])

    for head in tl.range(tl.program_id(0) * HEADS, tl.program_id(0) * HEADS + HEADS, num_stages=STAGES):
        bh = batch * H + head
        bc_at = bc + (head // (H // G)) * N + i[:, None] * (2 * G * N) + n[None, :]
        x = tl.load(projected + (H + head) * P + in_tile, mask=valid, other=0.0)
        z = tl.load(projected + head * P + in_tile, mask=valid, other=0.0).to(tl.float32)
        state = tl.load(states + (bh * n_chunks + chunk) * P * N + p[:, None] * N + n[None, :])
        cos, sin = load_rotation(phase + (bh * T_pad + chunk * C) * R, i, r, R, C, N, FAST and DT != tl.float32)
        decay = tl.load(scalars + bh * T_pad + chunk * C + i)
        gamma = tl.load(scalars + scalar_stride + bh * T_pad + chunk * C + i)
        scale = tl.load(scalars + 2 * scalar_stride + bh * T_pad + chunk * C + i)
        b = tl.load(bc_at).to(tl.float32) + tl.load(B_bias + head * N + n).to(tl.float32)[None, :]
        c = tl.load(bc_at + G * N).to(tl.float32) + tl.load(C_bias + head * N + n).to(tl.float32)[None, :]
        own_qk = tl.sum(b * c, 1)
        tl.store(scalars + 4 * scalar_stride + bh * T_pad + chunk * C + i, own_qk)
        own = tl.load(D + head).to(tl.float32) + gamma * own_qk
        q = pin((c * cos + swapped(c, C, N) * sin).to(DT), FAST)
        k = pin(((b * cos + swapped(b, C, N) * sin) * scale[:, None]).to(DT), FAST)

        entering = tl.exp(decay)
        if STARTS:
            entering = tl.where(first_C < 0, entering, 0.0)
        y = tl.dot(q, tl.trans(state), input_precision=PRECISION) * entering[:, None]
        weight = tl.dot(q, tl.trans(k), input_precision=PRECISION)
        weight = tl.where(seen, weight * exp(decay[:, None] - decay[None, :], FAST), 0.0)
        y = tl.dot(weight.to(DT), x, acc=y, input_precision=PRECISION)
        y = (y + own[:, None] * x.to(tl.float32)) * z * sigmoid(z, FAST)
        tl.store(out + head * P + i[:, None] * (H * P) + p[None, :], y, mask=valid)
