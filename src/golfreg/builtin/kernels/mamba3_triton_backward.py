"""Backward kernels of ``mamba3_siso``: six launches that fill one gradient of the projection in place.

The first three, on tiles of one head, are here; those that sum over heads and time are in ``mamba3_triton_sums``.

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
    exp,
    load_rotation,
    pin,
    sigmoid,
    swapped,
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
def query_gradients_kernel(
    projected, bc, scalars, first, B_bias, C_bias, D, phase, states, dout, dq, rotated, dprojected, dscalars, partials,
    stride_b, out_stride_b, T, T_pad, scalar_stride, n_chunks, stride_t: tl.constexpr, out_stride_t: tl.constexpr,
    width: tl.constexpr,
    H: tl.constexpr, G: tl.constexpr, P: tl.constexpr, N: tl.constexpr, R: tl.constexpr, C: tl.constexpr,
    S: tl.constexpr, STARTS: tl.constexpr, FINAL: tl.constexpr, PRECISION: tl.constexpr, FAST: tl.constexpr,
    HEADS: tl.constexpr, STAGES: tl.constexpr, KEEP: tl.constexpr,
):  # fmt: skip
    """dq[B, H, T_pad, N], rotated; z of dprojected, and in the columns of x the gradient of the output before its gate,
    which the two kernels after this one read. Of dscalars: plane 0 the queries' part of the decay sums' gradient,
    1 dy_t x_t. With ``KEEP`` also rotated[B, H, K, 2, C, N], q and k, which ``key_gradients`` then reads."""
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
        if KEEP:
            tl.store(rotated + (bh * n_chunks + chunk) * (2 * C * N) + key_tile, q)
            tl.store(rotated + (bh * n_chunks + chunk) * (2 * C * N) + C * N + key_tile, k)
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
    projected, bc, scalars, first, B_bias, C_bias, D, phase, states, dk_final, dv_final, dstates, rotated, dprojected,
    dscalars,
    stride_b, out_stride_b, T, T_pad, scalar_stride, n_chunks, stride_t: tl.constexpr, out_stride_t: tl.constexpr,
    width: tl.constexpr,
    H: tl.constexpr, G: tl.constexpr, P: tl.constexpr, N: tl.constexpr, R: tl.constexpr, C: tl.constexpr,
    S: tl.constexpr, STARTS: tl.constexpr, FINAL: tl.constexpr, PRECISION: tl.constexpr, FAST: tl.constexpr,
    HEADS: tl.constexpr, STAGES: tl.constexpr, KEEP: tl.constexpr,
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
        if KEEP:
            q = tl.load(rotated + (bh * n_chunks + chunk) * (2 * C * N) + key_tile)
            k = tl.load(rotated + (bh * n_chunks + chunk) * (2 * C * N) + C * N + key_tile)
        else:
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
