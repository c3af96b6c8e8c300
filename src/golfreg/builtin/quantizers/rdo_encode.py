"""Codes of ``rdo``: of the nearest few, the one whose error and bits together cost least, column by column.

GPTQ's loop makes the error that a code costs exactly the column's weight h_j times (left - scale * code)^2: what the
later columns can take away is in the weight that is left. To it comes price * bits, in squared steps of the row and
at the geometric mean of h: a row's trade is the same whatever the scale of its weights and inputs, as a clip in
standard deviations is. Bits are those of the codec's cost table for the codes of the round before.

R rows, C columns, K candidates.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from golfreg.api.values import Budget, CostTable, Role, Section
from golfreg.builtin.quantizers import gptq_encode
from golfreg.builtin.quantizers.gptq_solve import Choose
from golfreg.builtin.quantizers.rdo import RdoConfig

OFFERS = (0.0, -1.0, 1.0)
"""Codes that are tried besides 0, from the nearest; the first of equals is taken."""
SMALLEST_PRICE, FIRST_PRICE, LARGEST_PRICE = 2.0**-8, 0.1, 4.0
TOLERANCE = 0.001
"""Part of the target that may be left over."""
MOST_PACKS = 9
Costs = dict[tuple[str, str], CostTable]
"""By tensor and row group."""


def encode(
    state: Mapping[str, torch.Tensor], roles: Mapping[str, Role], moments: Mapping[str, torch.Tensor],
    budget: Budget, config: RdoConfig, price: float, costs: Costs | None = None,
) -> list[Section]:  # fmt: skip
    """Sections at a price. ``costs``: those of ``gptq``'s codes, where they are known already."""
    if costs is None:
        sections = gptq_encode.encode(state, roles, moments, config, budget.device)
        if price == 0 and not config.dependent:
            return sections
        costs = costs_of(sections, budget)
    for remaining in range(config.table_rounds if price else 1, 0, -1):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # The first solution said all of it.
            sections = gptq_encode.encode(
                state, roles, moments, config, budget.device, _chooser(costs, price, config.dependent)
            )
        if remaining > 1:
            costs = costs_of(sections, budget)
    return sections


def encode_to_fit(
    state: Mapping[str, torch.Tensor], roles: Mapping[str, Role], moments: Mapping[str, torch.Tensor],
    budget: Budget, config: RdoConfig,
) -> list[Section]:  # fmt: skip
    """The sections at the lowest price at which the artifact fits, to ``TOLERANCE``, after at most ``MOST_PACKS``.

    Every price starts from ``gptq``'s costs, so a price gives one size, and the one found the same codes again.
    """
    target = config.target_bytes or budget.cap_bytes
    sections = encode(state, roles, moments, budget, config, 0.0)
    size = budget.pack_bytes(sections)
    budget.tell(f"rdo: {size:,} bytes at price 0, {target:,} wanted")
    if size <= target:
        if size < (1 - 2 * TOLERANCE) * target:
            budget.tell(
                f"rdo: the artifact is {target - size:,} bytes smaller than wanted without any price: more bits, a "
                "smaller clip_std or a larger model would use them"
            )
        return sections
    costs, best, best_size = costs_of(sections, budget), sections, 0
    low, high = (0.0, float(size)), (math.inf, 0.0)
    price = FIRST_PRICE
    for _ in range(MOST_PACKS - 1):
        sections = encode(state, roles, moments, budget, config, price, costs)
        size = budget.pack_bytes(sections)
        budget.tell(f"rdo: {size:,} bytes at price {price:.4g}, {target:,} wanted")
        if size <= target:
            if size > best_size:
                best, best_size = sections, size
            high = price, float(size)
            if size >= (1 - TOLERANCE) * target:
                break
        else:
            low = price, float(size)
            if price >= LARGEST_PRICE:
                break
        price = _between(low, high, (1 - TOLERANCE / 2) * target)
    if not best_size:
        budget.tell(f"rdo: no price up to {LARGEST_PRICE:g} fits {target:,} bytes: fewer bits or a larger clip_std")
        return sections
    return best


def _between(low: tuple[float, float], high: tuple[float, float], wanted: float) -> float:
    """The next price: where a line through what was seen, kept off its ends, crosses the bytes that are wanted."""
    if math.isinf(high[0]):
        return min(4 * low[0], LARGEST_PRICE)
    part = (low[1] - wanted) / max(low[1] - high[1], 1.0)
    part = min(max(part, 0.05), 0.95)
    if low[0] < SMALLEST_PRICE:
        return max(part * high[0], SMALLEST_PRICE / 2)
    return float(low[0] * (high[0] / low[0]) ** part)


