"""The op ``symmetric_product``: alpha X X^T + beta C with a symmetric C.

Two of the three products of an iteration of Muon's orthogonalization are such: the Gram matrix A = X X^T, and
b A + c A A, as A A = A A^T. K matrices, M rows, N columns.
"""

from __future__ import annotations

from typing import Any

import torch

from golfreg.api.kernel import ReferenceKernel
from golfreg.api.values import Case


def reference(
    x_KMN: torch.Tensor, c_KMM: torch.Tensor | None = None, *, alpha: float = 1.0, beta: float = 0.0
) -> torch.Tensor:
    """y_KMM in the dtype of x."""
    if c_KMM is None:
        product_KMM = x_KMN @ x_KMN.mT
        return product_KMM if alpha == 1.0 else alpha * product_KMM
    return torch.baddbmm(c_KMM, x_KMN, x_KMN.mT, beta=beta, alpha=alpha)


class SymmetricProduct:
    """The op: its reference, cases and tolerances."""

    reference = staticmethod(reference)

    def cases(self) -> list[Case]:
        from golfreg.builtin.kernels.symmetric_product_cases import CASES

        return list(CASES)

    def workload(self) -> Any:
        from golfreg.builtin.kernels.symmetric_product_cases import workload

        return workload

    def tolerance(self, dtype: torch.dtype) -> float:
        """Largest RMS error relative to the reference in float64."""
        return {torch.float64: 1e-12, torch.float32: 1e-5, torch.float16: 4e-3}.get(dtype, 2e-2)


op = SymmetricProduct()
reference_kernel = ReferenceKernel(reference)
