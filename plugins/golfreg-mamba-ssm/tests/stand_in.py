"""Upstream's functions in plain PyTorch, with its layouts and the meaning of its arguments, for a CPU.

The forward is the recurrence; a backward function differentiates it by what that function gives. Nothing of upstream's
arithmetic is here: what the tests see is whether golfreg hands each tensor to the right place.

Shape letters: E, L, H, G, N, P, R, S as in ``golfreg_mamba_ssm.siso_ops``.
"""

from __future__ import annotations

import functools
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from types import SimpleNamespace

import torch
import torch.nn.functional as F

_calls: dict = {}


def with_autograd(function):
    """Inside a custom op torch records nothing for gradients, in that thread: so in another one."""

    @functools.wraps(function)
    def run(*arguments, **named):
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(function, *arguments, **named).result()

    return run


def turn(x_HN, phi_HR):
    pairs, rest = x_HN[:, : 2 * phi_HR.shape[1]].unflatten(-1, (-1, 2)), x_HN[:, 2 * phi_HR.shape[1] :]
    cos, sin = phi_HR.cos(), phi_HR.sin()
    even, odd = pairs.unbind(-1)
    turned = torch.stack((even * cos - odd * sin, even * sin + odd * cos), -1).flatten(1)
    return torch.cat((turned, rest), -1)


def spans(cu_seqlens, batch, length):
    """(row, first, end) of each sequence."""
    if cu_seqlens is None:
        return [(b, 0, length) for b in range(batch)]
    edges = cu_seqlens.tolist()
    return [(0, a, b) for a, b in pairwise(edges)]


def recurrence(q, k, v, adt, dt, trap, q_bias, k_bias, phase, D, z, states, cu_seqlens):
    """(out, h, k, v of each sequence's end, the output before the gate)."""
    out, ends, before_gate = torch.zeros_like(v), [], torch.zeros_like(v)
    per = q_bias.shape[0] // q.shape[2]
    for s, (row, first, end) in enumerate(spans(cu_seqlens, q.shape[0], q.shape[1])):
        h = torch.zeros(*v.shape[2:], q.shape[-1]) if states is None else states[0][s]
        last = None if states is None else (states[1][s], states[2][s])
        rows, gates = [], []
        for t in range(first, end):
            lam, delta = trap[row, :, t].sigmoid(), dt[row, :, t]
            qt = turn(q[row, t].repeat_interleave(per, 0) + q_bias, phase[row, t])
            kt = turn(k[row, t].repeat_interleave(per, 0) + k_bias, phase[row, t])
            if last is not None:
                h = h + ((1 - lam) * delta)[:, None, None] * last[1][:, :, None] * last[0][:, None, :]
            h = adt[row, :, t].exp()[:, None, None] * h
            h = h + (lam * delta)[:, None, None] * v[row, t][:, :, None] * kt[:, None, :]
            y = (h @ qt[:, :, None]).squeeze(-1) + D[:, None] * v[row, t]
            gates.append(y)
            rows.append(y * F.silu(z[row, t]))
            last = kt, v[row, t]
        out = out.index_put((torch.tensor(row), torch.arange(first, end)), torch.stack(rows))
        before_gate = before_gate.index_put((torch.tensor(row), torch.arange(first, end)), torch.stack(gates))
        ends.append((h, *last))
    return out, *(torch.stack(x) for x in zip(*ends, strict=True)), before_gate


def phases(angle, dt, init_state, cu_seqlens):
    out, ends = torch.zeros_like(angle), []
    for s, (row, first, end) in enumerate(spans(cu_seqlens, angle.shape[0], angle.shape[1])):
        steps = torch.tanh(angle[row, first:end]) * torch.pi * dt[row, :, first:end].T[:, :, None]
        run = steps.cumsum(0) + (0 if init_state is None else init_state[s])
        out = out.index_put((torch.tensor(row), torch.arange(first, end)), run)
        ends.append(run[-1])
    return out, torch.stack(ends)


def angle_dt_fwd(angle, dt, init_state=None, chunk_size=64, return_output_state=False, cu_seqlens=None):
    assert return_output_state
    out, end = phases(angle, dt, init_state, cu_seqlens)
    _calls["phase"] = init_state
    return out, end.remainder(2 * torch.pi)


@with_autograd
def angle_dt_bwd(grad_out, angle, dt, has_init_state=False, chunk_size=64, grad_output_state=None, cu_seqlens=None):
    with torch.enable_grad():
        leaves = [angle.detach().requires_grad_(), dt.detach().requires_grad_()]
        init = _calls["phase"].detach().requires_grad_() if has_init_state else None
        out, end = phases(*leaves, init, cu_seqlens)
        total = (out * grad_out).sum() + (0 if grad_output_state is None else (end * grad_output_state).sum())
        return (
            *torch.autograd.grad(total, leaves + ([init] if has_init_state else [])),
            *([] if has_init_state else [None]),
        )


