"""The chart of ``golfreg bench codecs``: bits a code by role, one bar a codec."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from golfreg.plots.file import Plot
from golfreg.plots.sheet import FONT, Margins, Sheet

HEIGHT, ROLE_WIDTH = 380, 150


def codecs_plot(result: dict[str, Any]) -> Plot:
    """Of what ``golfreg bench codecs --json`` prints. The axis begins where the differences are."""
    roles = result["references"]["roles"]
    bars = [(r["codec"], r["by_role"]) for r in result["codecs"] if r["error"] is None and r["codec"] != "none"]
    bars += [
        (name, {role: values[key] for role, values in roles.items()})
        for name, key in (("order-0 entropy", "order_0"), ("row x column, ideal", "row_x_column"))
    ]
    values = [value for _, by_role in bars for value in by_role.values()]
    low = 0.9 * min(values, default=0.0)

    def draw(sheet: Sheet) -> None:
        axes, palette = sheet.axes, sheet.palette
        width = 0.85 / max(len(bars), 1)
        for i, (name, by_role) in enumerate(bars):
            places = [k + (i - (len(bars) - 1) / 2) * width for k in range(len(roles))]
            colour = palette.series[i % len(palette.series)]
            for first, (place, role) in enumerate(zip(places, roles, strict=True)):
                axes.bar(
                    place, by_role[role] - low, width, low, color=colour, label=None if first else name,
                    hatch="//" if i >= len(palette.series) else None, edgecolor=palette.surface, linewidth=0.4,
                    gid=sheet.mark(f"{name}, {role}: {by_role[role]:.4g} bits"),
                )  # fmt: skip
        axes.set_xticks(range(len(roles)), list(roles))
        if values:
            axes.set_ylim(low, 1.02 * max(values))
        axes.legend(
            loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=FONT - 1, labelcolor=palette.ink
        )

    name = Path(result["weights"]).name
    return Plot(
        "codecs", f"Bits a code of {name} by role under {len(bars) - 2} codecs", draw,
        (220 + ROLE_WIDTH * max(len(roles), 1), HEIGHT), Margins(right=160), f"bits a code of {name}; from {low:.2f}",
    )  # fmt: skip
