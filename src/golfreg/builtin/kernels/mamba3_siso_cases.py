"""Test cases of the op ``mamba3_siso``: inputs from a seed, the same values on every device and dtype."""

from __future__ import annotations

import functools
import math
from typing import Any

import torch

from golfreg.api.values import Case
from golfreg.builtin.kernels.mamba3_siso import projection_rows

PARAMETERS = ("projected_BTP", "dt_bias_H", "B_bias_HN", "C_bias_HN", "B_norm_N", "C_norm_N", "D_H")


def make_inputs(
    device: str | torch.device,
    dtype: torch.dtype,
    seed: int,
    *,
    batch: int = 2,
    length: int = 128,
    n_heads: int = 4,
    headdim: int = 64,
    d_state: int = 64,
    ngroups: int = 1,
    rope_fraction: float = 0.5,
    chunk_size: int = 64,
    a_form: str = "softplus",
    starts: tuple[tuple[int, int], ...] | None = None,
    initial_state: bool = False,
    return_state: bool = False,
    scale: float = 1.0,
    strided: bool = False,
) -> dict[str, Any]:
    """Keyword arguments of the op.

    ``starts``: (sequence, position) of each document start. ``strided``: the projection is a view
    of a wider tensor.
    """
    generator = torch.Generator().manual_seed(seed)
    real = torch.float64 if dtype == torch.float64 else torch.float32
    n_angles = int(d_state * rope_fraction) // 2
    width = sum(rows for _, rows in projection_rows(n_heads, headdim, d_state, ngroups, n_angles))

    def normal(*shape: int, std: float = 1.0, mean: float = 0.0, to: torch.dtype = real) -> torch.Tensor:
        return (torch.randn(shape, generator=generator) * std + mean).to(device, to)

    dt_H = torch.rand(n_heads, generator=generator) * math.log(100) + math.log(0.001)
    starts_BT = None
    if starts is not None:
        starts_BT = torch.zeros(batch, length, dtype=torch.bool, device=device)
        for sequence, position in starts:
            starts_BT[sequence, position] = True
    state = None
    if initial_state:
        state = (
            normal(batch, n_heads, n_angles, mean=3.0),
            normal(batch, n_heads, headdim, d_state, std=0.5),
            normal(batch, n_heads, d_state),
            normal(batch, n_heads, headdim),
        )
    projected_BTP = normal(batch, length, width + (7 if strided else 0), std=scale, to=dtype)[..., :width]
    return {
        "projected_BTP": projected_BTP,
        "dt_bias_H": (dt_H.exp().expm1().log()).to(device, real),
        "B_bias_HN": normal(n_heads, d_state, std=0.3, mean=1.0),
        "C_bias_HN": normal(n_heads, d_state, std=0.3, mean=1.0),
        "B_norm_N": normal(d_state, std=0.2, mean=1.0),
        "C_norm_N": normal(d_state, std=0.2, mean=1.0),
        "D_H": normal(n_heads, std=0.3, mean=1.0),
        "starts_BT": starts_BT,
        "initial_state": state,
        "headdim": headdim,
        "d_state": d_state,
        "ngroups": ngroups,
        "n_angles": n_angles,
        "chunk_size": chunk_size,
        "a_form": a_form,
        "a_floor": 1e-4,
        "norm_eps": 1e-5,
        "return_state": return_state,
    }


def _case(name: str, **options: Any) -> Case:
    return Case(name, functools.partial(make_inputs, **options), PARAMETERS)


_MANY = tuple((b, t) for b, t in ((0, 0), (0, 1), (0, 63), (0, 64), (0, 65), (0, 127), (1, 5), (1, 64), (1, 128)))

CASES = (
    _case("two_chunks"),
    _case("one_position", length=1),
    _case("seven_positions", length=7),
    _case("one_past_a_chunk", length=65),
    _case("ragged", length=130, batch=3),
    _case("many_chunks", length=600, batch=1, n_heads=2),
    _case("document_starts", length=130, starts=_MANY),
    _case("every_position_starts", length=70, batch=1, starts=tuple((0, t) for t in range(70))),
    _case("continued", length=100, initial_state=True, return_state=True),
    _case("continued_with_starts", length=130, starts=_MANY[2:], initial_state=True, return_state=True),
    _case("heavy_tail", a_form="heavy_tail"),
    _case("two_groups", ngroups=2, length=96),
    _case("four_groups_of_two_heads_wide_state", ngroups=4, n_heads=8, d_state=128, length=133, batch=1),
    _case("narrow_heads", headdim=32, d_state=32, n_heads=3),
    _case("wide_state_all_rotated", d_state=128, rope_fraction=1.0, length=96, batch=1),
    _case("short_chunks", chunk_size=16, length=50),
    _case("strong_decay", scale=8.0, length=96),
    _case("strided_projection", strided=True, length=96),
)
