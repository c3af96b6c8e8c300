"""Test cases of the op ``rms_norm``, and what it is timed on."""

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
    batch: int = 2,
    length: int = 7,
    width: int = 48,
    weighted: bool = False,
    eps: float = 1e-6,
    scale: float = 1.0,
) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seed)
    real = torch.float64 if dtype == torch.float64 else torch.float32
    x_BTD = scale * torch.randn(batch, length, width, generator=generator)
    weight_D = 1.0 + 0.2 * torch.randn(width, generator=generator)
    return {
        "x_XD": x_BTD.to(device, dtype),
        "weight_D": weight_D.to(device, real) if weighted else None,
        "eps": eps,
    }


def _case(name: str, **options: Any) -> Case:
    gradients = ("x_XD", "weight_D") if options.get("weighted") else ("x_XD",)
    return Case(name, functools.partial(make_inputs, **options), gradients)


CASES = (
    _case("small"),
    _case("weighted", weighted=True),
    _case("one_position", batch=1, length=1),
    _case("weighted_over_blocks_of_positions", weighted=True, batch=1, length=67, width=33),
    _case("wide", length=3, width=1025, weighted=True),
    _case("small_values_beside_a_large_eps", scale=0.01, eps=0.5),
)


def work(item_bytes: int, **sizes: Any) -> Work:
    """x read and y written; x and the gradient of y read and that of x written."""
    n = sizes["batch"] * sizes["length"] * sizes["width"]
    return Work(2 * n * item_bytes, 4 * n, 3 * n * item_bytes, 8 * n)


_SIZES: dict[str, bool | int | float | str] = {
    "batch": 32, "length": 4096, "width": 512, "weighted": False, "eps": 1e-6, "scale": 1.0,
}  # fmt: skip
workload = Workload(
    sizes={"cuda": _SIZES, "cpu": {**_SIZES, "batch": 1, "length": 1024}},
    inputs=make_inputs,
    gradients=("x_XD",),
    work=work,
)
