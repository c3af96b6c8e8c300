"""The bytes of an artifact as a chart: a bar for each role's row group, for the code and for the header."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from golfreg.plots.file import Plot
from golfreg.plots.kinds import Bar, stacked_bars

SERIES = ("codes", "scales", "raw values", "code and header")
_MOST_ROWS = 40


def bytes_plot(facts: Mapping[str, Any], title: str) -> Plot:
    """``facts``: as ``golfreg.sizes.artifact.describe`` gives them."""
    total = facts["total_bytes"]
    unit, name = (1_000_000, "megabytes") if total >= 5_000_000 else (1_000, "kilobytes (of 1,000 bytes)")
    groups = facts["groups"]
    shown, left = (groups, []) if len(groups) <= _MOST_ROWS else (groups[: _MOST_ROWS - 1], groups[_MOST_ROWS - 1 :])
    found = [
        Bar(
            ("~ " if row["attributed"] else "") + row["key"],
            (row["codes_bytes"] / unit, row["scale_bytes"] / unit, row["raw_bytes"] / unit, 0.0),
            None if row["ideal_bytes"] is None else row["ideal_bytes"] / unit,
            _note(row, total),
        )
        for row in shown
    ]
    if left:
        parts = [sum(row[f"{part}_bytes"] for row in left) / unit for part in ("codes", "scale", "raw")]
        found.append(Bar(f"{len(left)} more", (*parts, 0.0)))
    for what in ("code", "header"):
        size = facts[f"{what}_bytes"]
        found.append(Bar(f"[{what}]", (0.0, 0.0, 0.0, size / unit), None, _percent(size, total)))
    found.sort(key=lambda bar: -sum(bar.parts))
    label = (
        f"Bytes of {title} by what they hold: {total:,} in all, {facts['weight_bytes']:,} of them weights at "
        f"{facts['bits_per_parameter']:.3f} bits a parameter."
    )
    known = any(bar.tick is not None for bar in found)
    return stacked_bars("bytes", label, found, SERIES, name, "order-0 entropy" if known else "")


def _note(row: Mapping[str, Any], total: int) -> str:
    ideal = row["ideal_bits_per_parameter"]
    against = "" if ideal is None else f" (ideal {ideal:.3f})"
    return f"{_percent(row['bytes'], total)} · {row['bits_per_parameter']:.3f} bits{against}"


def _percent(size: int, total: int) -> str:
    return f"{100 * size / max(total, 1):.1f} %"
