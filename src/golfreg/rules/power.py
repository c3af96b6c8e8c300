"""Power: how many seeds it takes to show a gain under a ruleset.

The chance that the test comes out significant if the gain and the spread are as expected: the
noncentral t distribution, both samples with the same standard deviation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from golfreg.api.errors import InputError
from golfreg.rules.ruleset import RuleSignificance
from golfreg.rules.statistics import LARGEST_T

MAX_SEEDS = 1_000


@dataclass(frozen=True, kw_only=True)
class Power:
    """``seeds``: the fewest, None if ``MAX_SEEDS`` are too few. ``chances``: by number of seeds, of 2, 3, ... on."""

    seeds: int | None
    chances: dict[int, float]
    why: str = ""


def chance(gain: float, std: float, seeds: int, record_seeds: int, rule: RuleSignificance, margin: float) -> float:
    """Chance of a significant outcome. ``gain``, ``std`` and ``margin`` in one unit; ``seeds`` 2 or more."""
    from scipy.special import nctdtr, stdtrit

    if seeds < 2:
        return 0.0
    if rule.test == "welch" and record_seeds > 1:
        error = math.sqrt(1 / seeds + 1 / record_seeds)
        df = error**4 / (1 / (seeds**2 * (seeds - 1)) + 1 / (record_seeds**2 * (record_seeds - 1)))
    else:
        error, df = math.sqrt(1 / seeds), seeds - 1.0
    if std == 0:
        return 1.0 if gain > margin else 0.0
    critical = float(stdtrit(df, rule.p_value))
    shift = max(-LARGEST_T, min(LARGEST_T, (margin - gain) / (std * error)))
    if abs(shift) > 30:
        # So far out the noncentral distribution is all on one side, where its series is inexact.
        return float(shift < critical)
    return min(1.0, max(0.0, float(nctdtr(df, shift, critical))))


def seeds_needed(
    gain: float,
    std: float,
    rule: RuleSignificance,
    *,
    margin: float = 0.0,
    record_seeds: int = 3,
    power: float = 0.8,
    least: int = 2,
) -> Power:
    """The fewest seeds, ``least`` or more, that show ``gain`` with at least the chance ``power``.

    InputError for values that mean nothing. ``margin`` in the unit of ``gain`` and ``std``.
    """
    for name, value in (("gain", gain), ("std", std), ("margin", margin)):
        if not math.isfinite(value) or abs(value) > 1e6:
            raise InputError(f"{name} is {value}; it must be a number of at most a million")
    if std < 0 or not 0 < power < 1 or record_seeds < 1:
        raise InputError("std is at least 0, the power between 0 and 1, and the record has one seed or more")
    if gain <= margin:
        return Power(seeds=None, chances={}, why=f"the gain of {gain:g} is not above the margin of {margin:.5g}")
    chances: dict[int, float] = {}
    for seeds in range(max(2, least), MAX_SEEDS + 1):
        chances[seeds] = chance(gain, std, seeds, record_seeds, rule, margin)
        if chances[seeds] >= power:
            return Power(seeds=seeds, chances=chances)
    why = f"{MAX_SEEDS:,} seeds reach a chance of {chances[MAX_SEEDS]:.2f}"
    return Power(seeds=None, chances=chances, why=f"{why}; more seeds of the record would help")
