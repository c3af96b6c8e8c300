"""Muon with a kernel of the op ``symmetric_product`` moves parameters as it does without one."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from golfreg.builtin.kernels.symmetric_product import reference
from golfreg.train.muon import Muon
from golfreg.train.orthogonalize import COEFFICIENTS, orthogonalize


@pytest.mark.parametrize("coefficients", COEFFICIENTS)
@pytest.mark.parametrize("shape", [(12, 30), (30, 12), (16, 16)])
def test_the_kernel_computes_two_products_of_each_iteration(coefficients: str, shape: tuple[int, int]) -> None:
    asked = []

    def product(x_KMN: torch.Tensor, c_KMM: torch.Tensor | None = None, **options: Any) -> torch.Tensor:
        asked.append(x_KMN.shape)
        return reference(x_KMN, c_KMM, **options)

    matrices = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    plain = orthogonalize(matrices, 5, torch.float64, coefficients)
    torch.testing.assert_close(orthogonalize(matrices, 5, torch.float64, coefficients, product), plain)
    side = min(shape)
    assert asked == [(3, side, max(shape)), (3, side, side)] * 5


def test_muon_hands_its_kernel_on() -> None:
    found = []
    for product in (None, reference):
        p = torch.nn.Parameter(torch.ones(8, 20))
        p.grad = torch.randn(8, 20, generator=torch.Generator().manual_seed(1))
        muon = Muon({"p": p}, lr=0.1, weight_decay=0.0, iterations=5, dtype=torch.float32, product=product)
        muon.step(1.0, 0.9)
        found.append(p.detach())
    torch.testing.assert_close(found[1], found[0])
    assert (found[0] - 1).abs().max() > 1e-3
