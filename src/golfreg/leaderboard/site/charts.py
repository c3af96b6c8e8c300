"""The charts of a track, each with its figures as a table: what a chart shows, a screen reader reads.

Every chart is drawn twice, for wide and for narrow screens; the style sheet shows one. The same
lines give the same bytes. matplotlib is imported when the first chart is drawn.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TYPE_CHECKING, Any

from golfreg.api.errors import EnvironmentFault
from golfreg.leaderboard.site.lines import Line, Track, pareto
from golfreg.leaderboard.site.svg import ACCENT, FAINT, GRID, INK, MUTED, SERIES, SURFACE, Mark, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MEGABYTE = 1_000_000
MARKED_POINTS = 300
"""Points that are links; of more than that, only those on a front are."""
BARS, SPREADS = 12, 20
_WIDE, _NARROW = (560, 300), (360, 270)
FONT = 12


@dataclass(frozen=True)
class Cell:
    """One cell of a chart's table. ``key``: the entry whose page it links to."""

    text: str
    key: str = ""


@dataclass(frozen=True)
class Chart:
    """``wide`` and ``narrow``: inline SVG. ``legend``: names of the series by the number of their colour."""

    name: str
    title: str
    caption: str
    wide: str
    narrow: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[Cell, ...]]
    legend: list[tuple[int, str]] = field(default_factory=list)


@dataclass
class _Sheet:
    """What a drawing function draws on. ``width``, ``height``: points. ``rows``: bars that it is made higher for."""

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


_Draw = Callable[[_Sheet], None]


def charts(track: Track) -> list[Chart]:
    """Those that the track has the figures for. EnvironmentFault if matplotlib is not installed."""
    made = (_frontier(track), _pareto(track), _roles(track), _spread(track))
    return [chart for chart in made if chart is not None]


