"""A chart as a file of its own: SVG that follows the reader's light or dark theme, or PNG on white."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from pathlib import Path

from golfreg.api.errors import ConfigError
from golfreg.config.job import write_whole
from golfreg.plots.sheet import FONT, Draw, Margins, Palette, drawn, figure_of

LIGHT = Palette(
    ink="#1b211e", muted="#5c6660", grid="#dfe3de", accent="#0b7a55", faint="#a9b2ac", surface="#ffffff",
    series=("#0b7a55", "#3f6fb5", "#c8862b", "#8b5fa8", "#c25450", "#4aa3a2", "#87893b", "#9aa39d"),
)  # fmt: skip
DARK = Palette(
    ink="#e4e9e5", muted="#9ba69f", grid="#2d3531", accent="#4cc795", faint="#5d6863", surface="#121614",
    series=("#4cc795", "#7da7e8", "#e0aa5c", "#bb94d6", "#e5857f", "#74cbc9", "#b5b768", "#7d8881"),
)  # fmt: skip
FORMATS = (".svg", ".png")
_PNG_DPI = 144
_FONTS = "system-ui, -apple-system, 'Segoe UI', 'Noto Sans', 'DejaVu Sans', sans-serif"


@dataclass(frozen=True)
class Plot:
    """One chart. ``label``: the text alternative, a sentence. ``axis``: what the vertical axis shows.

    ``bars``: it has a row for each thing, and values run along the horizontal axis.
    """

    name: str
    label: str
    draw: Draw
    size: tuple[int, int]
    margins: Margins
    axis: str = ""
    bars: bool = False


def check_format(path: Path) -> None:
    """ConfigError for a name that says neither SVG nor PNG."""
    if path.suffix.lower() not in FORMATS:
        raise ConfigError(f"`{path}` is no plot that golfreg draws", f"the name ends in {' or '.join(FORMATS)}")


def save_plot(path: Path, plot: Plot) -> None:
    """Write the plot whole or not at all, in the format that the name says. EnvironmentFault without matplotlib."""
    check_format(path)
    data = _png(plot) if path.suffix.lower() == ".png" else standing_svg(plot).encode()
    write_whole(path, data)


def standing_svg(plot: Plot) -> str:
    """The plot as an SVG file that needs no page around it; the same figures give the same bytes."""
    width, height = plot.size
    inline = drawn(plot.draw, plot.size, plot.margins, plot.axis, plot.bars, plot.name, plot.label)
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
        f' width="{width}" height="{height}" '
    )
    body = re.sub(r"(?<=<use )href=", "xlink:href=", inline.removeprefix("<svg "))
    opening, _, rest = body.partition(">")
    back = f'<rect class="f-surface" width="{width}" height="{height}"/>'
    return f"{head}{opening}>{_style_sheet()}{back}{rest}\n"


def _png(plot: Plot) -> bytes:
    stream = io.BytesIO()
    with figure_of(plot.draw, plot.size, plot.margins, plot.axis, plot.bars, LIGHT) as (figure, _):
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        figure.patch.set_facecolor(LIGHT.surface)
        FigureCanvasAgg(figure)
        figure.savefig(stream, format="png", dpi=_PNG_DPI, metadata={"Software": None})
    return stream.getvalue()


def _style_sheet() -> str:
    light, dark = _rules(LIGHT), _rules(DARK)
    font = f"text{{font-family:{_FONTS};font-size:{FONT}px}}"
    return f"<style>{font}{light}@media (prefers-color-scheme:dark){{{dark}}}</style>"


def _rules(palette: Palette) -> str:
    named = {
        "ink": palette.ink, "muted": palette.muted, "grid": palette.grid, "accent": palette.accent,
        "faint": palette.faint, "surface": palette.surface,
        **{f"series{i}": colour for i, colour in enumerate(palette.series)},
    }  # fmt: skip
    return "".join(f".f-{name}{{fill:{c}}}.s-{name}{{stroke:{c}}}" for name, c in named.items())
