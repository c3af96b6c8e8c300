"""Backward kernels of ``mamba3_siso``: six launches that fill one gradient of the projection in place.

1. ``query_gradients``, a program per (head, chunk, batch): the output before its gate again, hence the gradient of z;
   dq; and dy = dout silu(z), kept in the columns of x, which the next two read.
2. ``state_gradients``, a program per (head, batch) that walks the chunks backwards: the gradient of the state that
   leaves each chunk.
3. ``key_gradients``, a program per (head, chunk, batch): the gradient of x in place of dy, dk in place of 2's states.
4. ``sum_heads``, a program per (chunk, batch, group, 32 channels) that takes the heads in turn: dq and dk turned back
   and summed over heads in registers, so that no float32 array of size heads * N per position exists.
5. ``phase_carry`` sums the gradient of the phases over later chunks (phases are sums over time).
6. ``finish``: the norms of B and C, and dt, A, trap and angle for all heads of a chunk at once.

One kernel in place of 1, 3 and 4 would read less, but a tile of 64 x 64 float32
values takes 32 registers of each of 128 threads: it spilled 500 of them, and the spills went to device memory.

With S[t, s] = exp(L_t - L_s) (q_t k_s) scale_s for s < t, the gradient of the decay sums is
``dL_t = q_t dq_t - k_t dk_t`` (without the diagonal's part), because S is a product of q_t and k_s; what enters and
leaves the chunk fits in too. Both terms are made of the same rounded factors, so what cancels does so exactly.

No atomics: gradients of parameters are summed per chunk here, and over chunks in a fixed order by the caller.
Shape letters and arrays as in ``mamba3_triton_forward``; W columns of ``partials[B * K, W]``:
B_bias[H, N], C_bias[H, N], B_norm[G, N], C_norm[G, N], D[H], dt_bias[H].
"""

from __future__ import annotations

import triton
import triton.language as tl

from golfreg.builtin.kernels.mamba3_triton_common import (
    PI,
    apart,
    decay_and_slope,
    exp,
    load_phase,
    load_rotation,
    pin,
    sigmoid,
    sums,
    swapped,
    tanh,
    together,
)


