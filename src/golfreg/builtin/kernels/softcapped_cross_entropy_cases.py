"""Test cases of the op ``softcapped_cross_entropy``, and what it is timed on."""

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
    positions: int = 5,
    vocabulary: int = 65,
    width: int = 16,
    softcap: float = 30.0,
    scale: float = 1.0,
) -> dict[str, Any]:
    """Keyword arguments of the op. ``scale``: standard deviation of the logits, about."""
    generator = torch.Generator().manual_seed(seed)
    real = torch.float64 if dtype == torch.float64 else torch.float32
    x_ND = torch.randn(positions, width, generator=generator)
    weight_VD = torch.randn(vocabulary, width, generator=generator) * (scale / width**0.5)
    return {
        "x_ND": x_ND.to(device, dtype),
        "weight_VD": weight_VD.to(device, real),
        "targets_N": torch.randint(vocabulary, (positions,), generator=generator).to(device),
        "softcap": softcap,
    }


def _case(name: str, **options: Any) -> Case:
    return Case(name, functools.partial(make_inputs, **options), ("x_ND", "weight_VD"))


CASES = (
    _case("small"),
    _case("one_position", positions=1),
    _case("no_softcap", softcap=0.0, positions=3),
    _case("far_into_the_softcap", softcap=5.0, scale=20.0, positions=3),
    _case("large_logits_without_softcap", softcap=0.0, scale=60.0, positions=3),
    _case("two_blocks_of_vocabulary", vocabulary=4099, positions=2, width=8),
)


def work(item_bytes: int, **sizes: Any) -> Work:
    """Three matrix products; features and weight read, their gradients written, nothing of size N * V moved.

    The loss needs its gradients' products only backward.
    """
    N, V, D = sizes["positions"], sizes["vocabulary"], sizes["width"]
    moved = N * D * item_bytes + V * D * 4
    return Work(moved, 2 * N * V * D, 2 * moved, 4 * N * V * D)


_SIZES: dict[str, bool | int | float | str] = {
    "positions": 131_072, "vocabulary": 8192, "width": 512, "softcap": 30.0, "scale": 1.0,
}  # fmt: skip
workload = Workload(
    sizes={"cuda": _SIZES, "cpu": {**_SIZES, "positions": 512, "vocabulary": 1024, "width": 128}},
    inputs=make_inputs,
    gradients=("x_ND", "weight_VD"),
    exact={"positions": 8192},
    work=work,
)
