"""A leaderboard as text, CSV and plain values for JSON. Text of an entry stays text."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import Any

from golfreg.leaderboard.columns import LEAST_NEEDED, Column, Value
from golfreg.leaderboard.lines import Placed
from golfreg.leaderboard.places import Broken

WIDEST = 24
"""Longer cells are folded before a column is left out for them."""
_STARTS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_FIGURES = (
    "bits_per_byte_mean", "bits_per_byte_std", "nats_per_token_mean", "bytes_max", "headroom_bytes",
    "train_seconds_max", "score_seconds_max", "standard_error_max",
)  # fmt: skip


def fit(columns: Sequence[Column], cells: Sequence[Sequence[str]], width: int) -> tuple[list[Column], list[list[str]]]:
    """As many columns, each with its cells, as a terminal of ``width`` characters has room for."""
    kept = list(range(len(columns)))
    widths = [
        max(len(column.heading), *map(_up_to_widest, texts)) for column, texts in zip(columns, cells, strict=True)
    ]
    names = [column.name for column in columns]
    for name in LEAST_NEEDED:
        if sum(widths[i] + 3 for i in kept) + 1 <= width:
            break
        if name in names:
            kept.remove(names.index(name))
    return [columns[i] for i in kept], [list(cells[i]) for i in kept]


def text_table(
    title: str, columns: Sequence[Column], cells: Sequence[Sequence[str]], width: int | None = None
) -> Iterator[str]:
    """The lines of what ``Out.table`` prints, without the time that rich takes for thousands of rows.

    ``cells``: of each column. ``width``: of the terminal; long cells are folded for it.
    """
    headings = [column.heading for column in columns]
    cells = [_printable(texts) for texts in cells]
    widths = [max(map(_width, (heading, *texts))) for heading, texts in zip(headings, cells, strict=True)]
    rows: Iterable[Sequence[str]] = zip(*cells, strict=True)
    if width is not None and sum(widths) + 3 * len(widths) + 1 > width:
        widths = [
            size if column.number else min(size, max(WIDEST, len(column.heading)))
            for column, size in zip(columns, widths, strict=True)
        ]
        rows = (line for row in rows for line in _folded(row, widths))
    places = [(size, column.number) for column, size in zip(columns, widths, strict=True)]
    heads = [_padded([text], *place)[0] for text, place in zip(headings, places, strict=True)]
    yield from (title, "", _line(heads), " " + "─" * (sum(widths) + 3 * len(widths) - 1))
    padded = [_padded(texts, *place) for texts, place in zip(zip(*rows, strict=True), places, strict=False)]
    yield from map(_line, zip(*padded, strict=True))
    yield ""


def csv_text(columns: Sequence[Column], tracks: dict[str, list[Placed]]) -> str:
    """Values in full precision, ``track`` first. No text is a formula to a spreadsheet: such a one gets a ``'``."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["track", *(column.name for column in columns)])
    for track, rows in tracks.items():
        writer.writerows([_no_formula(value) for value in (track, *(c.value(row) for c in columns))] for row in rows)
    return out.getvalue()


def json_lines(tracks: dict[str, list[Placed]], broken: Iterable[Broken]) -> Iterator[str]:
    """The lines of one JSON document: tracks and what is broken, an entry a line, in full precision."""

    def listed(values: Iterable[object]) -> str:
        return "[" + ",".join(f"\n  {encode(value)}" for value in values) + "]"

    encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
    yield '{"tracks": {'
    for number, (track, rows) in enumerate(tracks.items(), 1):
        yield f" {encode(track)}: {listed(map(values, rows))}" + ("," if number < len(tracks) else "")
    yield '}, "broken": ' + listed({"entry": b.key, "message": b.message, "hint": b.hint} for b in broken) + "}"


def values(placed: Placed) -> dict[str, Any]:
    """One entry for JSON; figures that are not known are left out."""
    known = placed.line._asdict()
    figures = {name: known.pop(name) for name in _FIGURES}
    key, track = known.pop("entry"), known.pop("track")
    known.pop("fails"), known.pop("warns")
    return {
        "rank": placed.rank,
        "entry": key,
        "track": track,
        **{name: value for name, value in figures.items() if value is not None},
        "gap": placed.gap,
        "frontier": placed.frontier,
        **known,
    }


def _folded(row: Sequence[str], widths: Sequence[int]) -> list[list[str]]:
    """A row as several, none of whose cells is wider than its column."""
    pieces = [
        [cell[start : start + size] for start in range(0, len(cell), size)] or [""]
        for cell, size in zip(row, widths, strict=True)
    ]
    return [list(line) for line in zip_longest(*pieces, fillvalue="")]


def _line(row: Sequence[str]) -> str:
    return f"  {'   '.join(row)}".rstrip()


def _padded(texts: Sequence[str], width: int, right: bool) -> list[str]:
    """Every text with spaces up to ``width``."""
    if "".join(texts).isascii():
        return [text.rjust(width) for text in texts] if right else [text.ljust(width) for text in texts]
    spaces = [" " * (width - _width(text)) for text in texts]
    return [space + text if right else text + space for text, space in zip(texts, spaces, strict=True)]


def _width(text: str) -> int:
    """Columns of a terminal."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def _up_to_widest(text: str) -> int:
    return min(len(text), WIDEST)


def _printable(texts: Sequence[str]) -> Sequence[str]:
    """Nothing in a cell ends its line, or steers a terminal."""
    if "".join(texts).isprintable():
        return texts
    return ["".join(c if c.isprintable() else ascii(c)[1:-1] for c in text) for text in texts]


def _no_formula(value: Value) -> Value:
    return f"'{value}" if isinstance(value, str) and value.startswith(_STARTS_A_FORMULA) else value