@triton.jit
def state_gradients_kernel(
    dprojected, bc, scalars, first, C_bias, phase, dh1, dstates, dh0,
    out_stride_b, T, T_pad, n_chunks, out_stride_t: tl.constexpr,
    H: tl.constexpr, G: tl.constexpr, P: tl.constexpr, N: tl.constexpr, R: tl.constexpr, C: tl.constexpr,
    S: tl.constexpr, STARTS: tl.constexpr, FINAL: tl.constexpr, PRECISION: tl.constexpr, FAST: tl.constexpr,
    STAGES: tl.constexpr,
):  # fmt: skip
    """dstates[B, H, K, S >= P, N]: of the state that leaves chunk K; dh0: of the state that enters the first."""
    head = tl.program_id(0)
    batch = tl.program_id(1).to(tl.int64)
    DT: tl.constexpr = dprojected.dtype.element_ty
    bh = batch * H + head
    i = tl.arange(0, C)
    n = tl.arange(0, N)
    p = tl.arange(0, P)
    r = tl.arange(0, N // 2)
    tile = p[:, None] * N + n[None, :]
    out_tile = i[:, None] * out_stride_t + p[None, :]
    bc_tile = i[:, None] * (2 * G * N) + n[None, :]
    bias = tl.load(C_bias + head * N + n).to(tl.float32)
    bc += batch * T_pad * (2 * G * N) + (G + head // (H // G)) * N
    dprojected += batch * out_stride_b + (H + head) * P
    dstates += bh * n_chunks * S * N
    acc = tl.load(dh1 + bh * P * N + tile) if FINAL else tl.zeros((P, N), tl.float32)

    for step in tl.range(0, n_chunks, num_stages=STAGES):
        chunk = n_chunks - 1 - step
        t = chunk * C + i
        valid = (t < T)[:, None]
        tl.store(dstates + chunk * S * N + tile, acc)
        dy = tl.load(dprojected + chunk * C * out_stride_t + out_tile, mask=valid, other=0.0)
        c = tl.load(bc + chunk * C * (2 * G * N) + bc_tile).to(tl.float32)
        cos, sin = load_rotation(phase + (bh * T_pad + chunk * C) * R, i, r, R, C, N, FAST and DT != tl.float32)
        entering = tl.exp(tl.load(scalars + bh * T_pad + t))
        kept = tl.exp(tl.load(scalars + bh * T_pad + chunk * C + C - 1))
        if STARTS:
            entering = tl.where(tl.load(first + batch * T_pad + t) < 0, entering, 0.0)
            kept = tl.where(tl.load(first + batch * T_pad + chunk * C + C - 1) < 0, kept, 0.0)
        c = c + bias[None, :]
        q = pin(((c * cos + swapped(c, C, N) * sin) * entering[:, None]).to(DT), FAST)
        acc = tl.dot(tl.trans(dy), q, acc=acc * kept, input_precision=PRECISION)
    tl.store(dh0 + bh * P * N + tile, acc)


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
def query_gradients_kernel(
    projected, bc, scalars, first, B_bias, C_bias, D, phase, states, dout, dq, dprojected, dscalars, partials,
    stride_b, out_stride_b, T, T_pad, scalar_stride, n_chunks, stride_t: tl.constexpr, out_stride_t: tl.constexpr,
    width: tl.constexpr,
    H: tl.constexpr, G: tl.constexpr, P: tl.constexpr, N: tl.constexpr, R: tl.constexpr, C: tl.constexpr,
    S: tl.constexpr, STARTS: tl.constexpr, FINAL: tl.constexpr, PRECISION: tl.constexpr, FAST: tl.constexpr,
    HEADS: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """dq[B, H, T_pad, N], rotated; z of dprojected, and in the columns of x the gradient of the output before its gate,
    which the two kernels after this one read. Of dscalars: plane 0 the queries' part of the decay sums' gradient,
    1 dy_t x_t."""
    chunk = tl.program_id(1)
    batch = tl.program_id(2).to(tl.int64)
    DT: tl.constexpr = projected.dtype.element_ty
    EXACT: tl.constexpr = DT == tl.float32
    i = tl.arange(0, C)
    n = tl.arange(0, N)
    p = tl.arange(0, P)
    r = tl.arange(0, N // 2)
    t = chunk * C + i
    valid = (t < T)[:, None]
    start = batch * T_pad + chunk * C
    projected += batch * stride_b + (chunk * C).to(tl.int64) * stride_t
    dprojected += batch * out_stride_b + (chunk * C).to(tl.int64) * out_stride_t
    bc += start * (2 * G * N)
    tile = p[:, None] * N + n[None, :]
    in_tile = i[:, None] * stride_t + p[None, :]
    out_tile = i[:, None] * out_stride_t + p[None, :]
    bc_tile = i[:, None] * (2 * G * N) + n[None, :]
    key_tile = i[:, None] * N + n[None, :]
    partials += (batch * n_chunks + chunk) * width
    dout += (batch * T + chunk * C) * (H * P)
    do_tile = i[:, None] * (H * P) + p[None, :]
    if STARTS:
        first_C = tl.load(first + start + i)

    for head in tl.range(tl.program_id(0) * HEADS, tl.program_id(0) * HEADS + HEADS, num_stages=STAGES):
        bh = batch * H + head
        zero = head // H  # keeps the masks out of registers: the compiler cannot hoist them from the loop
        cell = scalars + bh * T_pad + chunk * C + i
        dcell = dscalars + bh * T_pad + chunk * C + i
        decay = tl.load(cell)
        gamma = tl.load(cell + scalar_stride)
        scale = tl.load(cell + 2 * scalar_stride)
        entering = tl.exp(decay)
        seen = i[None, :] + zero < i[:, None]
        if STARTS:
            entering = tl.where(first_C < 0, entering, 0.0)
            seen = seen & (i[None, :] >= first_C[:, None])
        bc_at = bc + (head // (H // G)) * N
        rotation_at = phase + (bh * T_pad + chunk * C) * R
        cos, sin = load_rotation(rotation_at, i, r, R, C, N, FAST and not EXACT)
        c = tl.load(bc_at + G * N + bc_tile).to(tl.float32) + tl.load(C_bias + head * N + n).to(tl.float32)[None, :]
        q = pin((c * cos + swapped(c, C, N) * sin).to(DT), FAST)
        b = tl.load(bc_at + bc_tile).to(tl.float32) + tl.load(B_bias + head * N + n).to(tl.float32)[None, :]
        k = pin(((b * cos + swapped(b, C, N) * sin) * scale[:, None]).to(DT), FAST)
        tl.debug_barrier()  # keeps the compiler from loading everything first
        own = tl.load(D + head).to(tl.float32) + gamma * tl.load(cell + 4 * scalar_stride)
        x = tl.load(projected + (H * P + head * P) + in_tile, mask=valid, other=0.0)
        z = tl.load(projected + head * P + in_tile, mask=valid, other=0.0).to(tl.float32)
        do = tl.load(dout + head * P + do_tile, mask=valid, other=0.0).to(tl.float32)
        gate = sigmoid(z, FAST)
        dy = pin((do * z * gate).to(DT), FAST)
        dgate = pin((do * gate * (1.0 + z * (1.0 - gate))).to(DT), FAST)
        own_dyx = tl.sum(dy.to(tl.float32) * x.to(tl.float32), 1)
        tl.store(dprojected + (H * P + head * P) + out_tile, dy, mask=valid)
        tl.store(dcell + scalar_stride, own_dyx)
        tl.store(partials + (2 * H + 2 * G) * N + head, tl.sum(own_dyx, 0))

        tl.debug_barrier()
        state = tl.load(states + (bh * n_chunks + chunk) * P * N + tile)
        ratio = tl.where(seen, exp(decay[:, None] - decay[None, :], FAST), 0.0)
        weight = (tl.dot(q, tl.trans(k), input_precision=PRECISION) * ratio).to(DT)
        dweight = (tl.dot(dy, tl.trans(x), input_precision=PRECISION) * ratio).to(DT)
        y = tl.dot(q, tl.trans(state), input_precision=PRECISION) * entering[:, None]
        y = tl.dot(weight, x, acc=y, input_precision=PRECISION) + own[:, None] * x.to(tl.float32)
        tl.store(dprojected + head * P + out_tile, y * dgate.to(tl.float32), mask=valid)

        dq_now = tl.dot(dy, state, input_precision=PRECISION) * entering[:, None]
        dq_now = tl.dot(dweight, k, acc=dq_now, input_precision=PRECISION)
        tl.store(dcell, tl.sum(q.to(tl.float32) * dq_now, 1))
        tl.store(dq + (bh * T_pad + chunk * C) * N + key_tile, dq_now)


@triton.jit
def key_gradients_kernel(
    projected, bc, scalars, first, B_bias, C_bias, D, phase, states, dk_final, dv_final, dstates, dprojected, dscalars,
    stride_b, out_stride_b, T, T_pad, scalar_stride, n_chunks, stride_t: tl.constexpr, out_stride_t: tl.constexpr,
    width: tl.constexpr,
    H: tl.constexpr, G: tl.constexpr, P: tl.constexpr, N: tl.constexpr, R: tl.constexpr, C: tl.constexpr,
    S: tl.constexpr, STARTS: tl.constexpr, FINAL: tl.constexpr, PRECISION: tl.constexpr, FAST: tl.constexpr,
    HEADS: tl.constexpr, STAGES: tl.constexpr,
):  # fmt: skip
    """dk, rotated and without the factor scale, in place of dstates; x of dprojected. Of dscalars: plane 2 what remains
    of the decay sums' gradient."""
    chunk = tl.program_id(1)
    batch = tl.program_id(2).to(tl.int64)
    DT: tl.constexpr = projected.dtype.element_ty
    EXACT: tl.constexpr = DT == tl.float32
    i = tl.arange(0, C)
    n = tl.arange(0, N)
    p = tl.arange(0, P)
    r = tl.arange(0, N // 2)
    t = chunk * C + i
    valid = (t < T)[:, None]
    start = batch * T_pad + chunk * C
    projected += batch * stride_b + (chunk * C).to(tl.int64) * stride_t
    dprojected += batch * out_stride_b + (chunk * C).to(tl.int64) * out_stride_t
    bc += start * (2 * G * N)
    tile = p[:, None] * N + n[None, :]
    in_tile = i[:, None] * stride_t + p[None, :]
    out_tile = i[:, None] * out_stride_t + p[None, :]
    bc_tile = i[:, None] * (2 * G * N) + n[None, :]
    key_tile = i[:, None] * N + n[None, :]
    if STARTS:
        first_C = tl.load(first + start + i)
        first_end = tl.load(first + start + C - 1)

    for head in tl.range(tl.program_id(0) * HEADS, tl.program_id(0) * HEADS + HEADS, num_stages=STAGES):
        bh = batch * H + head
        zero = head // H  # keeps the masks out of registers: the compiler cannot hoist them from the loop
        cell = scalars + bh * T_pad + chunk * C + i
        dcell = dscalars + bh * T_pad + chunk * C + i
        decay = tl.load(cell)
        gamma = tl.load(cell + scalar_stride)
        scale = tl.load(cell + 2 * scalar_stride)
        own = tl.load(D + head).to(tl.float32) + gamma * tl.load(cell + 4 * scalar_stride)
        decay_end = tl.load(scalars + bh * T_pad + chunk * C + C - 1)
        leaving = tl.exp(decay_end - decay)
        kept = tl.exp(decay_end)
        seen = i[:, None] + zero < i[None, :]
        if STARTS:
            leaving = tl.where(i >= first_end, leaving, 0.0)
            kept = tl.where(first_end < 0, kept, 0.0)
            seen = seen & (i[:, None] >= first_C[None, :])
        bc_at = bc + (head // (H // G)) * N
        rotation_at = phase + (bh * T_pad + chunk * C) * R
        cos, sin = load_rotation(rotation_at, i, r, R, C, N, FAST and not EXACT)
        c = tl.load(bc_at + G * N + bc_tile).to(tl.float32) + tl.load(C_bias + head * N + n).to(tl.float32)[None, :]
        q = pin((c * cos + swapped(c, C, N) * sin).to(DT), FAST)
        b = tl.load(bc_at + bc_tile).to(tl.float32) + tl.load(B_bias + head * N + n).to(tl.float32)[None, :]
        k = pin(((b * cos + swapped(b, C, N) * sin) * scale[:, None]).to(DT), FAST)
        x = tl.load(projected + (H * P + head * P) + in_tile, mask=valid, other=0.0)
        dy = tl.load(dprojected + (H * P + head * P) + out_tile, mask=valid, other=0.0)
        dstate = tl.load(dstates + (bh * n_chunks + chunk) * S * N + tile)

        # Rows are the earlier positions s, columns the later t.
        ratio = tl.where(seen, exp(decay[None, :] - decay[:, None], FAST), 0.0)
        weight = (tl.dot(k, tl.trans(q), input_precision=PRECISION) * ratio).to(DT)
        dweight = (tl.dot(x, tl.trans(dy), input_precision=PRECISION) * ratio).to(DT)
        dx = tl.dot(k, tl.trans(dstate), input_precision=PRECISION) * leaving[:, None]
        dx = tl.dot(weight, dy, acc=dx, input_precision=PRECISION) + own[:, None] * dy.to(tl.float32)
        if FINAL:
            dx += tl.where((t == T - 1)[:, None], tl.load(dv_final + bh * P + p)[None, :], 0.0)
        tl.store(dprojected + (H * P + head * P) + out_tile, dx, mask=valid)

        # ``dk`` lacks the factor scale.
        dk_now = tl.dot(x, dstate, input_precision=PRECISION) * leaving[:, None]
        into_state = tl.sum(tl.sum(k.to(tl.float32) * dk_now, 1), 0)
        state = tl.load(states + (bh * n_chunks + chunk) * P * N + tile).to(tl.float32)
        into_state += kept * tl.sum(tl.sum(state * dstate.to(tl.float32), 1), 0)
        dk_now = tl.dot(dweight, q, acc=dk_now, input_precision=PRECISION)
        tl.store(
            dcell + 2 * scalar_stride, tl.where(i == C - 1, into_state, 0.0) - tl.sum(k.to(tl.float32) * dk_now, 1)
        )
        # The tile of dstates has been read by the whole program: every product above needs all of it.
        tl.store(dstates + (bh * n_chunks + chunk) * S * N + key_tile, dk_now)


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
