"""The kinds of chart that reports use: stacked bars, points with intervals in rows, and lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from golfreg.plots.file import Plot
from golfreg.plots.sheet import FONT, Draw, Margins, Sheet

WIDTH, ROW = 720, 24
_CHARACTER = 6.6
"""Points of a letter of the chart's font, on average and rounded up."""


@dataclass(frozen=True)
class Bar:
    """One row. ``parts``: value by series. ``tick``: where a mark is drawn across the bar. ``note``: after the bar."""

    label: str
    parts: tuple[float, ...]
    tick: float | None = None
    note: str = ""


@dataclass(frozen=True)
class Point:
    """A value with the ends of its interval, which may be left out."""

    value: float
    low: float | None = None
    high: float | None = None


def stacked_bars(
    name: str, label: str, rows: Sequence[Bar], series: Sequence[str], axis: str, tick: str = ""
) -> Plot:  # fmt: skip
    """A bar a row, its parts side by side. ``tick``: what the mark across a bar means."""

    def draw(sheet: Sheet) -> None:
        axes, palette = sheet.axes, sheet.palette
        longest = max((sum(row.parts) for row in rows), default=0.0) or 1.0
        for place, row in enumerate(rows):
            left = 0.0
            for number, value in enumerate(row.parts):
                if value:
                    axes.barh(
                        place, value, left=left, height=0.66, color=palette.series[number % 8],
                        edgecolor=palette.surface, linewidth=0.6,
                        gid=sheet.mark(f"{row.label}: {series[number]} {value:,.6g}"),
                    )  # fmt: skip
                left += value
            if row.tick is not None:
                axes.plot([row.tick] * 2, [place - 0.42, place + 0.42], color=palette.ink, linewidth=1.6, zorder=4)
            end = max(left, row.tick or 0.0)
            axes.text(end + longest * 0.012, place, row.note, va="center", color=palette.muted, fontsize=FONT - 1)
        axes.set_xlim(0, max(longest * 1.02, *(_room(sheet, row) for row in rows)) if rows else 1.0)
        _rows(sheet, [row.label for row in rows])
        _across(sheet, axis)
        _legend(sheet, [*enumerate(series)], tick)

    return _row_plot(name, label, draw, [row.label for row in rows], axis)


def points(
    name: str, label: str, rows: Sequence[tuple[str, Sequence[Point | None]]], series: Sequence[str], axis: str,
    lines: Sequence[tuple[float, str]] = (),
) -> Plot:  # fmt: skip
    """A point for each series in a row, with its interval. ``lines``: values to hold them against, with their names."""

    def draw(sheet: Sheet) -> None:
        axes, palette = sheet.axes, sheet.palette
        step = 0.56 / max(len(series) - 1, 1)
        for place, (row, found) in enumerate(rows):
            for number, point in enumerate(found):
                if point is None:
                    continue
                at = place + (number - (len(series) - 1) / 2) * step
                colour = palette.series[number % 8]
                text = f"{row}, {series[number]}: {point.value:.4g}"
                if point.low is not None and point.high is not None:
                    axes.plot([point.low, point.high], [at, at], color=colour, linewidth=1.6, zorder=2)
                    text += f" ({point.low:.4g} to {point.high:.4g})"
                axes.plot(
                    [point.value], [at], "o", color=colour, markersize=6, markeredgecolor=palette.surface,
                    markeredgewidth=0.8, zorder=3, gid=sheet.mark(text),
                )  # fmt: skip
        for value, text in lines:
            axes.axvline(value, color=palette.muted, linewidth=1.0, dashes=(4, 3), zorder=1)
            low, high = axes.get_xlim()
            right = value > (low + high) / 2
            axes.text(
                value, -0.66, f"{text} " if right else f" {text}", color=palette.muted, fontsize=FONT - 1, va="bottom",
                ha="right" if right else "left",
            )  # fmt: skip
        _rows(sheet, [row for row, _ in rows])
        _across(sheet, axis)
        _legend(sheet, [*enumerate(series)] if len(series) > 1 else [])

    return _row_plot(name, label, draw, [row for row, _ in rows], axis)


