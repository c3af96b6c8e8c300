"""What the charts of a track are drawn on: a sheet of matplotlib without frame or colour of its own.

Sizes are points, which are the units of the SVG.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from golfreg.api.errors import EnvironmentFault
from golfreg.leaderboard.site.lines import Line
from golfreg.leaderboard.site.svg import ACCENT, FAINT, GRID, INK, MUTED, SURFACE, Mark, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKED_POINTS = 300
"""Points that are links; of more than that, only those on a front are."""
WIDE, NARROW = (560, 300), (360, 270)
FONT = 12


@dataclass
class Sheet:
    """What a drawing function draws on. ``marks``: tooltips and links by the artists' gid."""

    axes: Axes
    width: int
    height: int
    marks: dict[str, Mark] = field(default_factory=dict)

    @property
    def narrow(self) -> bool:
        return self.width < 400

    def mark(self, text: str, line: Line | None = None) -> str:
        """A gid for an artist that leads to the line's page."""
        gid = f"mark-{len(self.marks)}"
        self.marks[gid] = Mark(text, f"{line.slug}.html" if line else "")
        return gid


def drawn(draw: Callable[[Sheet], None], size: tuple[int, int], axis: str, bars: bool, name: str, label: str) -> str:
    """Inline SVG of what ``draw`` draws. ``axis``: what the vertical axis shows. ``bars``: one row for each entry.

    ``name``: unique in the page. ``label``: the text alternative. EnvironmentFault without matplotlib.
    """
    try:
        import matplotlib
        from matplotlib.backends.backend_svg import FigureCanvasSVG
        from matplotlib.figure import Figure
    except ImportError as error:
        raise EnvironmentFault(
            "charts need matplotlib, which is not installed", "pip install 'golfreg[plots]', or `--no-charts`"
        ) from error
    width, height = size
    stream = io.StringIO()
    with matplotlib.rc_context(), warnings.catch_warnings():
        # A font that lacks a letter of someone's name is no matter: the browser draws the text.
        warnings.simplefilter("ignore")
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(
            {"svg.hashsalt": "golfreg", "svg.fonttype": "none", "text.parse_math": False, "font.size": FONT}
        )
        figure = Figure(figsize=(width / 72, height / 72))
        left = (126 if width < 400 else 206) if bars else 52
        top = 10 if bars else 30
        axes = figure.add_axes(
            (left / width, 48 / height, (width - left - 14) / width, (height - 48 - top) / height), facecolor="none"
        )
        sheet = Sheet(axes, width, height)
        _style(axes, axis, bars)
        draw(sheet)
        if not axes.get_xlabel():
            axes.set_position((left / width, 30 / height, (width - left - 14) / width, (height - 30 - top) / height))
        figure.patch.set_visible(False)
        FigureCanvasSVG(figure).print_svg(  # type: ignore[no-untyped-call]
            stream, metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
        )
    return tidy(stream.getvalue(), name, label, sheet.marks)


def _style(axes: Axes, axis: str, bars: bool) -> None:
    """Gridlines along the values, no frame."""
    axes.grid(axis="x" if bars else "y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(length=0, labelsize=FONT, labelcolor=MUTED, pad=6)
    axes.ticklabel_format(useOffset=False, style="plain")
    axes.yaxis.set_major_locator(locator(6))
    if axis:
        axes.set_title(axis, loc="left", fontsize=FONT, color=MUTED, pad=10)


def points(sheet: Sheet, lines: list[Line], front: list[Line], across: Callable[[Line], float]) -> None:
    """A dot for each line, those of the front filled; dots are links while they are few."""
    on_front = {line.key for line in front}
    for line in lines if len(lines) <= MARKED_POINTS else front:
        size = "size unknown" if line.figures.bytes_max is None else f"{line.figures.bytes_max:,} bytes"
        chosen = line.key in on_front
        sheet.axes.plot(
            [across(line)], [line.score], "o", color=ACCENT if chosen else FAINT, markersize=7 if chosen else 5.5,
            markeredgecolor=SURFACE, markeredgewidth=1, zorder=4 if chosen else 3,
            gid=sheet.mark(f"{line.title}, {line.author}, {line.date}: {line.score:.4f} bits per byte, {size}", line),
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


def locator(bins: int) -> Any:
    """At most that many steps between round numbers."""
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(bins)


def _short(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"
