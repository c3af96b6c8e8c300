"""Parts of tables: findings as cells and as plain values, Markdown whose text stays text."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from golfreg.api.links import docs_link
from golfreg.leaderboard.columns import score_text as score_text

if TYPE_CHECKING:
    from golfreg.rules.findings import Finding

RIGHT = ("rank", "bits per byte", "gap", "bytes", "headroom", "seeds")
FINDING_COLUMNS = ("entry", "level", "code", "finding", "where")


def finding_cells(key: str, findings: Iterable[Finding]) -> list[tuple[str, ...]]:
    """Rows of ``FINDING_COLUMNS``."""
    return [(key, str(f.level), f.code, f.message, f.where) for f in findings]


def finding_values(findings: Iterable[Finding]) -> list[dict[str, str]]:
    """Findings as plain values. ``docs``: where the documentation has the code."""
    return [
        {
            "code": f.code,
            "level": str(f.level),
            "message": f.message,
            "where": f.where,
            "docs": docs_link(f"rules#{f.code.lower()}"),
        }
        for f in findings
    ]


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[str]], right: Iterable[str] = RIGHT) -> str:
    """A Markdown table whose cells are text: neither Markdown nor HTML in them is live."""
    numbers = set(right)
    lines = [list(columns), ["---:" if column in numbers else "---" for column in columns]]
    lines += [[escape(cell) for cell in row] for row in rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def escape(text: str) -> str:
    """Text for Markdown: one line, every character that could mean something escaped.

    GitHub makes mentions and bare addresses live even where they are escaped: a word joiner parts them.
    """
    shown = text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
    shown = re.sub(r"([\\`*_{}\[\]()#+!|~$@:])", r"\\\1", shown)
    shown = re.sub(r"(?i)(@|www|\bhttps?|\bftp)", "\\1\u2060", shown)
    return shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
