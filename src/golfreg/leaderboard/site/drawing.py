"""What the charts of a track share: margins, dots that lead to entries, labels, the range without outliers."""

from __future__ import annotations

import math
from collections.abc import Callable

from golfreg.api.errors import EnvironmentFault
from golfreg.leaderboard.site.lines import Line
from golfreg.plots import sheet as sheets
from golfreg.plots.sheet import INSTALL, Draw, Margins, Sheet
from golfreg.plots.svg import ACCENT, FAINT, INK, SURFACE

MARKED_POINTS = 300
"""Points that are links; of more than that, only those on a front are."""
WIDE, NARROW = (560, 300), (360, 270)


def drawn(draw: Draw, size: tuple[int, int], axis: str, bars: bool, name: str, label: str) -> str:
    """``golfreg.plots.sheet.drawn`` with the margins that labels of entries need."""
    margins = Margins(left=(126 if size[0] < 400 else 206) if bars else 52, top=10 if bars else 30)
    try:
        return sheets.drawn(draw, size, margins, axis, bars, name, label)
    except EnvironmentFault as error:
        raise EnvironmentFault(error.message, f"{INSTALL}, or `--no-charts`") from error


def mark(sheet: Sheet, text: str, line: Line) -> str:
    """A gid for an artist that leads to the line's page."""
    return sheet.mark(text, f"{line.slug}.html")


def points(sheet: Sheet, lines: list[Line], front: list[Line], across: Callable[[Line], float]) -> None:
    """A dot for each line, those of the front filled; dots are links while they are few."""
    on_front = {line.key for line in front}
    for line in lines if len(lines) <= MARKED_POINTS else front:
        size = "size unknown" if line.figures.bytes_max is None else f"{line.figures.bytes_max:,} bytes"
        chosen = line.key in on_front
        sheet.axes.plot(
            [across(line)], [line.score], "o", color=ACCENT if chosen else FAINT, markersize=7 if chosen else 5.5,
            markeredgecolor=SURFACE, markeredgewidth=1, zorder=4 if chosen else 3,
            gid=mark(sheet, f"{line.title}, {line.author}, {line.date}: {line.score:.4f} bits per byte, {size}", line),
        )  # fmt: skip
    low, high = usual(lines, score)
    pad = (high - low) * 0.06 or 0.01
    sheet.axes.set_ylim(low - pad, high + pad)
    if len(lines) > MARKED_POINTS:
        rest = [line for line in lines if line.key not in on_front]
        sheet.axes.plot([across(line) for line in rest], [line.score for line in rest], ".", color=FAINT, zorder=1)


def labels(sheet: Sheet, lines: list[Line]) -> None:
    """Rank and title of each line along the vertical axis, the first on top."""
    limit = 14 if sheet.narrow else 26
    texts = [f"{line.rank}  {_short(line.title, limit)}" for line in lines]
    sheet.axes.set_yticks(range(len(lines)), texts, color=INK)
    sheet.axes.set_ylim(len(lines) - 0.4, -0.6)


def usual(lines: list[Line], value: Callable[[Line], float]) -> tuple[float, float]:
    """The range without outliers: within three times the middle half of the values. The best score is in it."""
    values = sorted(map(value, lines))
    first, third = values[len(values) // 4], values[(3 * len(values)) // 4]
    reach = 3 * (third - first) or math.inf
    low = -math.inf if value is score else first - reach
    usual = [one for one in values if low <= one <= third + reach]
    return usual[0], usual[-1]


def score(line: Line) -> float:
    """Mean of bits per byte."""
    return line.score


def _short(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"
