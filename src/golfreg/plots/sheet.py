"""What a chart is drawn on: a sheet of matplotlib without frame or colour of its own.

Sizes are points, which are the units of the SVG.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from golfreg.api.errors import EnvironmentFault
from golfreg.plots.svg import ACCENT, FAINT, GRID, INK, MUTED, SERIES, SURFACE, Mark, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FONT = 12
INSTALL = "pip install 'golfreg[plots]'"


@dataclass(frozen=True)
class Palette:
    """Colours of a drawing. Those of the defaults stand for classes that a style sheet colours."""

    ink: str = INK
    muted: str = MUTED
    grid: str = GRID
    accent: str = ACCENT
    faint: str = FAINT
    surface: str = SURFACE
    series: tuple[str, ...] = SERIES


@dataclass(frozen=True)
class Margins:
    """Points around the axes. ``bottom`` is what a label below needs; without one less is taken."""

    left: int = 52
    right: int = 14
    top: int = 30
    bottom: int = 48


BARE = 30
"""The bottom margin of a sheet without a label below it."""


@dataclass
class Sheet:
    """What a drawing function draws on. ``marks``: tooltips and links by the artists' gid."""

    axes: Axes
    width: int
    height: int
    palette: Palette = field(default_factory=Palette)
    marks: dict[str, Mark] = field(default_factory=dict)

    @property
    def narrow(self) -> bool:
        return self.width < 400

    def mark(self, text: str, href: str = "") -> str:
        """A gid for an artist with a tooltip, and a link if ``href`` names a page."""
        gid = f"mark-{len(self.marks)}"
        self.marks[gid] = Mark(text, href)
        return gid


Draw = Callable[[Sheet], None]


def drawn(draw: Draw, size: tuple[int, int], margins: Margins, axis: str, bars: bool, name: str, label: str) -> str:
    """Inline SVG of what ``draw`` draws. ``axis``: what the vertical axis shows. ``bars``: one row for each entry.

    ``name``: unique in the page. ``label``: the text alternative. EnvironmentFault without matplotlib.
    """
    stream = io.StringIO()
    with figure_of(draw, size, margins, axis, bars, Palette()) as (figure, sheet):
        from matplotlib.backends.backend_svg import FigureCanvasSVG

        figure.patch.set_visible(False)
        FigureCanvasSVG(figure).print_svg(  # type: ignore[no-untyped-call]
            stream, metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
        )
    return tidy(stream.getvalue(), name, label, sheet.marks)


@contextmanager
def figure_of(
    draw: Draw, size: tuple[int, int], margins: Margins, axis: str, bars: bool, palette: Palette
) -> Iterator[tuple[Figure, Sheet]]:
    """The figure with everything drawn, while matplotlib's settings are ours. EnvironmentFault without matplotlib."""
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as error:
        raise EnvironmentFault("charts need matplotlib, which is not installed", INSTALL) from error
    width, height = size
    with matplotlib.rc_context(), warnings.catch_warnings():
        # A font that lacks a letter of someone's name is no matter: the browser draws the text.
        warnings.simplefilter("ignore")
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(
            {"svg.hashsalt": "golfreg", "svg.fonttype": "none", "text.parse_math": False, "font.size": FONT}
        )
        figure = Figure(figsize=(width / 72, height / 72))
        sheet = Sheet(figure.add_axes(_place(size, margins, margins.bottom), facecolor="none"), width, height, palette)
        _style(sheet, axis, bars)
        draw(sheet)
        if not sheet.axes.get_xlabel():
            sheet.axes.set_position(_place(size, margins, BARE))
        yield figure, sheet


def _place(size: tuple[int, int], margins: Margins, bottom: int) -> tuple[float, float, float, float]:
    width, height = size
    across, up = width - margins.left - margins.right, height - bottom - margins.top
    return margins.left / width, bottom / height, across / width, up / height


def _style(sheet: Sheet, axis: str, bars: bool) -> None:
    """Gridlines along the values, no frame."""
    axes, palette = sheet.axes, sheet.palette
    axes.grid(axis="x" if bars else "y", color=palette.grid, linewidth=0.8)
    axes.set_axisbelow(True)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(length=0, labelsize=FONT, labelcolor=palette.muted, pad=6)
    axes.ticklabel_format(useOffset=False, style="plain")
    axes.yaxis.set_major_locator(locator(6))
    if axis:
        axes.set_title(axis, loc="left", fontsize=FONT, color=palette.muted, pad=10)


def locator(bins: int) -> Any:
    """At most that many steps between round numbers."""
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(bins)
