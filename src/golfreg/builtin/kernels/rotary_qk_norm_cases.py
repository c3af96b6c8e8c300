"""Test cases of the op ``rotary_qk_norm``, and what it is timed on."""

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
    batch: int = 1,
    length: int = 7,
    n_heads: int = 2,
    headdim: int = 16,
    rope_fraction: float = 1.0,
    gained: bool = True,
    eps: float = 1e-6,
    wide: bool = False,
) -> dict[str, Any]:
    """Keyword arguments of the op. ``wide``: x is a view of a wider projection."""
    generator = torch.Generator().manual_seed(seed)
    real = torch.float64 if dtype == torch.float64 else torch.float32
    pairs = max(1, int(rope_fraction * headdim / 2))
    x_BTX = torch.randn(batch, length, n_heads * headdim + (8 if wide else 0), generator=generator)
    frequencies = 10000.0 ** (-torch.arange(pairs, dtype=torch.float64) / pairs)
    angle_TR = torch.outer(torch.arange(length, dtype=torch.float64), frequencies)
    gain_H = 1.5 + 0.2 * torch.randn(n_heads, generator=generator)
    return {
        "x_BTHE": x_BTX.to(device, dtype)[..., : n_heads * headdim].unflatten(-1, (n_heads, headdim)),
        "cos_TR": angle_TR.cos().to(device, real),
        "sin_TR": angle_TR.sin().to(device, real),
        "gain_H": gain_H.to(device, real) if gained else None,
        "eps": eps,
    }


def _case(name: str, **options: Any) -> Case:
    gradients = ("x_BTHE", "gain_H") if options.get("gained", True) else ("x_BTHE",)
    return Case(name, functools.partial(make_inputs, **options), gradients)


CASES = (
    _case("queries", batch=2, n_heads=3),
    _case("keys", gained=False),
    _case("one_position", length=1),
    _case("partly_rotated", rope_fraction=0.25, headdim=32),
    _case("odd_number_of_pairs", rope_fraction=0.8, n_heads=1),
    _case("over_blocks_of_positions", length=35, n_heads=1),
    _case("view_of_a_projection", wide=True, length=9),
)


def work(item_bytes: int, **sizes: Any) -> Work:
    """x read and y written; x and the gradient of y read and that of x written."""
    n = sizes["batch"] * sizes["length"] * sizes["n_heads"] * sizes["headdim"]
    return Work(2 * n * item_bytes, 8 * n, 3 * n * item_bytes, 16 * n)


_SIZES: dict[str, bool | int | float | str] = {
    "batch": 32, "length": 4096, "n_heads": 8, "headdim": 64, "rope_fraction": 1.0, "gained": True, "eps": 1e-6,
    "wide": False,
}  # fmt: skip
workload = Workload(
    sizes={"cuda": _SIZES, "cpu": {**_SIZES, "batch": 1, "length": 1024}},
    inputs=make_inputs,
    gradients=("x_BTHE",),
    work=work,
)
