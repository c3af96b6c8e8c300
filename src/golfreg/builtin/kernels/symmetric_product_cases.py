"""Test cases of the op ``symmetric_product``, and what it is timed on. It has no gradients: an optimizer uses it."""

from __future__ import annotations

import functools
from typing import Any

import torch

from golfreg.api.values import Case
from golfreg.api.workload import Work, Workload


def make_inputs(
    device: str | torch.device,
    dtype: torch.dtype,
    seed: int,
    *,
    matrices: int = 2,
    rows: int = 16,
    columns: int = 40,
    added: bool = False,
    transposed: bool = False,
) -> dict[str, Any]:
    """Keyword arguments of the op. ``added``: the polynomial b A + c A A; ``transposed``: x is a view of X^T."""
    generator = torch.Generator().manual_seed(seed)
    shape = (matrices, columns, rows) if transposed else (matrices, rows, columns)
    x_KMN = (torch.randn(shape, generator=generator) / columns**0.5).to(device, dtype)
    x_KMN = x_KMN.mT if transposed else x_KMN
    if not added:
        return {"x_KMN": x_KMN, "c_KMM": None, "alpha": 1.0, "beta": 0.0}
    gram_KMM = x_KMN @ x_KMN.mT
    return {"x_KMN": gram_KMM, "c_KMM": gram_KMM, "alpha": 2.0315, "beta": -4.775}


def _case(name: str, **options: Any) -> Case:
    return Case(name, functools.partial(make_inputs, **options))


CASES = (
    _case("gram"),
    _case("polynomial", added=True),
    _case("one_row", rows=1, matrices=3),
    _case("ragged_rows_and_columns", rows=67, columns=33, matrices=1),
    _case("ragged_polynomial", rows=70, columns=20, matrices=1, added=True),
    _case("three_tiles", rows=130, columns=64, matrices=1),
    _case("transposed", rows=20, columns=50, transposed=True),
)


def work(item_bytes: int, **sizes: Any) -> Work:
    """X read, all of the result written; the operations of one triangle of it, the rest being its mirror image."""
    K, M = sizes["matrices"], sizes["rows"]
    N = M if sizes["added"] else sizes["columns"]
    moved = K * (M * N + M * M) * item_bytes
    return Work(moved, K * M * (M + 1) * N)


_SIZES: dict[str, bool | int | float | str] = {
    "matrices": 11, "rows": 512, "columns": 2048, "added": False, "transposed": False,
}  # fmt: skip
workload = Workload(
    sizes={"cuda": _SIZES, "cpu": {**_SIZES, "matrices": 2, "rows": 256, "columns": 512}},
    inputs=make_inputs,
    work=work,
)
