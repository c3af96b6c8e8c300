"""The roofline as a drawing: operations a second over operations a byte, with what the machine was measured at."""

from __future__ import annotations

from typing import Any

from golfreg.api.errors import AnswerIsNo
from golfreg.plots.file import Plot
from golfreg.plots.sheet import Margins, Sheet

SIZE = (760, 460)


def roofline(document: dict[str, Any]) -> Plot:
    """The chart of what ``golfreg bench kernels --json`` prints.

    AnswerIsNo if no kernel has a time with counted work.
    """
    points = _points(document)
    if not points:
        raise AnswerIsNo("there is nothing to draw: no kernel is right, timed, and of an op that counts its work")
    bandwidth = document["machine"]["copy_bytes_per_second"]
    peak = document["machine"]["product_operations_per_second"]
    unit = 1e12 if peak > 1e12 else 1e9
    points = [(name, across, speed / unit, forward) for name, across, speed, forward in points]
    bandwidth, peak = bandwidth / unit, peak / unit

    def draw(sheet: Sheet) -> None:
        axes, palette = sheet.axes, sheet.palette
        axes.set_xscale("log")
        axes.set_yscale("log")
        low = min(p[1] for p in points) / 4
        high = max(*(p[1] for p in points), peak / bandwidth) * 4
        axes.plot(
            [low, peak / bandwidth, high], [low * bandwidth, peak, peak], color=palette.muted, linewidth=1.6, zorder=2
        )
        names = list(dict.fromkeys(name for name, *_ in points))
        for name in names:
            colour = palette.series[min(names.index(name), len(palette.series) - 1)]
            for filled in (True, False):
                own = [p for p in points if p[0] == name and p[3] is filled]
                if own:
                    axes.plot(
                        [p[1] for p in own], [p[2] for p in own], "o", color=colour, markersize=7, zorder=3,
                        markerfacecolor=colour if filled else palette.surface, label=name if filled else None,
                    )  # fmt: skip
        axes.set_xlim(low, high)
        axes.set_ylim(min(min(p[2] for p in points), low * bandwidth) / 3, peak * 3)
        axes.set_xlabel("operations a byte", color=palette.muted)
        axes.tick_params(which="minor", length=0)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(lambda value, _: f"{value:,g}")
            axis.set_minor_formatter(lambda value, _: "")
        axes.grid(axis="both", which="major", color=palette.grid, linewidth=0.8)
        legend = axes.legend(loc="lower right", fontsize=10, frameon=False, labelcolor=palette.ink)
        legend.set_zorder(4)

    device = document["machine"]["device"]
    return Plot(
        "roofline", f"Roofline of {len(points)} timings on {device}", draw, SIZE, Margins(left=64),
        f"{'TFLOP/s' if unit == 1e12 else 'GFLOP/s'} on {device}; filled: forward, hollow: with gradients",
    )  # fmt: skip


def _points(document: dict[str, Any]) -> list[tuple[str, float, float, bool]]:
    """(name, operations a byte, operations a second, whether forward alone)."""
    found = []
    for op in document["ops"]:
        work = op["work"]
        for kernel in op["kernels"] if work else ():
            operations, n_bytes = work["forward_operations"], work["forward_bytes"]
            both = operations + work["backward_operations"], n_bytes + work["backward_bytes"]
            for part, (n_operations, moved) in (("forward", (operations, n_bytes)), ("both", both)):
                if part in kernel and n_operations and moved:
                    speed = n_operations / kernel[part]["median_ms"] * 1e3
                    found.append((f"{op['op']}: {kernel['kernel']}", n_operations / moved, speed, part == "forward"))
    return found