def _frontier(track: Track) -> Chart | None:
    lines = sorted(track.ranked, key=lambda line: (line.date, line.score, line.key))
    if len({line.date for line in lines}) < 2:
        return None
    best = [line for line in lines if line.frontier]

    def draw(sheet: _Sheet) -> None:
        days = {line.key: date.fromisoformat(line.date).toordinal() for line in lines}
        first, last = days[lines[0].key], days[lines[-1].key]
        _points(sheet, lines, best, lambda line: days[line.key])
        sheet.axes.step(
            [*(days[line.key] for line in best), last], [*(line.score for line in best), best[-1].score],
            where="post", color=ACCENT, linewidth=1.6, zorder=2,
        )  # fmt: skip
        count = min(2 if sheet.narrow else 5, last - first)
        ticks = sorted({first + (last - first) * i // count for i in range(count + 1)})
        sheet.axes.set_xticks(ticks, [date.fromordinal(tick).isoformat() for tick in ticks])
        pad = max(1, (last - first) * 0.03)
        sheet.axes.set_xlim(first - pad, last + pad)
        sheet.axes.get_xticklabels()[0].set_horizontalalignment("left")
        sheet.axes.get_xticklabels()[-1].set_horizontalalignment("right")

    rows, before = [], None
    for line in best:
        gain = "" if before is None else f"−{before - line.score:.4f}"
        rows.append((Cell(line.date), Cell(line.title, line.key), Cell(f"{line.score:.4f}"), Cell(gain)))
        before = line.score
    return _chart(
        track, "frontier", "Frontier over time",
        f"The best mean of bits per byte went from {best[0].score:.4f} on {best[0].date} to {best[-1].score:.4f} "
        f"on {best[-1].date}, in {_steps(len(best) - 1)}. Entries of one day count together.",
        draw, ("date", "entry", "bits per byte", "gain"), rows, axis="bits per byte",
    )  # fmt: skip


def _pareto(track: Track) -> Chart | None:
    lines = [line for line in track.ranked if line.figures.bytes_max is not None]
    if len(lines) < 2:
        return None
    keys = pareto(lines)
    front = sorted((line for line in lines if line.key in keys), key=_size)

    def draw(sheet: _Sheet) -> None:
        _points(sheet, lines, front, lambda line: _size(line) / MEGABYTE)
        if len(front) > 1:
            sheet.axes.step(
                [_size(line) / MEGABYTE for line in front], [line.score for line in front],
                where="post", color=ACCENT, linewidth=1.6, zorder=2,
            )  # fmt: skip
        cap = track.rulesets[-1].limits.cap_bytes / MEGABYTE
        left, right = sheet.axes.get_xlim()
        if left < cap < right + (right - left) * 0.15:
            sheet.axes.axvline(cap, color=MUTED, linewidth=0.9, dashes=(4, 3), zorder=1)
            sheet.axes.set_xlim(left, max(right, cap + (right - left) * 0.02))
        sheet.axes.xaxis.set_major_locator(_locator(3 if sheet.narrow else 6))
        sheet.axes.set_xlabel("megabytes of the largest artifact", color=MUTED, fontsize=FONT, labelpad=6)

    rows = [
        (Cell(f"{_size(line):,}"), Cell(line.title, line.key), Cell(f"{line.score:.4f}"), Cell(str(line.rank)))
        for line in front
    ]
    return _chart(
        track, "pareto", "Bits per byte against bytes",
        f"No other of the {len(lines)} ranked entries of known size is both smaller and better than the {len(front)} "
        "on the line (the Pareto front). A dashed line is the cap.",
        draw, ("bytes", "entry", "bits per byte", "rank"), rows, axis="bits per byte",
    )  # fmt: skip


def _roles(track: Track) -> Chart | None:
    lines = [line for line in track.ranked if line.shares][:BARS]
    if not lines:
        return None
    totals: dict[str, int] = {}
    for line in lines:
        for role, count in line.shares.items():
            totals[role] = totals.get(role, 0) + count
    named = sorted(totals, key=lambda role: (-totals[role], role))
    if len(named) > len(SERIES):
        named = [role for role in named if role != "other"][: len(SERIES) - 1]
    split = {line.key: _split(line.shares, named) for line in lines}
    names = [*named, "other"] if len(named) < len(totals) else named

    def draw(sheet: _Sheet) -> None:
        for row, line in enumerate(lines):
            left = 0.0
            for place, role in enumerate(names):
                count = split[line.key].get(role, 0)
                if count:
                    sheet.axes.barh(
                        row, count / MEGABYTE, left=left, height=0.62, color=SERIES[place], edgecolor=SURFACE,
                        linewidth=0.8, gid=sheet.mark(f"{line.title}: {role} {count:,} bytes", line),
                    )  # fmt: skip
                left += count / MEGABYTE
        _labels(sheet, lines)
        sheet.axes.xaxis.set_major_locator(_locator(3 if sheet.narrow else 6))
        sheet.axes.set_xlabel("megabytes", color=MUTED, fontsize=FONT, labelpad=6)

    rows = [(Cell(line.title, line.key), *(Cell(f"{split[line.key].get(role, 0):,}") for role in names))
            for line in lines]  # fmt: skip
    return _chart(
        track, "roles", "Where the bytes go",
        f"Bytes of the largest artifact of {_leading(len(lines))} by what they hold.",
        draw, ("entry", *names), rows, bars=len(lines), legend=list(enumerate(names)),
    )  # fmt: skip


def _spread(track: Track) -> Chart | None:
    lines = [line for line in track.ranked if len(line.scores) > 1][:SPREADS]
    if not lines:
        return None

    def draw(sheet: _Sheet) -> None:
        for row, line in enumerate(lines):
            scores = [score for _, score in line.scores]
            sheet.axes.plot([min(scores), max(scores)], [row, row], color=GRID, linewidth=3, zorder=1)
            text = f"{line.title}: " + ", ".join(f"seed {seed} {score:.5f}" for seed, score in line.scores)
            sheet.axes.plot(
                scores, [row] * len(scores), "o", color=ACCENT, markersize=5.5, alpha=0.75, markeredgecolor=SURFACE,
                gid=sheet.mark(text, line), zorder=3,
            )  # fmt: skip
            sheet.axes.plot([line.score], [row], "|", color=INK, markersize=13, markeredgewidth=1.6, zorder=4)
        _labels(sheet, lines)
        sheet.axes.xaxis.set_major_locator(_locator(3 if sheet.narrow else 6))
        sheet.axes.set_xlabel("bits per byte", color=MUTED, fontsize=FONT, labelpad=6)

    rows = [
        (
            Cell(line.title, line.key), Cell(f"{line.score:.5f}"),
            Cell("" if line.figures.bits_per_byte_std is None else f"{line.figures.bits_per_byte_std:.5f}"),
            Cell(f"{min(s for _, s in line.scores):.5f}"), Cell(f"{max(s for _, s in line.scores):.5f}"),
            Cell(str(len(line.scores))),
        )
        for line in lines
    ]  # fmt: skip
    return _chart(
        track, "spread", "Spread of the seeds",
        f"A dot is a seed, the bar their mean, of {_leading(len(lines))} with more than one seed.",
        draw, ("entry", "mean", "std", "best seed", "worst seed", "seeds"), rows, bars=len(lines),
    )  # fmt: skip


def _chart(
    track: Track, name: str, title: str, caption: str, draw: _Draw, columns: tuple[str, ...],
    rows: Sequence[tuple[Cell, ...]], *, axis: str = "", bars: int = 0, legend: list[tuple[int, str]] | None = None,
) -> Chart:  # fmt: skip
    label = f"{title}. {caption}"
    wide, narrow = (
        _drawn(draw, (width, bars * 25 + 62 if bars else height), axis, bool(bars), f"{name}-{letter}", label)
        for (width, height), letter in ((_WIDE, "w"), (_NARROW, "n"))
    )
    return Chart(name, title, caption, wide, narrow, columns, rows, legend or [])


def _drawn(draw: _Draw, size: tuple[int, int], axis: str, bars: bool, name: str, label: str) -> str:
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
        sheet = _Sheet(axes, width, height)
        _style(axes, axis, bars)
        draw(sheet)
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
    axes.yaxis.set_major_locator(_locator(6))
    if axis:
        axes.set_title(axis, loc="left", fontsize=FONT, color=MUTED, pad=10)


def _points(sheet: _Sheet, lines: list[Line], front: list[Line], across: Callable[[Line], float]) -> None:
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
    if len(lines) > MARKED_POINTS:
        rest = [line for line in lines if line.key not in on_front]
        sheet.axes.plot([across(line) for line in rest], [line.score for line in rest], ".", color=FAINT, zorder=1)


def _labels(sheet: _Sheet, lines: list[Line]) -> None:
    limit = 14 if sheet.narrow else 26
    texts = [f"{line.rank}  {_short(line.title, limit)}" for line in lines]
    sheet.axes.set_yticks(range(len(lines)), texts, color=INK)
    sheet.axes.set_ylim(len(lines) - 0.4, -0.6)


def _locator(bins: int) -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(bins)


def _short(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def _split(shares: dict[str, int], named: list[str]) -> dict[str, int]:
    """Shares of the named roles, the rest as ``other``."""
    split = {role: count for role, count in shares.items() if role in named}
    left = sum(shares.values()) - sum(split.values())
    return split | {"other": split.get("other", 0) + left} if left else split


def _size(line: Line) -> int:
    return line.figures.bytes_max or 0


def _steps(count: int) -> str:
    return "one step" if count == 1 else f"{count} steps"


def _leading(count: int) -> str:
    return "the leading entry" if count == 1 else f"the leading {count} entries"
