"""A leaderboard as columns and cells, as Markdown, and as plain values for JSON. Text stays text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from golfreg.config.record import to_table
from golfreg.leaderboard.entries import Board
from golfreg.leaderboard.rank import Row
from golfreg.rules.findings import Finding, Level

COLUMNS = (
    "rank", "name", "architecture", "quantizer", "codec", "bits per byte", "bytes", "headroom", "seeds", "date",
    "status", "findings",
)  # fmt: skip
RIGHT = ("rank", "bits per byte", "bytes", "headroom", "seeds")
LEAST_NEEDED = ("date", "headroom", "codec", "quantizer", "status", "seeds", "findings", "architecture", "bytes")
"""Columns that a narrow terminal leaves out, the first of them first."""
_NAME_WIDTH = 24
"""Longer cells are folded before a column is left out for them."""
FINDING_COLUMNS = ("entry", "level", "code", "finding", "where")


def cells(row: Row) -> tuple[str, ...]:
    """One row of ``COLUMNS``."""
    parts = row.entry.parts
    return (
        "-" if row.rank is None else str(row.rank),
        row.entry.facts.name,
        parts.architecture,
        parts.quantizer,
        parts.codec,
        score_text(row.figures.bits_per_byte_mean, row.figures.bits_per_byte_std),
        _count(row.figures.bytes_max),
        _count(row.headroom_bytes),
        str(len(row.figures.seeds)),
        row.entry.facts.date,
        row.entry.facts.status,
        findings_text(row),
    )


def fit(columns: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> tuple[list[str], list[list[str]]]:
    """As many columns, and those cells of the rows, as a terminal of ``width`` characters has room for."""
    kept = list(range(len(columns)))
    widths = [max(len(columns[i]), *(min(len(row[i]), _NAME_WIDTH) for row in rows)) for i in kept]
    for name in LEAST_NEEDED:
        if sum(widths[i] + 3 for i in kept) + 1 <= width:
            break
        kept.remove(columns.index(name))
    return [columns[i] for i in kept], [[row[i] for i in kept] for row in rows]


def score_text(mean: float, std: float | None) -> str:
    """``1.2345 ± 0.0011``; the deviation only where there is one."""
    return f"{mean:.4f}" if std is None else f"{mean:.4f} ± {std:.4f}"


def findings_text(row: Row) -> str:
    """``none``, or how many of each level."""
    counts = [f"{row.count(level)} {level}" for level in (Level.FAIL, Level.WARN) if row.count(level)]
    return ", ".join(counts) or "none"


def finding_cells(key: str, findings: Iterable[Finding]) -> list[tuple[str, ...]]:
    """Rows of ``FINDING_COLUMNS``."""
    return [(key, str(f.level), f.code, f.message, f.where) for f in findings]


def board_values(board: Board, tracks: dict[str, list[Row]]) -> dict[str, Any]:
    """Everything that is shown, in full precision."""
    return {
        "tracks": {track: [_values(row) for row in rows] for track, rows in tracks.items()},
        "broken": [{"entry": b.key, "message": b.message, "hint": b.hint} for b in board.broken],
    }


def finding_values(findings: Iterable[Finding]) -> list[dict[str, str]]:
    """Findings as plain values."""
    return [{"code": f.code, "level": str(f.level), "message": f.message, "where": f.where} for f in findings]


def markdown(tracks: dict[str, list[Row]]) -> str:
    """One table for each track."""
    parts = [f"## {escape(track)}\n\n{markdown_table(COLUMNS, map(cells, rows))}" for track, rows in tracks.items()]
    return "\n".join(parts)


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[str]], right: Iterable[str] = RIGHT) -> str:
    """A Markdown table whose cells are text: neither Markdown nor HTML in them is live."""
    numbers = set(right)
    lines = [list(columns), ["---:" if column in numbers else "---" for column in columns]]
    lines += [[escape(cell) for cell in row] for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def escape(text: str) -> str:
    """Text for Markdown: one line, every character that could mean something escaped."""
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    shown = re.sub(r"([\\`*_{}\[\]()#+!|~$@:])", r"\\\1", shown)
    return shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _count(number: int | None) -> str:
    return "?" if number is None else f"{number:,}"


def _values(row: Row) -> dict[str, Any]:
    facts, records = row.entry.facts, list(row.entry.records.values())
    return {
        "rank": row.rank,
        "entry": row.entry.key,
        "name": facts.name,
        "author": facts.author,
        **row.entry.parts._asdict(),
        "mixers": sorted(records[0].components.mixers) if records else [],
        **to_table(row.figures),
        "headroom_bytes": row.headroom_bytes,
        "date": facts.date,
        "status": facts.status,
        "reason": facts.reason,
        "ruleset": facts.ruleset,
        "based_on": list(facts.based_on),
        "techniques": list(facts.techniques),
        "declared": to_table(facts.declared),
        "findings": finding_values(f for f in row.findings if f.level is not Level.PASS),
    }
