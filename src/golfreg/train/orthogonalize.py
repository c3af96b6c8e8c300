"""Orthogonalization of matrices by polynomials of them: what makes Muon's update.

K matrices of one shape, R rows, C columns.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

_QUINTIC = (3.4445, -4.7750, 2.0315)
_POLAR_EXPRESS = (
    (8.28721201814563, -23.595886519098837, 17.300387312530933),
    (4.107059111542203, -2.9478499167379106, 0.5448431082926601),
    (3.9486908534822946, -2.908902115962949, 0.5518191394370137),
    (3.3184196573706015, -2.488488024314874, 0.51004894012372),
    (2.300652019954817, -1.6689039845747493, 0.4188073119525673),
    (1.891301407787398, -1.2679958271945868, 0.37680408948524835),
    (1.875, -1.25, 0.375),
)
_SAFETY = 1.01
"""Polar Express: how much larger than 1 rounding may make the largest singular value."""

COEFFICIENTS = ("quintic", "polar_express")


def orthogonalize(
    matrices_KRC: Tensor,
    iterations: int,
    dtype: torch.dtype,
    coefficients: str = "quintic",
    product: Callable[..., Tensor] | None = None,
) -> Tensor:
    """Replace the singular values of each matrix by ones, roughly, keeping its singular vectors.

    Iterates ``a X + b (X X^T) X + c (X X^T)^2 X``. ``quintic``: one (a, b, c) that trades exactness
    (0.7 to 1.2) for speed near zero; source: Keller Jordan et al., "Muon: an optimizer for hidden
    layers in neural networks" (2024). ``polar_express``: for each iteration the (a, b, c) that is best
    after those before it, for singular values from 0.001 of the norm on; source: Amsel et al., "The Polar
    Express" (arXiv 2505.16932), with its safety factor. ``dtype``: of the arithmetic and the result.
    ``product``: a kernel of the op ``symmetric_product`` for the first two of each iteration's three products.
    """
    tall = matrices_KRC.size(1) > matrices_KRC.size(2)
    x = matrices_KRC.mT if tall else matrices_KRC  # the Gram matrix of the shorter side is the smaller
    margin = _SAFETY if coefficients == "polar_express" else 1.0
    x = (x / (x.norm(dim=(1, 2), keepdim=True) * margin + 1e-7)).to(dtype)
    for a, b, c in steps(iterations, coefficients):
        if product is None:
            gram = x @ x.mT
            polynomial = torch.baddbmm(gram, gram, gram, beta=b, alpha=c)
        else:
            gram = product(x)
            polynomial = product(gram, gram, alpha=c, beta=b)
        x = torch.baddbmm(x, polynomial, x, beta=a)
    return x.mT if tall else x


def steps(iterations: int, coefficients: str) -> list[tuple[float, float, float]]:
    """(a, b, c) of each iteration."""
    if coefficients == "quintic":
        return [_QUINTIC] * iterations
    found = [_POLAR_EXPRESS[min(i, len(_POLAR_EXPRESS) - 1)] for i in range(iterations)]
    safe = [(a / _SAFETY, b / _SAFETY**3, c / _SAFETY**5) for a, b, c in found[:-1]]
    return [*safe, *found[-1:]]


def equal_rows(matrices_KRC: Tensor) -> Tensor:
    """Each row divided by its length, so that no output dominates the orthogonalization (MuonEq-R)."""
    return matrices_KRC / (matrices_KRC.norm(dim=2, keepdim=True) + 1e-7)
