"""The op ``softcapped_cross_entropy``: head, softcap and cross entropy of the next token, summed over positions.

N positions, D model width, V vocabulary.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from golfreg.api.kernel import ReferenceKernel
from golfreg.api.values import Case


def reference(x_ND: torch.Tensor, weight_VD: torch.Tensor, targets_N: torch.Tensor, *, softcap: float) -> torch.Tensor:
    """The sum of the losses in nats, float32 (float64 for float64 inputs).

    Logits are a product in the dtype of ``x_ND``; ``softcap * tanh(logits / softcap)`` unless that is 0, and
    everything after it, is float32.
    """
    logits_NV = F.linear(x_ND, weight_VD.to(x_ND.dtype))
    logits_NV = logits_NV if logits_NV.dtype == torch.float64 else logits_NV.float()
    if softcap:
        logits_NV = softcap * torch.tanh(logits_NV / softcap)
    return F.cross_entropy(logits_NV, targets_N, reduction="sum")


class SoftcappedCrossEntropy:
    """The op: its reference, cases and tolerances."""

    reference = staticmethod(reference)

    def cases(self) -> list[Case]:
        from golfreg.builtin.kernels.softcapped_cross_entropy_cases import CASES

        return list(CASES)

    def workload(self) -> Any:
        from golfreg.builtin.kernels.softcapped_cross_entropy_cases import workload

        return workload

    def tolerance(self, dtype: torch.dtype) -> float:
        """Largest RMS error relative to the reference in float64, of the loss or a gradient."""
        return {torch.float64: 1e-9, torch.float32: 2e-5, torch.float16: 4e-3}.get(dtype, 3e-2)


op = SoftcappedCrossEntropy()
reference_kernel = ReferenceKernel(reference)
