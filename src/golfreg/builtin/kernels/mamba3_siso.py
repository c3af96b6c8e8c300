"""The op ``mamba3_siso``: Mamba-3 SISO (arXiv 2603.15569) between ``in_proj`` and ``out_proj``.

``reference`` is the chunked form, made of matrix products; ``mamba3_siso_recurrence`` has the definition.

Shape letters: B batch, T time, P of ``projected_BTP`` the columns of the projection, elsewhere the
head's width; I inner width = H*P, H heads, G groups, N state, R rotation angles, K chunks, C chunk length.

Per head, with the columns of ``projected_BTP`` in the order ``split_projection`` gives::

    dt = softplus(dt + dt_bias)      A = min(-softplus(A) or -heavy_tail(A), -a_floor)
    phi_t = phi_{t-1} + pi tanh(angle_t) dt_t        lam = sigmoid(trap)        alpha = exp(A dt)
    k = rotate(rms_norm(B) B_norm + B_bias, phi)     q = rotate(rms_norm(C) C_norm + C_bias, phi)
    h_t = alpha_t (h_{t-1} + (1 - lam_t) dt_t v_{t-1} k_{t-1}^T) + lam_t dt_t v_t k_t^T
    out_t = (h_t q_t + D v_t) silu(z_t)

Solved for h, with L the running sum of ``A dt``, gamma = lam dt and beta = (1 - lam) dt::

    h_t q_t = gamma_t (q_t k_t) v_t + sum_{s<t} exp(L_t - L_s) (gamma_s + beta_{s+1}) (q_t k_s) v_s

Only differences of phi inside one document reach the output, so a document's start resets phi in the
returned state alone.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F

from golfreg.api.errors import ConfigError
from golfreg.api.kernel import ReferenceKernel
from golfreg.api.values import Case

State = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]
"""(phi_BHR, h_BHPN, k_BHN, v_BHP) after the last position; k is rotated, phi lies in [0, 2 pi)."""

TWO_PI = 2 * math.pi


def projection_rows(
    n_heads: int, headdim: int, d_state: int, ngroups: int, n_angles: int
) -> tuple[tuple[str, int], ...]:
    """Names and widths of the projection's parts, in order."""
    inner, state = n_heads * headdim, ngroups * d_state
    return (
        ("z", inner), ("x", inner), ("B", state), ("C", state),
        ("dt", n_heads), ("A", n_heads), ("trap", n_heads), ("angle", n_angles),
    )  # fmt: skip


def decay_rate(A_in: torch.Tensor, a_form: str, a_floor: float) -> torch.Tensor:
    """A < 0 from its projection, in one of the two published forms."""
    if a_form == "softplus":
        A = -F.softplus(A_in)
    elif a_form == "heavy_tail":
        A = -(A_in.clamp_min(0) + (1 - A_in.clamp_max(0)).reciprocal())
    else:
        raise ConfigError(f"a_form is {a_form!r}", hint="it is `softplus` or `heavy_tail`")
    return A.clamp_max(-a_floor)


class RotateHalves(torch.autograd.Function):
    """Rotate x[..., 0:R] against x[..., R:2R] by phi (pairs as ``pairs_apart`` lays them out).

    Written out because most of the op's time on a CPU is element-wise: the gradient needs neither
    the input nor four products, since d even'/d phi = -odd' and d odd'/d phi = even'.
    """

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, phi: torch.Tensor) -> torch.Tensor:
        cos, sin = phi.cos(), phi.sin()
        y = _rotated(x, cos, sin, 1)
        ctx.save_for_backward(y, cos, sin)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y, cos, sin = ctx.saved_tensors
        (g,) = gradients
        r = cos.shape[-1]
        g_phi = g[..., r : 2 * r] * y[..., :r]
        g_phi.addcmul_(g[..., :r], y[..., r : 2 * r], value=-1)
        return _rotated(g, cos, sin, -1), g_phi


def rotate_halves(x: torch.Tensor, phi: torch.Tensor) -> torch.Tensor:
    """``RotateHalves`` for a phi that has the shape of x but for the last dimension."""
    rotated: torch.Tensor = RotateHalves.apply(x, phi)
    return rotated


