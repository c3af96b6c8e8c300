"""The op ``rotary_qk_norm``: RMS norm of each head, RoPE of its first channels, and a gain per head.

Between attention's projections and its scores, for queries (with a gain) and keys (without).
RoPE: Su et al., arXiv 2104.09864. B batch, T time, H heads, E head width, R rotated pairs.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from golfreg.api.kernel import ReferenceKernel
from golfreg.api.values import Case


def reference(
    x_BTHE: torch.Tensor,
    cos_TR: torch.Tensor,
    sin_TR: torch.Tensor,
    gain_H: torch.Tensor | None = None,
    *,
    eps: float,
) -> torch.Tensor:
    """y_BTHE in the dtype of x. Channel i of the first 2 R turns with channel i + R, clockwise; the rest stays.
    The angles' cosine and sine have no gradient.
    """
    R = cos_TR.shape[-1]
    x_BTHE = F.rms_norm(x_BTHE, x_BTHE.shape[-1:], eps=eps)
    cos_T1R, sin_T1R = (a.to(x_BTHE.dtype).unsqueeze(1) for a in (cos_TR, sin_TR))
    first, second, rest = x_BTHE[..., :R], x_BTHE[..., R : 2 * R], x_BTHE[..., 2 * R :]
    y_BTHE = torch.cat((first * cos_T1R + second * sin_T1R, second * cos_T1R - first * sin_T1R, rest), dim=-1)
    return y_BTHE if gain_H is None else y_BTHE * gain_H.to(y_BTHE.dtype).unsqueeze(-1)


class RotaryQkNorm:
    """The op: its reference, cases and tolerances."""

    reference = staticmethod(reference)

    def cases(self) -> list[Case]:
        from golfreg.builtin.kernels.rotary_qk_norm_cases import CASES

        return list(CASES)

    def workload(self) -> Any:
        from golfreg.builtin.kernels.rotary_qk_norm_cases import workload

        return workload

    def tolerance(self, dtype: torch.dtype) -> float:
        """Largest RMS error relative to the reference in float64, of the output or a gradient."""
        return {torch.float64: 1e-10, torch.float32: 1e-5, torch.float16: 5e-3}.get(dtype, 3e-2)


op = RotaryQkNorm()
reference_kernel = ReferenceKernel(reference)
