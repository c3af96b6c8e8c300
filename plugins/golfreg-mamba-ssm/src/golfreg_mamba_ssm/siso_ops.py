"""mamba-ssm's Mamba-3 SISO kernels as torch custom ops, forward and backward.

Upstream's own autograd function cannot be traced by ``torch.compile``; these two call the same functions in the same
order. Documents: upstream takes the ends of sequences laid one after another (``cu_seqlens``) in a batch of one, so a
batch with document starts is laid out so; their number is read on the host, which waits for the GPU once a call.

Shape letters: B batch, T time, H heads, G groups, N state, P head width, R rotation angles, S sequences;
L = B T with documents, T without; E = 1 with documents, B without.
"""

from __future__ import annotations

from typing import Any

import torch

from golfreg_mamba_ssm.upstream import upstream

Tensor = torch.Tensor
_FUNCTIONS = "ops.triton.mamba3."


def _stacked(x: Tensor, packed: bool) -> Tensor:
    """[B, T, ...] to [E, L, ...]"""
    return x.reshape(1, -1, *x.shape[2:]) if packed else x


def _heads_first(x_BTH: Tensor, packed: bool) -> Tensor:
    """[B, T, H] to [E, H, L]"""
    return _stacked(x_BTH, packed).transpose(1, 2).contiguous()


def _time_first(x_EHL: Tensor, batch: int) -> Tensor:
    """[E, H, L] to [B, T, H]"""
    return x_EHL.transpose(1, 2).reshape(batch, -1, x_EHL.shape[1])


def _boundaries(starts_BT: Tensor) -> Tensor:
    """Where each sequence begins, and the end of the last: int32 [S + 1]. Every row of the batch begins one."""
    begins_BT = starts_BT.clone()
    begins_BT[:, 0] = True
    begins_S = begins_BT.reshape(-1).nonzero().squeeze(1)
    return torch.cat((begins_S, begins_S.new_tensor([begins_BT.numel()]))).to(torch.int32)


def _rows(cu_seqlens: Tensor, batch: int, length: int) -> tuple[Tensor, Tensor]:
    """The first and the last sequence of each row of the batch."""
    edges = torch.arange(batch + 1, device=cu_seqlens.device, dtype=cu_seqlens.dtype) * length
    at = torch.searchsorted(cu_seqlens, edges)
    return at[:-1], at[1:] - 1


def _entering(x_BX: Tensor, cu_seqlens: Tensor, starts_BT: Tensor) -> Tensor:
    """A state of each row as states of sequences: only a row's first one goes on, and only if it starts no document."""
    first_B, _ = _rows(cu_seqlens, *starts_BT.shape)
    x_SX = x_BX.new_zeros((cu_seqlens.shape[0] - 1, *x_BX.shape[1:]))
    keep_B = (~starts_BT[:, 0]).view(-1, *[1] * (x_BX.ndim - 1))
    return x_SX.index_copy(0, first_B, x_BX * keep_B)


def _entered(d_SX: Tensor, cu_seqlens: Tensor, starts_BT: Tensor) -> Tensor:
    """The gradient of ``_entering``."""
    first_B, _ = _rows(cu_seqlens, *starts_BT.shape)
    return d_SX[first_B] * (~starts_BT[:, 0]).view(-1, *[1] * (d_SX.ndim - 1))


@torch.library.custom_op("golfreg_mamba_ssm::siso_forward", mutates_args=())
def siso_forward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    adt: Tensor,
    dt: Tensor,
    trap: Tensor,
    q_bias: Tensor,
    k_bias: Tensor,
    angle: Tensor,
    D: Tensor,
    z: Tensor,
    starts: Tensor | None,
    phi0: Tensor | None,
    h0: Tensor | None,
    k0: Tensor | None,
    v0: Tensor | None,
    chunk: int,
    return_state: bool,
    keep: bool,
) -> tuple[
    Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor,
    Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor,
]:  # fmt: skip
    """(y_BTHP, phi, h, k, v; what the backward needs, ``cu_seqlens`` last).

    q, k: [B, T, G, N]; v, z: [B, T, H, P]; adt, dt, trap: [B, T, H]; angle: [B, T, R]. States are empty unless asked
    for, and so is what the backward needs unless ``keep``.
    """
    batch, length, n_heads, headdim = v.shape
    packed = starts is not None
    cu_seqlens = None if starts is None else _boundaries(starts)
    initial = None if phi0 is None or h0 is None or k0 is None or v0 is None else (phi0, h0, k0, v0)
    if initial is not None and starts is not None and cu_seqlens is not None:
        initial = tuple(_entering(x, cu_seqlens, starts) for x in initial)  # type: ignore[assignment]
    phase, phase_end = upstream(_FUNCTIONS + "angle_dt").angle_dt_fwd(
        _of_heads(angle, n_heads, packed), _heads_first(dt, packed), init_state=None if initial is None else initial[0],
        chunk_size=chunk, return_output_state=True, cu_seqlens=cu_seqlens,
    )  # fmt: skip
    out, *kept, final = upstream(_FUNCTIONS + "mamba3_siso_fwd").mamba3_siso_fwd(
        *(_stacked(x, packed) for x in (q, k, v)), *(_heads_first(x, packed) for x in (adt, dt, trap)),
        q_bias, k_bias, phase, D, _stacked(z, packed), None if initial is None else initial[1:],
        chunk_size=chunk, store_states_adt_outv=keep, return_final_states=return_state, cu_seqlens=cu_seqlens,
    )  # fmt: skip
    nothing = q.new_empty((0,), dtype=torch.float32)
    state = [nothing.clone() for _ in range(4)]
    if return_state:
        ends = [phase_end, *final]
        if cu_seqlens is not None:
            _, last_B = _rows(cu_seqlens, batch, length)
            ends = [x[last_B] for x in ends]
        state = [x.to(torch.float32, memory_format=torch.contiguous_format, copy=True) for x in ends]
    residuals = [phase, *kept] if keep else [nothing.clone() for _ in range(10)]
    ends_of = torch.empty((0,), dtype=torch.int32, device=q.device) if cu_seqlens is None else cu_seqlens
    return (out.reshape(batch, length, n_heads, headdim), *state, *residuals, ends_of)


