"""The charts of a track, each with its figures as a table: what a chart shows, a screen reader reads.

Every chart is drawn twice, for wide and for narrow screens; the style sheet shows one. The same
lines give the same bytes. matplotlib is imported when the first chart is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date

from golfreg.leaderboard.site.drawing import NARROW, WIDE, drawn, labels, mark, points, score, usual
from golfreg.leaderboard.site.lines import Line, Track, pareto
from golfreg.plots.sheet import FONT, Draw, Sheet, locator
from golfreg.plots.svg import ACCENT, GRID, INK, MUTED, SERIES, SURFACE

MEGABYTE = 1_000_000
BARS, SPREADS = 12, 20


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


def charts(track: Track) -> list[Chart]:
    """Those that the track has the figures for. EnvironmentFault if matplotlib is not installed."""
    made = (_frontier(track), _pareto(track), _roles(track), _spread(track))
    return [chart for chart in made if chart is not None]


def _frontier(track: Track) -> Chart | None:
    lines = sorted(track.ranked, key=lambda line: (line.date, line.score, line.key))
    if len({line.date for line in lines}) < 2:
        return None
    best = [line for line in lines if line.frontier]

    def draw(sheet: Sheet) -> None:
        days = {line.key: date.fromisoformat(line.date).toordinal() for line in lines}
        first, last = days[lines[0].key], days[lines[-1].key]
        points(sheet, lines, best, lambda line: days[line.key])
        sheet.axes.step(
            [*(days[line.key] for line in best), last], [*(line.score for line in best), best[-1].score],
            where="post", color=ACCENT, linewidth=1.6, zorder=2,
        )  # fmt: skip
        count = min(2 if sheet.narrow else 3, last - first)
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
        f"on {best[-1].date}, in {_steps(len(best) - 1)}. Entries of one day count together.{_outside(lines, score)}",
        draw, ("date", "entry", "bits per byte", "gain"), rows, axis="bits per byte",
    )  # fmt: skip


def _pareto(track: Track) -> Chart | None:
    lines = [line for line in track.ranked if line.figures.bytes_max is not None]
    if len(lines) < 2:
        return None
    keys = pareto(lines)
    front = sorted((line for line in lines if line.key in keys), key=_size)
    cap = track.ruleset.limits.cap_bytes / MEGABYTE

    def draw(sheet: Sheet) -> None:
        points(sheet, lines, front, lambda line: _size(line) / MEGABYTE)
        low, high = usual(lines, _size)
        pad = (high - low) * 0.05 or 1
        sheet.axes.set_xlim((low - pad) / MEGABYTE, (high + pad) / MEGABYTE)
        if len(front) > 1:
            sheet.axes.step(
                [_size(line) / MEGABYTE for line in front], [line.score for line in front],
                where="post", color=ACCENT, linewidth=1.6, zorder=2,
            )  # fmt: skip
        left, right = sheet.axes.get_xlim()
        if left < cap < right + (right - left) * 0.15:
            sheet.axes.axvline(cap, color=MUTED, linewidth=0.9, dashes=(4, 3), zorder=1)
            sheet.axes.set_xlim(left, max(right, cap + (right - left) * 0.02))
        sheet.axes.xaxis.set_major_locator(locator(3 if sheet.narrow else 6))
        sheet.axes.set_xlabel("megabytes of the largest artifact", color=MUTED, fontsize=FONT, labelpad=6)

    rows = [
        (Cell(f"{_size(line):,}"), Cell(line.title, line.key), Cell(f"{line.score:.4f}"), Cell(str(line.rank)))
        for line in front
    ]
    return _chart(
        track, "pareto", "Bits per byte against bytes",
        f"{len(front)} of {len(lines)} ranked entries are beaten by none of their size or below: the Pareto front. "
        f"The cap is {cap:g} megabytes.{_outside(lines, score, _size)}",
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

    def draw(sheet: Sheet) -> None:
        for row, line in enumerate(lines):
            left = 0.0
            for place, role in enumerate(names):
                count = split[line.key].get(role, 0)
                if count:
                    sheet.axes.barh(
                        row, count / MEGABYTE, left=left, height=0.62, color=SERIES[place], edgecolor=SURFACE,
                        linewidth=0.8, gid=mark(sheet, f"{line.title}: {role} {count:,} bytes", line),
                    )  # fmt: skip
                left += count / MEGABYTE
        labels(sheet, lines)
        sheet.axes.xaxis.set_major_locator(locator(3 if sheet.narrow else 6))
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

    def draw(sheet: Sheet) -> None:
        for row, line in enumerate(lines):
            scores = [score for _, score in line.scores]
            sheet.axes.plot([min(scores), max(scores)], [row, row], color=GRID, linewidth=3, zorder=1)
            text = f"{line.title}: " + ", ".join(f"seed {seed} {score:.5f}" for seed, score in line.scores)
            sheet.axes.plot(
                scores, [row] * len(scores), "o", color=ACCENT, markersize=5.5, alpha=0.75, markeredgecolor=SURFACE,
                gid=mark(sheet, text, line), zorder=3,
            )  # fmt: skip
            sheet.axes.plot([line.score], [row], "|", color=INK, markersize=13, markeredgewidth=1.6, zorder=4)
        labels(sheet, lines)
        sheet.axes.xaxis.set_major_locator(locator(3 if sheet.narrow else 6))
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
    track: Track, name: str, title: str, caption: str, draw: Draw, columns: tuple[str, ...],
    rows: Sequence[tuple[Cell, ...]], *, axis: str = "", bars: int = 0, legend: list[tuple[int, str]] | None = None,
) -> Chart:  # fmt: skip
    label = f"{title}. {caption}"
    wide, narrow = (
        drawn(draw, (width, bars * 25 + 62 if bars else height), axis, bool(bars), f"{name}-{letter}", label)
        for (width, height), letter in ((WIDE, "w"), (NARROW, "n"))
    )
    return Chart(name, title, caption, wide, narrow, columns, rows, legend or [])


def _outside(lines: list[Line], *values: Callable[[Line], float]) -> str:
    """A sentence on the entries that are out of the chart's range; empty where there are none."""
    ranges = [(value, *usual(lines, value)) for value in values]
    count = sum(any(not low <= value(line) <= high for value, low, high in ranges) for line in lines)
    return f" Far outside and not drawn: {count}." if count else ""


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
