"""The op ``rms_norm``: root-mean-square norm of the last dimension (Zhang and Sennrich, arXiv 1910.07467)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from golfreg.api.kernel import ReferenceKernel
from golfreg.api.values import Case


def reference(x_XD: torch.Tensor, weight_D: torch.Tensor | None = None, *, eps: float) -> torch.Tensor:
    """``x / sqrt(mean(x^2) + eps)``, times the weight if there is one, in the dtype of x; X: any dimensions."""
    weight_D = None if weight_D is None else weight_D.to(x_XD.dtype)
    return F.rms_norm(x_XD, x_XD.shape[-1:], weight_D, eps)


class RmsNorm:
    """The op: its reference, cases and tolerances."""

    reference = staticmethod(reference)

    def cases(self) -> list[Case]:
        from golfreg.builtin.kernels.rms_norm_cases import CASES

        return list(CASES)

    def workload(self) -> Any:
        from golfreg.builtin.kernels.rms_norm_cases import workload

        return workload

    def tolerance(self, dtype: torch.dtype) -> float:
        """Largest RMS error relative to the reference in float64, of the output or a gradient."""
        return {torch.float64: 1e-10, torch.float32: 1e-5, torch.float16: 4e-3}.get(dtype, 2e-2)


op = RmsNorm()
reference_kernel = ReferenceKernel(reference)