def _of_heads(angle_BTR: Tensor, n_heads: int, packed: bool) -> Tensor:
    """The same angles for every head: [E, L, H, R]"""
    return _stacked(angle_BTR, packed).unsqueeze(2).expand(-1, -1, n_heads, -1).contiguous()


@siso_forward.register_fake
def _(  # type: ignore[no-untyped-def]
    q, k, v, adt, dt, trap, q_bias, k_bias, angle, D, z, starts, phi0, h0, k0, v0, chunk, return_state, keep
):
    B, T, H, P = v.shape
    N, R = q.shape[-1], angle.shape[-1]
    E, L = (B, T) if starts is None else (1, B * T)

    def real(*shape: Any) -> Tensor:
        return q.new_empty(shape, dtype=torch.float32)

    if starts is None:
        n_chunks, ends_of = -(-T // chunk), q.new_empty((0,), dtype=torch.int32)
    else:
        n_edges = torch.library.get_ctx().new_dynamic_size(min=2)
        n_chunks, ends_of = n_edges - 1 + L // chunk, q.new_empty((n_edges,), dtype=torch.int32)
    shapes = ((B, H, R), (B, H, P, N), (B, H, N), (B, H, P))
    state = [real(*shape) if return_state else real(0) for shape in shapes]
    residuals = [
        angle.new_empty((E, L, H, R)), v.new_empty((E, L, H, P)),
        q.new_empty((E, H, P, n_chunks * N), dtype=torch.bfloat16),
        real(E, H, L), real(E, H, n_chunks), q.new_empty((E, L, H, N)), k.new_empty((E, L, H, N)),
        real(E, H, L), real(E, H, L), real(E, H, L),
    ]  # fmt: skip
    return (v.new_empty((B, T, H, P)), *state, *(residuals if keep else [real(0) for _ in residuals]), ends_of)


@torch.library.custom_op("golfreg_mamba_ssm::siso_backward", mutates_args=())
def siso_backward(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    dt: Tensor,
    trap: Tensor,
    q_bias: Tensor,
    k_bias: Tensor,
    angle: Tensor,
    D: Tensor,
    z: Tensor,
    starts: Tensor | None,
    k0: Tensor | None,
    v0: Tensor | None,
    kept: list[Tensor],
    cu_seqlens: Tensor,
    dout: Tensor,
    dstate: list[Tensor],
    chunk: int,
) -> tuple[
    Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor,
    Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor,
]:  # fmt: skip
    """Gradients of q to z as ``siso_forward`` takes them, then of the initial state (empty if there was none)."""
    batch, length, n_heads, _ = v.shape
    packed = starts is not None
    phase, out_v, states, da_cs, da_cs_sum, q_turned, k_scaled, qk_dot, scale, gamma = kept
    backward = upstream(_FUNCTIONS + "mamba3_siso_bwd")
    ends_of = cu_seqlens if packed else None
    dphi = dh = dk_last = dv_last = None
    if dstate:
        dphi, dh, dk_last, dv_last = dstate
        if packed:
            _, last_B = _rows(cu_seqlens, batch, length)
            dphi, dh, dk_last, dv_last = (
                x.new_zeros((cu_seqlens.shape[0] - 1, *x.shape[1:])).index_copy(0, last_B, x) for x in dstate
            )
        dv_last = dv_last.to(v.dtype)
    entering = None if k0 is None or v0 is None else (k0, v0)
    if entering is not None and starts is not None:
        entering = (_entering(entering[0], cu_seqlens, starts), _entering(entering[1], cu_seqlens, starts))
    z_E, v_E, dt_E, trap_E = (
        _stacked(z, packed),
        _stacked(v, packed),
        _heads_first(dt, packed),
        _heads_first(trap, packed),
    )
    dz, dy = backward.compute_dzdo(_stacked(dout.contiguous(), packed), z_E, out_v, chunk_size=chunk)
    dq_turned, dk_scaled, dv, dadt, dqk_dot, dD, dh_in = backward.compute_dqkv(
        q=q_turned, k=k_scaled, v=v_E, da_cs=da_cs, da_cs_sum=da_cs_sum, qk_dot=qk_dot, SSM_States=states, do=dy,
        d_ossm_state=dh, d_ov_state=dv_last, D=D, chunk_size=chunk, has_input_state=entering is not None,
        Cu_Seqlens=ends_of,
    )  # fmt: skip
    dq, dk, dq_bias, dk_bias, dphase, dscale, dgamma = backward.compute_dqktheta(
        q=_stacked(q, packed), k=_stacked(k, packed), scale=scale, gamma=gamma, q_bias=q_bias, k_bias=k_bias,
        angles=phase, dq_in=dq_turned, dk_in=dk_scaled, dqk=dqk_dot, d_ok_state=dk_last, chunk_size=chunk,
        Cu_Seqlens=ends_of,
    )  # fmt: skip
    ddt, dtrap, dh_in, dk_in, dv_in = backward.compute_ddt_dtrap_dinput_states(
        dscale=dscale, dgamma=dgamma, dt=dt_E, trap=trap_E.float(), d_issm_state=dh_in,
        input_k_state=None if entering is None else entering[0],
        input_v_state=None if entering is None else entering[1], Cu_Seqlens=ends_of,
    )  # fmt: skip
    dangle, ddt_of_phase, dphi_in = upstream(_FUNCTIONS + "angle_dt").angle_dt_bwd(
        grad_out=dphase, angle=_of_heads(angle, n_heads, packed), dt=dt_E, has_init_state=entering is not None,
        chunk_size=chunk, grad_output_state=dphi, cu_seqlens=ends_of,
    )  # fmt: skip
    if entering is None:
        dbefore = [dout.new_empty((0,), dtype=torch.float32) for _ in range(4)]
    else:
        dbefore = [x.float() for x in (dphi_in, dh_in, dk_in, dv_in)]
        if starts is not None:
            dbefore = [_entered(x, cu_seqlens, starts) for x in dbefore]
    of_heads = [_time_first(x, batch) for x in (dadt, ddt + ddt_of_phase, dtrap)]
    grads = [
        dq, dk, dv, *of_heads, dq_bias, dk_bias, dangle.float().sum(2), dD, dz,
    ]  # fmt: skip
    inputs = (q, k, v, dt, dt, trap, q_bias, k_bias, angle, D, z)
    return (*(_like(g, x) for g, x in zip(grads, inputs, strict=True)), *dbefore)  # type: ignore[return-value]


def _like(gradient: Tensor, x: Tensor) -> Tensor:
    return gradient.reshape(x.shape).to(x.dtype, memory_format=torch.contiguous_format, copy=True)


@siso_backward.register_fake
def _(  # type: ignore[no-untyped-def]
    q, k, v, dt, trap, q_bias, k_bias, angle, D, z, starts, k0, v0, kept, cu_seqlens, dout, dstate, chunk
):
    B, _, H, P = v.shape
    shapes = ((B, H, angle.shape[-1]), (B, H, P, q.shape[-1]), (B, H, q.shape[-1]), (B, H, P))
    inputs = (q, k, v, dt, dt, trap, q_bias, k_bias, angle, D, z)
    before = [q.new_empty((0,) if k0 is None else shape, dtype=torch.float32) for shape in shapes]
    return (*(x.new_empty(x.shape) for x in inputs), *before)


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    # Residuals are outputs for the backward's sake only: no gradients of zeros as large as they are.
    ctx.set_materialize_grads(False)
    ctx.mark_non_differentiable(*output[5:])
    q, k, v, _, dt, trap, q_bias, k_bias, angle, D, z, starts, _, _, k0, v0, chunk, return_state, _ = inputs
    ctx.chunk, ctx.with_state = chunk, return_state
    ctx.save_for_backward(
        q,
        k,
        v,
        dt,
        trap,
        q_bias,
        k_bias,
        angle,
        D,
        z,
        starts,
        k0,
        v0,
        *output[5:],
        *(output[1:5] if return_state else ()),
    )


def _autograd(ctx: Any, *grads: Tensor | None) -> tuple[Any, ...]:
    saved = ctx.saved_tensors
    v, k0, kept, cu_seqlens, ends = saved[2], saved[11], saved[13:23], saved[23], saved[24:]
    dout = torch.zeros_like(v) if grads[0] is None else grads[0]
    dstate: list[Tensor] = []
    if ctx.with_state and any(g is not None for g in grads[1:5]):
        dstate = [torch.zeros_like(x) if g is None else g.contiguous() for g, x in zip(grads[1:5], ends, strict=True)]
    d = torch.ops.golfreg_mamba_ssm.siso_backward(*saved[:13], list(kept), cu_seqlens, dout, dstate, ctx.chunk)
    return (*d[:11], None, *(d[11:] if k0 is not None else (None,) * 4), None, None, None)


siso_forward.register_autograd(_autograd, setup_context=_setup_context)
