"""The op ``mlp_activation``: the squared ReLU of an MLP's hidden layer (So et al., Primer, arXiv 2109.08668)."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from golfreg.api.kernel import ReferenceKernel
from golfreg.api.values import Case

SLOPES = {"relu2": 0.0, "leaky_relu2": 0.5}
"""By kind: what negative values are multiplied by before they are squared."""


def reference(x: torch.Tensor, *, kind: str) -> torch.Tensor:
    """``leaky_relu(x)^2`` of any shape, in its dtype."""
    return F.leaky_relu(x, SLOPES[kind]).square()


class MlpActivation:
    """The op: its reference, cases and tolerances."""

    reference = staticmethod(reference)

    def cases(self) -> list[Case]:
        from golfreg.builtin.kernels.mlp_activation_cases import CASES

        return list(CASES)

    def workload(self) -> Any:
        from golfreg.builtin.kernels.mlp_activation_cases import workload

        return workload

    def tolerance(self, dtype: torch.dtype) -> float:
        """Largest RMS error relative to the reference in float64, of the output or the gradient."""
        return {torch.float64: 1e-12, torch.float32: 1e-6, torch.float16: 2e-3}.get(dtype, 1e-2)


class PlainKernel(ReferenceKernel):
    """The reference as a kernel, for the kinds that it has."""

    def supports(self, device: str, dtype: str, **static: Any) -> str | None:
        return None if static.get("kind", "relu2") in SLOPES else f"kind {static['kind']} is not {' or '.join(SLOPES)}"


op = MlpActivation()
reference_kernel = PlainKernel(reference)