def costs_of(sections: list[Section], budget: Budget) -> Costs:
    """Of every section of codes: the codec's own costs, or without such a codec those of order-0 entropy."""
    table = budget.cost_table or entropy_table
    return {(s.layout.tensor, s.layout.group): table(s) for s in sections if s.layout.part == "codes" and s.data.size}


def entropy_table(section: Section) -> CostTable:
    """Bits of an ideal static code of the section's symbols. One that does not occur counts as a third of one."""
    low, high = section.layout.alphabet or (int(section.data.min()), int(section.data.max()))
    counts = np.bincount(section.data.reshape(-1).astype(np.int64) - low, minlength=high - low + 1)
    bits = math.log2(section.data.size) - np.log2(np.maximum(counts, 1 / 3))
    rows = section.data.shape[0] if section.data.ndim > 1 else 1
    context_RC = np.zeros((rows, section.data.size // rows), np.uint8)
    return CostTable(context_RC, bits[None].astype(np.float32), low)


@dataclass
class _Priced:
    """Chooses the codes of a matrix. ``table``: bits of all contexts one after the other, symbols from -highest."""

    table: torch.Tensor
    context_CR: torch.Tensor
    """Where in ``table`` the bits of code 0 are, for each weight; columns in the order in which they are solved."""
    scale_R: torch.Tensor
    highest_R: torch.Tensor
    price_R: torch.Tensor
    place_R: np.ndarray | None
    """With dependent codes: see ``rdo_trellis.places``."""

    def __call__(self, left_R: torch.Tensor, column: int, weight: float) -> torch.Tensor:
        safe_R = torch.where(self.scale_R > 0, self.scale_R, torch.ones_like(self.scale_R))
        if self.place_R is not None:
            from golfreg.builtin.quantizers.rdo_trellis import chosen

            def cost_of(codes_KR: torch.Tensor, half: float) -> torch.Tensor:
                bits_KR = self.table.take(self.context_CR[column] + codes_KR.to(torch.int64))
                return weight * (left_R - (codes_KR + half) * self.scale_R).square() + self.price_R * bits_KR

            level_R = chosen(left_R / safe_R, self.highest_R, self.place_R, cost_of)
            return torch.where(self.scale_R > 0, level_R, torch.zeros_like(left_R))
        nearest_R = torch.round(left_R / safe_R)
        offers_KR = torch.stack([*(nearest_R + step for step in OFFERS), torch.zeros_like(nearest_R)])
        offers_KR = torch.maximum(torch.minimum(offers_KR, self.highest_R), -self.highest_R)
        bits_KR = self.table.take(self.context_CR[column] + offers_KR.to(torch.int64))
        cost_KR = weight * (left_R - offers_KR * self.scale_R).square() + self.price_R * bits_KR
        best_R = cost_KR.argmin(0)
        return torch.where(self.scale_R > 0, offers_KR.gather(0, best_R[None])[0], torch.zeros_like(left_R))


def _chooser(costs: Costs, price: float, dependent: bool) -> gptq_encode.Chooser:
    """Choosers for every matrix: those of the row groups' costs, one below the other."""

    def chooser(
        name: str,
        groups: list[tuple[str, int]],
        order_C: torch.Tensor,
        scale_R: torch.Tensor,
        highest_R: torch.Tensor,
        weight_C: torch.Tensor,
    ) -> Choose | None:
        device, tables, contexts, offset = scale_R.device, [], [], 0
        for group, rows in groups:
            if not rows:
                continue
            found = costs[name, group]
            bits = torch.from_numpy(np.ascontiguousarray(found.bits, np.float32))
            context_RC = torch.from_numpy(found.context_RC.astype(np.int64)) * bits.shape[1] + (offset - found.lowest)
            tables.append(bits.reshape(-1))
            contexts.append(context_RC)
            offset += bits.numel()
        context_CR = torch.cat(contexts).to(device)[:, order_C].t().contiguous()
        mean = float(weight_C.log().mean().exp())
        price_R = price * mean * scale_R.square()
        place_R = None
        if dependent:
            from golfreg.builtin.quantizers.rdo_trellis import places

            place_R = places([rows for _, rows in groups])
        return _Priced(torch.cat(tables).to(device), context_CR, scale_R, highest_R, price_R, place_R)

    return chooser
