"""Which entries are shown, and in which order: ``--where``, ``--frontier``, ``--sort``, ``--limit``."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any

from golfreg.api.errors import ConfigError, nearest
from golfreg.leaderboard.columns import COLUMNS, find_column
from golfreg.leaderboard.lines import Placed

Test = Callable[[Placed], bool]

_CONDITION = re.compile(r"\s*([A-Za-z_]+)\s*(>=|<=|!=|=|>|<)\s*(.*?)\s*", re.DOTALL)
_DATE = re.compile(r"\d{4}(-\d\d(-\d\d)?)?")
_LISTS: dict[str, Callable[[Placed], Sequence[str]]] = {
    "mixer": lambda p: p.line.mixers,
    "technique": lambda p: p.line.techniques,
    "based_on": lambda p: p.line.based_on,
    "finding": lambda p: [finding["code"] for finding in p.line.findings],
}
_NUMBERS = frozenset(name for name, column in COLUMNS.items() if column.number)
_TEXTS = frozenset(COLUMNS) - _NUMBERS - frozenset(_LISTS) - {"date", "frontier", "findings"}
KEYS = sorted({*_NUMBERS, *_TEXTS, *_LISTS, "date", "text"})
_HINT = "as in `architecture=mamba3`, `seeds>=3`, `bpb<=1.1`, `date>=2026-05`, `author!=me`, `text=ema muon`"
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    ">=": lambda a, b: a >= b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    "<": lambda a, b: a < b,
}


def parse_where(conditions: Iterable[str]) -> list[Test]:
    """One test for each ``KEY=VALUE``. ConfigError for what cannot be understood, with the nearest key."""
    return [_parse(condition) for condition in conditions]


def matching(rows: Iterable[Placed], tests: Sequence[Test]) -> list[Placed]:
    """Rows for which every test holds."""
    return [row for row in rows if all(test(row) for test in tests)]


def sorter(columns: str | None) -> Callable[[list[Placed]], list[Placed]]:
    """Sorts by ``COLUMN[,-COLUMN]``, ``-``: the largest first. What is not known is last. None: by rank."""
    if columns is None:
        return list
    wanted: list[tuple[Callable[[Placed], Any], bool]] = []
    for name in columns.split(","):
        column = find_column(name.strip().removeprefix("-"), "--sort")
        wanted.append((column.value, name.strip().startswith("-")))

    def by(rows: list[Placed]) -> list[Placed]:
        for value, reverse in reversed(wanted):
            known = [row for row in rows if value(row) is not None]
            known.sort(key=value, reverse=reverse)
            rows = known + [row for row in rows if value(row) is None]
        return rows

    return by


def _parse(condition: str) -> Test:
    from golfreg.config.strict import shown

    match = _CONDITION.fullmatch(condition)
    if match is None:
        raise ConfigError(f"`--where {shown(condition)}` is no condition", _HINT)
    key, sign, wanted = match[1].lower(), match[2], match[3]
    if key == "text" and sign == "=":
        return _holds_words(wanted)
    if key in _NUMBERS:
        return _number(key, sign, wanted, condition)
    if key == "date":
        return _date(sign, wanted, condition)
    if key not in KEYS:
        raise ConfigError(f"`--where`: there is no key `{shown(key)}`", nearest(key, KEYS, "keys"))
    if sign not in ("=", "!="):
        raise ConfigError(f"`--where {shown(condition)}`: `{key}` is text, which has `=` and `!=`", _HINT)
    return _text(key, wanted, sign == "=")


def _number(key: str, sign: str, wanted: str, condition: str) -> Test:
    from golfreg.config.strict import shown

    try:
        limit = float(wanted.replace(",", ""))
        if not math.isfinite(limit):
            raise ValueError
    except ValueError as error:
        raise ConfigError(f"`--where {shown(condition)}`: `{key}` is a number", _HINT) from error
    value, compare = COLUMNS[key].value, _COMPARE[sign]

    def test(row: Placed) -> bool:
        found = value(row)
        return found is not None and compare(found, limit)

    return test


def _date(sign: str, wanted: str, condition: str) -> Test:
    from golfreg.config.strict import shown

    if not _DATE.fullmatch(wanted):
        raise ConfigError(f"`--where {shown(condition)}`: a date is 2026, 2026-05 or 2026-05-01", _HINT)
    compare, length = _COMPARE[sign], len(wanted)
    return lambda row: compare(row.line.date[:length], wanted)


def _text(key: str, wanted: str, equal: bool) -> Test:
    """Case is ignored; ``*`` stands for anything. Of a list any one may match."""
    pattern = wanted.casefold().replace("[", "[[]")
    many = _LISTS.get(key)
    value = COLUMNS[key].value if many is None else None

    def test(row: Placed) -> bool:
        found = many(row) if many is not None else (str(value(row)),) if value is not None else ()
        return any(fnmatchcase(one.casefold(), pattern) for one in found) is equal

    return test


def _holds_words(wanted: str) -> Test:
    """All of these words stand somewhere in what is said of the entry."""
    words = wanted.casefold().split()

    def test(row: Placed) -> bool:
        line = row.line
        said = [
            *(line.name, line.title, line.author, line.status, line.reason, line.architecture, line.quantizer),
            *(line.codec, line.corpus, line.tokenizer, *line.mixers, *line.techniques, *line.based_on),
        ]
        text = "\n".join(said).casefold()
        return all(word in text for word in words)

    return test
