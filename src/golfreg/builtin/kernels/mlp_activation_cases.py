"""Test cases of the op ``mlp_activation``, and what it is timed on."""

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
    positions: int = 7,
    width: int = 33,
    kind: str = "relu2",
) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seed)
    return {"x": torch.randn(positions, width, generator=generator).to(device, dtype), "kind": kind}


def _case(name: str, **options: Any) -> Case:
    return Case(name, functools.partial(make_inputs, **options), ("x",))


CASES = (
    _case("small"),
    _case("leaky", kind="leaky_relu2"),
    _case("one_value", positions=1, width=1),
    _case("one_past_a_block", positions=1, width=1025),
    _case("leaky_over_blocks", positions=11, width=401, kind="leaky_relu2"),
)


def work(item_bytes: int, **sizes: Any) -> Work:
    """x read and y written; x and the gradient of y read and that of x written."""
    n = sizes["positions"] * sizes["width"]
    return Work(2 * n * item_bytes, 2 * n, 3 * n * item_bytes, 3 * n)


_SIZES: dict[str, bool | int | float | str] = {"positions": 131_072, "width": 1536, "kind": "relu2"}
workload = Workload(
    sizes={"cuda": _SIZES, "cpu": {**_SIZES, "positions": 1024}}, inputs=make_inputs, gradients=("x",), work=work
)
