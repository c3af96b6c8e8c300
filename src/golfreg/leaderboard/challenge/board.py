"""The challenge's own leaderboard: the tables of its README. A row there was merged by its maintainers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from golfreg.config.strict import read_text

MAX_README_BYTES = 4 << 20
_HEAD = re.compile(r"\|\s*Run\s*\|\s*Score\s*\|\s*Author\s*\|", re.IGNORECASE)
_SCORE = re.compile(r"\d\.\d{1,10}")
_PULL = re.compile(r"/pull/(\d{1,6})\b")
_FOLDER = re.compile(r"\]\((?:[^)\s]*/)?records/[^/)\s]+/([^/)]+)")


@dataclass(frozen=True)
class TableRow:
    """One row. ``pulls``, ``folders``: what its links lead to. ``record``: it stands in the table of records."""

    score: float
    record: bool
    pulls: tuple[int, ...]
    folders: tuple[str, ...]


def read_table(path: Path) -> list[TableRow]:
    """Every row with a score of every table that begins `Run | Score | Author`. InputError: no such file."""
    rows: list[TableRow] = []
    inside, heading = False, ""
    for line in read_text(path, "README", MAX_README_BYTES).splitlines():
        if _HEAD.match(line):
            inside = True
        elif not line.startswith("|"):
            inside = False
            heading = line.lower() if line.startswith("#") else heading
        elif inside:
            cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
            if len(cells) >= 6 and _SCORE.fullmatch(cells[1]):
                links = cells[-1]
                pulls = tuple(int(number) for number in _PULL.findall(links))
                record = "non-record" not in heading and "unlimited" not in heading
                rows.append(TableRow(float(cells[1]), record, pulls, tuple(map(unquote, _FOLDER.findall(links)))))
    return rows


def row_of(rows: list[TableRow], folder: str, pull_request: int | None) -> TableRow | None:
    """The row of a folder, by its link or, first of all, its pull request's."""
    for row in rows:
        if folder in row.folders or (pull_request is not None and row.pulls[:1] == (pull_request,)):
            return row
    return None
