"""Weights and second moments to sections, for ``gptq``.

R rows, C columns.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import torch

from golfreg.api.errors import GolfregError
from golfreg.api.values import MATRIX_ROLES, Role, Section
from golfreg.builtin.quantizers import parts
from golfreg.builtin.quantizers.gptq_solve import Choose, error_weights, inverse_factor, solve
from golfreg.builtin.quantizers.rowwise import CLIP_STD, check_scales, row_codes, row_scales, stored_scales

if TYPE_CHECKING:
    from golfreg.builtin.quantizers.gptq import GptqConfig

CLIPS = tuple(1.0 - 0.04 * i for i in range(20))
"""Parts of a row's largest absolute value that ``clip_search`` tries as the end of its codes."""

Chooser = Callable[[str, list[tuple[str, int]], torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], Choose | None]
"""(tensor, its row groups, order_C, scale_R, highest_R, error weights_C in that order) -> how its columns' codes are
chosen; see ``gptq_solve``."""


def encode(
    state: Mapping[str, torch.Tensor],
    roles: Mapping[str, Role],
    moments: Mapping[str, torch.Tensor],
    config: GptqConfig,
    device: str = "cpu",
    chooser: Chooser | None = None,
) -> list[Section]:
    """Sections of every tensor: solved where the matrix has a second moment, else the nearest codes.

    An embedding that is only looked up has none; a matrix of the trunk without one is warned of. ``chooser``:
    how codes are chosen, matrix by matrix, inputs without a second moment taken as white; None: the nearest.
    """
    sections: list[Section] = []
    for name, weight, role in parts.in_order(state, roles):
        if weight.ndim < 2 or weight.numel() <= config.raw_elements:
            sections.append(parts.raw_section(name, role, weight, config.raw_dtype))
            continue
        moment_CC = moments.get(name) if weight.ndim == 2 else None
        if moment_CC is None and role.name in MATRIX_ROLES and weight.ndim == 2:
            warnings.warn(f"`{name}` has no second moment: its codes are the nearest", stacklevel=3)
        if moment_CC is None and chooser is not None and weight.ndim == 2:
            moment_CC = torch.eye(weight.shape[1])
        groups = parts.row_groups(name, weight, role)
        highest_R = torch.cat([torch.full((len(rows),), _highest(config, role, g)) for g, rows in groups])
        if moment_CC is None:
            scale_R = torch.cat([row_scales(rows, *_scaling(config, role, g)) for g, rows in groups])
            check_scales(scale_R, name)
            codes = row_codes(weight, scale_R, highest_R.view(-1, *[1] * (weight.ndim - 1)))
        else:
            codes, scale_R = _solved(name, weight, _checked(name, weight, moment_CC), role, config, device, chooser)
        sizes = [len(rows) for _, rows in groups]
        pieces = zip(groups, torch.split(codes, sizes), torch.split(scale_R, sizes), strict=True)
        for (group, _), code, scale in pieces:
            highest = _highest(config, role, group)
            sections += parts.code_sections(name, group, role, code.contiguous(), scale.contiguous(), highest)
    config.warn_of_idle(sections)
    return sections


def _solved(
    name: str,
    weight_RC: torch.Tensor,
    moment_CC: torch.Tensor,
    role: Role,
    config: GptqConfig,
    device: str,
    chooser: Chooser | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Codes and float16 scales of a matrix, on the CPU."""
    weight_RC, moment_CC = weight_RC.to(device), moment_CC.to(device)
    order_C = torch.arange(weight_RC.shape[1], device=device)
    if config.activation_order:
        order_C = torch.argsort(moment_CC.diagonal(), descending=True, stable=True)
    factor_CC = inverse_factor(moment_CC[order_C][:, order_C], config.damping)
    weight_RC = weight_RC[:, order_C]
    cost_C = error_weights(factor_CC)
    scales, highests = [], []
    groups = parts.row_groups(name, weight_RC, role)
    for group, rows_RC in groups:
        bits, clip_std = config.chosen(role.name, group)
        highest = (1 << (bits - 1)) - 1
        if config.clip_search and not clip_std:
            scales.append(searched_scales(rows_RC, cost_C, highest, config.scale_mantissa_bits))
        else:
            scales.append(row_scales(rows_RC, clip_std or CLIP_STD[bits], highest, config.scale_mantissa_bits))
        highests.append(torch.full((len(rows_RC),), float(highest), device=device))
    scale_R, highest_R = torch.cat(scales), torch.cat(highests)
    check_scales(scale_R, name)
    sizes = [(group, len(rows)) for group, rows in groups]
    choose = chooser(name, sizes, order_C, scale_R.float(), highest_R, cost_C) if chooser else None
    codes_RC = torch.empty_like(weight_RC)
    # What `choose` finds may be half a step above its code.
    codes_RC[:, order_C] = solve(weight_RC, factor_CC, scale_R.float(), highest_R, choose).floor()
    return codes_RC.cpu(), scale_R.cpu()


def searched_scales(rows_RC: torch.Tensor, cost_C: torch.Tensor, highest: int, mantissa_bits: int = 10) -> torch.Tensor:
    """float16[R]: of ``CLIPS`` the scale whose nearest codes have the least squared error, weighted by column.

    With the weights of ``error_weights``, which is what an error costs after the others made up for it, this finds
    nearly the scales that solving the matrix once for each clip would find.
    """
    largest_R = rows_RC.abs().amax(1).to(torch.float64)
    cost_C = cost_C.to(torch.float32)
    best_R, least_R = stored_scales(largest_R / highest, mantissa_bits), torch.full_like(largest_R, torch.inf)
    for clip in CLIPS:
        scale_R = stored_scales(largest_R * (clip / highest), mantissa_bits)
        error_RC = row_codes(rows_RC, scale_R, highest).mul_(scale_R.float()[:, None]).sub_(rows_RC)
        error_R = (error_RC.square_() @ cost_C).to(torch.float64)
        better_R = error_R < least_R
        best_R, least_R = torch.where(better_R, scale_R, best_R), torch.where(better_R, error_R, least_R)
    return best_R


def _checked(name: str, weight_RC: torch.Tensor, moment_CC: torch.Tensor) -> torch.Tensor:
    columns = weight_RC.shape[1]
    if moment_CC.shape != (columns, columns) or not torch.isfinite(moment_CC).all():
        raise GolfregError(
            f"the second moment of `{name}` is {list(moment_CC.shape)} or not finite; it has {columns:,} columns",
            "the statistics are of another model: run the calibrate stage again",
        )
    return moment_CC


def _highest(config: GptqConfig, role: Role, group: str) -> int:
    return (1 << (config.width(role.name, group)[0] - 1)) - 1


def _scaling(config: GptqConfig, role: Role, group: str) -> tuple[float, int, int]:
    return config.width(role.name, group)[1], _highest(config, role, group), config.scale_mantissa_bits