def _rotated(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor, sign: int) -> torch.Tensor:
    r = cos.shape[-1]
    even, odd, rest = x[..., :r], x[..., r : 2 * r], x[..., 2 * r :]
    turned = (even * cos).addcmul_(odd, sin, value=-sign), (odd * cos).addcmul_(even, sin, value=sign)
    return torch.cat((*turned, rest), dim=-1)


def pairs_apart(n: int, n_angles: int, device: torch.device) -> torch.Tensor:
    """Channel order in which the rotated pairs (2i, 2i+1) are two contiguous halves.

    Scalar products over the channels do not depend on their order, and contiguous halves are faster.
    """
    pairs = torch.arange(2 * n_angles, device=device).view(n_angles, 2)
    return torch.cat((pairs[:, 0], pairs[:, 1], torch.arange(2 * n_angles, n, device=device)))


def reference(
    projected_BTP: torch.Tensor,
    dt_bias_H: torch.Tensor,
    B_bias_HN: torch.Tensor,
    C_bias_HN: torch.Tensor,
    B_norm_N: torch.Tensor,
    C_norm_N: torch.Tensor,
    D_H: torch.Tensor,
    starts_BT: torch.Tensor | None = None,
    initial_state: State | None = None,
    *,
    headdim: int,
    d_state: int,
    ngroups: int,
    n_angles: int,
    chunk_size: int,
    a_form: str,
    a_floor: float,
    norm_eps: float,
    return_state: bool = False,
) -> Any:
    """y_BTI, or (y_BTI, ``State``) with ``return_state``.

    Float32 inside (float64 for float64 inputs); matrix products take operands of the input's dtype.
    ``starts_BT`` is True where a document starts; ``initial_state`` is what came before position 0.
    """
    n_batch, length, _ = projected_BTP.shape
    n_heads, dtype, device = dt_bias_H.shape[0], projected_BTP.dtype, projected_BTP.device
    real = torch.float64 if dtype == torch.float64 else torch.float32
    C = min(chunk_size, length)
    K = -(-length // C)
    padding = K * C - length
    if padding:
        projected_BTP = F.pad(projected_BTP, (0, 0, 0, padding))
    rows = projection_rows(n_heads, headdim, d_state, ngroups, n_angles)
    z_BTI, x_BTI, B_BTS, C_BTS, dt_BTH, A_BTH, trap_BTH, angle_BTR = projected_BTP.split([n for _, n in rows], dim=-1)

    def chunks(x_BTX: torch.Tensor, heads: int) -> torch.Tensor:
        """[B, T, heads*n] -> [B, K, heads, C, n]"""
        return x_BTX.unflatten(1, (K, C)).unflatten(-1, (heads, -1)).transpose(2, 3)

    # Padded positions get dt = 0, so they neither decay the state nor add to it.
    dt_BTH = F.softplus(dt_BTH.to(real) + dt_bias_H.to(real))
    if padding:
        dt_BTH = F.pad(dt_BTH[:, :length], (0, 0, 0, padding))
    lam_BTH = trap_BTH.to(real).sigmoid()
    gamma_BTH = lam_BTH * dt_BTH
    beta_BTH = dt_BTH - gamma_BTH
    scale_BTH = gamma_BTH + F.pad(beta_BTH[:, 1:], (0, 0, 0, 1))
    log_alpha_BTH = decay_rate(A_BTH.to(real), a_form, a_floor) * dt_BTH
    dt_BKHC, gamma_BKHC, scale_BKHC = (chunks(x, n_heads).squeeze(-1) for x in (dt_BTH, gamma_BTH, scale_BTH))
    L_BKHC = chunks(log_alpha_BTH, n_heads).squeeze(-1).cumsum(-1)

    order_N = pairs_apart(d_state, n_angles, device)
    phi_BKHCR, phi_last_BHR = _phases(chunks(angle_BTR.to(real), 1), dt_BKHC, initial_state)

    def keys(x_BTS: torch.Tensor, norm_N: torch.Tensor, bias_HN: torch.Tensor) -> torch.Tensor:
        x_BTGN = x_BTS.to(real).unflatten(-1, (ngroups, d_state))[..., order_N]
        x_BTGN = F.rms_norm(x_BTGN, (d_state,), norm_N.to(real)[order_N], norm_eps)
        bias_GJ1N = bias_HN.to(real)[:, order_N].view(ngroups, -1, 1, d_state)
        x_BKGJCN = chunks(x_BTGN.flatten(2), ngroups).unsqueeze(3) + bias_GJ1N
        return rotate_halves(x_BKGJCN.flatten(2, 3), phi_BKHCR)

    k_BKHCN, q_BKHCN = keys(B_BTS, B_norm_N, B_bias_HN), keys(C_BTS, C_norm_N, C_bias_HN)
    v_BKHCP = chunks(x_BTI, n_heads).to(real)

    before_CC = torch.ones(C, C, dtype=torch.bool, device=device).tril(-1)
    if starts_BT is None:
        seen, enters, leaves = before_CC, None, None
    else:
        document_BKC = F.pad(starts_BT, (0, padding)).unflatten(1, (K, C)).cumsum(-1)
        seen = (before_CC & (document_BKC.unsqueeze(-1) == document_BKC.unsqueeze(-2))).unsqueeze(2)
        enters = (document_BKC == 0).unsqueeze(2)
        leaves = (document_BKC == document_BKC[..., -1:]).unsqueeze(2)

    def decay(exponent: torch.Tensor, allowed: torch.Tensor | None) -> torch.Tensor:
        """exp where allowed, else 0, with finite gradients everywhere; ``exponent`` is overwritten."""
        return (exponent if allowed is None else exponent.masked_fill_(~allowed, -torch.inf)).exp_()

    # Between chunks: each adds one [P, N] matrix to the state that enters the next.
    scaled_v_BKHCP = (v_BKHCP * scale_BKHC.unsqueeze(-1)).to(dtype)
    k_out_BKHCN = (k_BKHCN * decay(L_BKHC[..., -1:] - L_BKHC, leaves).unsqueeze(-1)).to(dtype)
    added_BKHPN = (scaled_v_BKHCP.mT @ k_out_BKHCN).to(real)
    kept_BKH = decay(L_BKHC[..., -1].clone(), None if enters is None else enters[..., -1])
    entering_BKHPN, h_BHPN = _carry(added_BKHPN, kept_BKH, _entering(initial_state, beta_BTH[:, 0], order_N))
    # Inside a chunk.
    score_BKHCC = q_BKHCN.to(dtype) @ k_BKHCN.to(dtype).mT
    weight_BKHCC = (decay(L_BKHC.unsqueeze(-1) - L_BKHC.unsqueeze(-2), seen) * score_BKHCC).to(dtype)
    if entering_BKHPN is None:
        y_BKHCP = weight_BKHCC @ scaled_v_BKHCP
    else:
        q_in_BKHCN = (q_BKHCN * decay(L_BKHC.clone(), enters).unsqueeze(-1)).to(dtype)
        from_before = q_in_BKHCN @ entering_BKHPN.to(dtype).mT
        y_BKHCP = torch.baddbmm(
            from_before.flatten(0, 2), weight_BKHCC.flatten(0, 2), scaled_v_BKHCP.flatten(0, 2)
        ).view_as(from_before)
    # The position itself.
    own_BKHC = D_H.to(real).unsqueeze(-1) + gamma_BKHC * score_BKHCC.diagonal(dim1=-2, dim2=-1).to(real)
    y_BKHCP = y_BKHCP.to(real).addcmul_(own_BKHC.unsqueeze(-1), v_BKHCP)
    y_BTI = y_BKHCP.transpose(2, 3).reshape(n_batch, K * C, n_heads * headdim)
    y_BTI = (y_BTI * F.silu(z_BTI.to(real))).to(dtype)[:, :length]
    if not return_state:
        return y_BTI

    last = length - 1 - (K - 1) * C
    base_BHR = _phase_before_last_start(phi_BKHCR, chunks(angle_BTR.to(real), 1), dt_BKHC, starts_BT)
    k_BHN = rotate_halves(k_BKHCN[:, -1, :, last], -base_BHR)
    h_BHPN = rotate_halves(h_BHPN, -base_BHR.unsqueeze(2).expand(-1, -1, headdim, -1))
    back_N = order_N.argsort()
    phi_BHR = torch.remainder(phi_last_BHR - base_BHR, TWO_PI)
    return y_BTI, (phi_BHR, h_BHPN[..., back_N], k_BHN[..., back_N], v_BKHCP[:, -1, :, last])


def _phases(
    angle_BK1CR: torch.Tensor, dt_BKHC: torch.Tensor, initial_state: State | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """phi at every position, and after the last one; the sum over chunks is float64 and taken modulo 2 pi."""
    within_BKHCR = (torch.tanh(angle_BK1CR) * math.pi * dt_BKHC.unsqueeze(-1)).cumsum(-2)
    total_BKHR = within_BKHCR[..., -1, :]
    before_BKHR = total_BKHR.double().cumsum(1) - total_BKHR
    if initial_state is not None:
        before_BKHR = before_BKHR + initial_state[0].unsqueeze(1)
    phi_BKHCR = within_BKHCR + torch.remainder(before_BKHR, TWO_PI).to(within_BKHCR.dtype).unsqueeze(-2)
    return phi_BKHCR, phi_BKHCR[:, -1, :, -1]


def _phase_before_last_start(
    phi_BKHCR: torch.Tensor, angle_BK1CR: torch.Tensor, dt_BKHC: torch.Tensor, starts_BT: torch.Tensor | None
) -> torch.Tensor:
    """phi_BHR before the last document's first position; 0 where none starts."""
    if starts_BT is None:
        return torch.zeros_like(phi_BKHCR[:, 0, :, 0])
    before_BTHR = (phi_BKHCR - torch.tanh(angle_BK1CR) * math.pi * dt_BKHC.unsqueeze(-1)).transpose(2, 3).flatten(1, 2)
    positions_T = torch.arange(1, starts_BT.shape[1] + 1, device=starts_BT.device)
    last_B = (starts_BT * positions_T).amax(1)
    base_BHR = before_BTHR[torch.arange(len(last_B), device=last_B.device), (last_B - 1).clamp_min(0)]
    return base_BHR.where((last_B > 0).view(-1, 1, 1), base_BHR.new_zeros(()))


def _carry(
    added_BKHPN: torch.Tensor, kept_BKH: torch.Tensor, h_BHPN: torch.Tensor | None
) -> tuple[torch.Tensor | None, torch.Tensor]:
    """The state that enters each chunk (None: nothing enters the only one), and the last state."""
    if h_BHPN is None and added_BKHPN.shape[1] == 1:
        return None, added_BKHPN[:, 0]
    h = torch.zeros_like(added_BKHPN[:, 0]) if h_BHPN is None else h_BHPN
    entering = []
    for added_BHPN, kept_BH in zip(added_BKHPN.unbind(1), kept_BKH.unbind(1), strict=True):
        entering.append(h)
        h = torch.addcmul(added_BHPN, h, kept_BH[..., None, None])
    return torch.stack(entering, 1), h


def _entering(initial_state: State | None, beta_BH: torch.Tensor, order_N: torch.Tensor) -> torch.Tensor | None:
    """What enters the first chunk: h and the trapezoid's share of the position before it."""
    if initial_state is None:
        return None
    _, h_BHPN, k_BHN, v_BHP = (x.to(beta_BH.dtype) for x in initial_state)
    before_BHPN = (beta_BH.unsqueeze(-1) * v_BHP).unsqueeze(-1) * k_BHN.unsqueeze(-2)
    return (h_BHPN + before_BHPN)[..., order_N]


class Mamba3Siso:
    """The op: its reference, cases and tolerances."""

    reference = staticmethod(reference)

    def cases(self) -> list[Case]:
        from golfreg.builtin.kernels.mamba3_siso_cases import CASES

        return list(CASES)

    def workload(self) -> Any:
        from golfreg.builtin.kernels.mamba3_siso_workload import workload

        return workload

    def tolerance(self, dtype: torch.dtype) -> float:
        """Largest RMS error relative to the reference in float64, of an output or a gradient."""
        return {torch.float64: 1e-9, torch.float32: 1e-4, torch.float16: 4e-3}.get(dtype, 3e-2)

    def comparable(self, output: Any) -> dict[str, torch.Tensor]:
        """The output as tensors that can be compared; the state's phi is an angle, so as its cosine and sine."""
        if isinstance(output, torch.Tensor):
            return {"y": output}
        y_BTI, (phi_BHR, h_BHPN, k_BHN, v_BHP) = output
        return {"y": y_BTI, "cos phi": phi_BHR.cos(), "sin phi": phi_BHR.sin(), "h": h_BHPN, "k": k_BHN, "v": v_BHP}


op = Mamba3Siso()
reference_kernel = ReferenceKernel(reference)