def mamba3_siso_fwd(
    Q, K, V, ADT, DT, Trap, Q_bias, K_bias, Angles, D=None, Z=None, Initial_States=None, chunk_size=64,
    store_states_adt_outv=False, return_final_states=False, cu_seqlens=None,
):  # fmt: skip
    E, L, H, P = V.shape
    N, n_chunks = Q.shape[-1], -(-L // chunk_size) if cu_seqlens is None else len(cu_seqlens) - 1 + L // chunk_size
    out, h, k, v, out_v = recurrence(Q, K, V, ADT, DT, Trap, Q_bias, K_bias, Angles, D, Z, Initial_States, cu_seqlens)
    _calls["siso"] = (Q, K, V, ADT, DT, Trap, Q_bias, K_bias, Angles, D, Z), Initial_States, cu_seqlens
    seven = (
        torch.zeros(E, H, P, n_chunks * N, dtype=torch.bfloat16), torch.zeros(E, H, L), torch.zeros(E, H, n_chunks),
        Q.new_zeros(E, L, H, N), K.new_zeros(E, L, H, N), torch.zeros(E, H, L), torch.zeros(E, H, L),
        torch.zeros(E, H, L),
    )  # fmt: skip
    return out, out_v, *seven, (h, k, v) if return_final_states else None


@with_autograd
def gradients(wanted, **cotangents):
    """Of the noted call, by argument names, under the cotangents of out, h, k and v."""
    tensors, states, cu_seqlens = _calls["siso"]
    names = ("Q", "K", "V", "ADT", "DT", "Trap", "Q_bias", "K_bias", "Angles", "D", "Z")
    with torch.enable_grad():
        leaves = {n: x.detach().requires_grad_() for n, x in zip(names, tensors, strict=True)}
        initial = None if states is None else tuple(x.detach().requires_grad_() for x in states)
        if initial:
            leaves |= dict(zip(("h0", "k0", "v0"), initial, strict=True))
        named = dict(
            zip(
                ("out", "h", "k", "v", "ungated"),
                recurrence(*[leaves[n] for n in names], initial, cu_seqlens),
                strict=True,
            )
        )
        total = sum((named[n] * g).sum() for n, g in cotangents.items() if g is not None)
        found = torch.autograd.grad(total, [leaves[n] for n in wanted if n in leaves], allow_unused=True)
    given = dict(zip([n for n in wanted if n in leaves], found, strict=True))
    return [given.get(n) for n in wanted]


def compute_dzdo(do, z, o, chunk_size=64):
    torch.testing.assert_close(z, _calls["siso"][0][10])
    (dz,) = gradients(("Z",), out=do)
    return dz, do * F.silu(z)


def compute_dqkv(
    q, k, v, da_cs, da_cs_sum, qk_dot, SSM_States, do, d_ossm_state=None, d_ov_state=None, D=None, chunk_size=64,
    has_input_state=False, Cu_Seqlens=None,
):  # fmt: skip
    torch.testing.assert_close(v, _calls["siso"][0][2])
    _calls["pull"] = {"ungated": do, "h": d_ossm_state, "v": d_ov_state}
    dv, dadt, dD, dh = gradients(("V", "ADT", "D", "h0"), **_calls["pull"])
    return q, k, dv, dadt, qk_dot, dD, dh


def compute_dqktheta(
    q, k, scale, gamma, q_bias, k_bias, angles, dq_in, dk_in, dqk, d_ok_state=None, chunk_size=64, Cu_Seqlens=None
):
    for given, name in ((q, 0), (k, 1), (q_bias, 6), (k_bias, 7), (angles, 8)):
        torch.testing.assert_close(given, _calls["siso"][0][name])
    _calls["pull"]["k"] = d_ok_state
    return *gradients(("Q", "K", "Q_bias", "K_bias", "Angles"), **_calls["pull"]), scale, gamma


def compute_ddt_dtrap_dinput_states(
    dscale, dgamma, dt, trap, d_issm_state=None, input_k_state=None, input_v_state=None, Cu_Seqlens=None
):
    ddt, dtrap, dk, dv = gradients(("DT", "Trap", "k0", "v0"), **_calls["pull"])
    if input_k_state is not None:
        torch.testing.assert_close((input_k_state, input_v_state), tuple(_calls["siso"][1][1:]))
    return ddt, dtrap, d_issm_state, dk, dv


def upstream(name: str) -> SimpleNamespace:
    """In place of ``golfreg_mamba_ssm.upstream.upstream``."""
    assert name.removeprefix("ops.triton.mamba3.") in ("angle_dt", "mamba3_siso_fwd", "mamba3_siso_bwd")
    return SimpleNamespace(**globals())