def curves(
    name: str, label: str, across: Sequence[float], found: Sequence[tuple[str, Sequence[Point | None]]], x_axis: str,
    y_axis: str, lines: Sequence[tuple[float, str]] = (), ticks: Sequence[str] | None = None,
) -> Plot:  # fmt: skip
    """A line for each series over common places. ``ticks``: names of the places, which are then evenly spaced."""

    def draw(sheet: Sheet) -> None:
        axes, palette = sheet.axes, sheet.palette
        places = list(range(len(across))) if ticks is not None else list(across)
        for number, (series, values) in enumerate(found):
            colour = palette.series[number % 8]
            kept = [(x, p) for x, p in zip(places, values, strict=True) if p is not None]
            axes.plot([x for x, _ in kept], [p.value for _, p in kept], color=colour, linewidth=1.6, zorder=2)
            for x, p in kept:
                text = f"{series}: {p.value:.4g}"
                if p.low is not None and p.high is not None:
                    axes.plot([x, x], [p.low, p.high], color=colour, linewidth=1.4, zorder=2)
                    text += f" ({p.low:.4g} to {p.high:.4g})"
                axes.plot(
                    [x], [p.value], "o", color=colour, markersize=5.5, markeredgecolor=palette.surface, zorder=3,
                    gid=sheet.mark(text),
                )  # fmt: skip
        for value, text in lines:
            axes.axhline(value, color=palette.muted, linewidth=1.0, dashes=(4, 3), zorder=1)
            axes.text(
                1.0, value, text, color=palette.muted, fontsize=FONT - 1, va="bottom", ha="right",
                transform=axes.get_yaxis_transform(),
            )  # fmt: skip
        if ticks is not None:
            axes.set_xticks(places, ticks)
        _across(sheet, x_axis)
        _legend(sheet, [(i, s) for i, (s, _) in enumerate(found)] if len(found) > 1 else [])

    return Plot(name, label, draw, (WIDTH, 360), Margins(left=70, right=150, top=34), y_axis)


def _room(sheet: Sheet, row: Bar) -> float:
    """The largest value that an axis must show so that the row's note fits beside its bar."""
    across = sheet.axes.get_position().width * sheet.width
    left = max(across - len(row.note) * (_CHARACTER - 0.3) - 12, across / 4)
    return max(sum(row.parts), row.tick or 0.0) * across / left


def _row_plot(name: str, label: str, draw: Draw, labels: Sequence[str], axis: str) -> Plot:
    left = min(280, round(max((len(text) for text in labels), default=0) * _CHARACTER) + 22)
    height = len(labels) * ROW + 34 + (48 if axis else 30)
    return Plot(name, label, draw, (WIDTH, height), Margins(left=left, right=20, top=34), bars=True)


def _rows(sheet: Sheet, labels: Sequence[str]) -> None:
    sheet.axes.set_yticks(range(len(labels)), labels, color=sheet.palette.ink)
    sheet.axes.set_ylim(len(labels) - 0.4, -0.6)


def _across(sheet: Sheet, axis: str) -> None:
    if axis:
        sheet.axes.set_xlabel(axis, color=sheet.palette.muted, fontsize=FONT, labelpad=6)


def _legend(sheet: Sheet, series: Sequence[tuple[int, str]], tick: str = "") -> None:
    """Above the axes for rows, beside them for lines; none where there is one series."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    palette = sheet.palette
    handles: list[object] = [Patch(color=palette.series[i % 8], label=text) for i, text in series]
    if tick:
        handles.append(Line2D([], [], color=palette.ink, marker="|", linestyle="", markersize=10, label=tick))
    if not handles:
        return
    beside = bool(sheet.axes.get_title(loc="left"))
    sheet.axes.legend(
        handles=handles, frameon=False, labelcolor=palette.muted, fontsize=FONT - 1, handlelength=0.8,
        loc="upper left" if beside else "lower left", bbox_to_anchor=(1.01, 1.0) if beside else (-0.01, 1.0),
        ncols=1 if beside else len(handles), borderaxespad=0.2, columnspacing=1.4,
    )  # fmt: skip
