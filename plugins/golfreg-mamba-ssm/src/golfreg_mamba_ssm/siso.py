"""mamba-ssm's Mamba-3 SISO kernels as a kernel of the op ``mamba3_siso``.

Upstream's layer differs between the published package (A = -softplus) and its repository (A = -heavy_tail), but its
kernels take A dt, so both forms run. They compute in bfloat16 whatever they are given.

Shape letters: B batch, T time, P of ``projected_BTP`` the columns of the projection, I inner width, H heads, N state.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from golfreg.builtin.kernels.mamba3_siso import State, decay_rate, projection_rows
from golfreg_mamba_ssm.siso_ops import siso_forward

COMPUTED_IN = torch.bfloat16
CHUNKS = (32, 64, 128)
WIDTHS = (32, 64, 128)


def call(
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
    """y_BTI, or (y_BTI, ``State``) with ``return_state``; the op's signature."""
    n_heads = dt_bias_H.shape[0]
    rows = projection_rows(n_heads, headdim, d_state, ngroups, n_angles)
    z, x, B, C, dt, A, trap, angle = projected_BTP.split([n for _, n in rows], dim=-1)

    def normalized(x_BTS: torch.Tensor, norm_N: torch.Tensor) -> torch.Tensor:
        x_BTGN = x_BTS.float().unflatten(-1, (ngroups, d_state))
        return F.rms_norm(x_BTGN, (d_state,), norm_N.float(), norm_eps).to(COMPUTED_IN)

    dt_BTH = F.softplus(dt.float() + dt_bias_H.float())
    adt_BTH = decay_rate(A.float(), a_form, a_floor) * dt_BTH
    parameters = (C_bias_HN.float().contiguous(), B_bias_HN.float().contiguous())
    state = (None,) * 4 if initial_state is None else tuple(x.float().contiguous() for x in initial_state)
    keep = torch.is_grad_enabled() and any(
        x is not None and x.requires_grad
        for x in (projected_BTP, dt_bias_H, B_bias_HN, C_bias_HN, B_norm_N, C_norm_N, D_H, *(initial_state or ()))
    )
    y_BTHP, *after = siso_forward(
        normalized(C, C_norm_N), normalized(B, B_norm_N), _heads(x, headdim), adt_BTH, dt_BTH,
        trap.to(COMPUTED_IN).contiguous(), *parameters, angle.to(COMPUTED_IN).contiguous(), D_H.float().contiguous(),
        _heads(z, headdim), None if starts_BT is None else starts_BT.contiguous(), *state,
        chunk_size if chunk_size in CHUNKS else 64, return_state, keep,
    )  # fmt: skip
    y_BTI = y_BTHP.flatten(2).to(projected_BTP.dtype)
    return (y_BTI, tuple(after[:4])) if return_state else y_BTI


def _heads(x_BTI: torch.Tensor, headdim: int) -> torch.Tensor:
    return x_BTI.unflatten(-1, (-1, headdim)).to(COMPUTED_IN).contiguous()


class SisoKernel:
    """The kernel's entry: ``call`` has the op's signature."""

    call = staticmethod(call)

    def supports(self, device: str, dtype: str, **static: Any) -> str | None:
        """None, or what upstream cannot do."""
        if str(device).split(":")[0] != "cuda" or torch.version.cuda is None:
            return f"mamba-ssm's Triton kernels need an NVIDIA GPU, the device is {device}"
        if torch.cuda.is_available() and torch.cuda.get_device_capability()[0] < 9:
            return "mamba-ssm's kernels load tiles by TMA, which begins with compute capability 9.0"
        if dtype != "bfloat16":
            return f"mamba-ssm computes in bfloat16, not in {dtype}"
        for name in ("d_state", "headdim"):
            if static.get(name, 64) not in WIDTHS:
                return f"{name} {static[name]} is not 32, 64 or 128"
        if static.get("n_angles", 2) % 2:
            return f"mamba-ssm rotates an even number of pairs, n_angles is {static['n_angles']}"
        return None


siso_kernel = SisoKernel()
