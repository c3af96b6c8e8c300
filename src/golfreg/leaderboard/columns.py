"""The columns of a leaderboard: what each is called, its value, and how a table shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from golfreg.api.errors import ConfigError, nearest
from golfreg.leaderboard.lines import Placed

Value = str | int | float | bool | None


class Column(NamedTuple):
    """``value``: in full precision, for sorting, filtering and CSV. ``text``: for tables."""

    name: str
    heading: str
    value: Callable[[Placed], Value]
    text: Callable[[Placed], str]
    number: bool = False


def _words(name: str, value: Callable[[Placed], str], heading: str = "") -> Column:
    return Column(name, heading or name, value, value)


def _count(name: str, value: Callable[[Placed], int | None]) -> Column:
    def text(placed: Placed) -> str:
        number = value(placed)
        return "?" if number is None else f"{number:,}"

    return Column(name, name, value, text, True)


def _measure(name: str, heading: str, value: Callable[[Placed], float | None], digits: int, none: str = "?") -> Column:
    def text(placed: Placed) -> str:
        number = value(placed)
        return none if number is None else f"{number:.{digits}f}"

    return Column(name, heading, value, text, True)


def score_text(mean: float, std: float | None) -> str:
    """``1.2345 ± 0.0011``; the deviation only where there is one."""
    return f"{mean:.4f}" if std is None else f"{mean:.4f} ± {std:.4f}"


def findings_text(fails: int, warns: int) -> str:
    """``none``, or how many of each level."""
    return ", ".join(f"{count} {level}" for count, level in ((fails, "FAIL"), (warns, "WARN")) if count) or "none"


_ALL = (
    Column("rank", "rank", lambda p: p.rank, lambda p: "-" if p.rank is None else str(p.rank), True),
    Column("frontier", "frontier", lambda p: p.frontier, lambda p: "*" if p.frontier else ""),
    _words("name", lambda p: p.line.name),
    _words("entry", lambda p: p.line.entry),
    _words("title", lambda p: p.line.title),
    _words("author", lambda p: p.line.author),
    _words("architecture", lambda p: p.line.architecture),
    _words("mixer", lambda p: ", ".join(p.line.mixers)),
    _words("quantizer", lambda p: p.line.quantizer),
    _words("codec", lambda p: p.line.codec),
    _words("corpus", lambda p: p.line.corpus),
    _words("tokenizer", lambda p: p.line.tokenizer),
    Column(
        "bpb",
        "bits per byte",
        lambda p: p.line.bits_per_byte_mean,
        lambda p: score_text(p.line.bits_per_byte_mean, p.line.bits_per_byte_std),
        True,
    ),
    _measure("std", "std", lambda p: p.line.bits_per_byte_std, 6, "-"),
    _measure("gap", "gap", lambda p: p.gap, 4, "-"),
    _measure("nats", "nats per token", lambda p: p.line.nats_per_token_mean, 4),
    _count("bytes", lambda p: p.line.bytes_max),
    _count("headroom", lambda p: p.line.headroom_bytes),
    _measure("train", "train s", lambda p: p.line.train_seconds_max, 1),
    _measure("score", "score s", lambda p: p.line.score_seconds_max, 1),
    _measure("documents", "± documents", lambda p: p.line.standard_error_max, 4),
    Column("seeds", "seeds", lambda p: len(p.line.seeds), lambda p: str(len(p.line.seeds)), True),
    _words("date", lambda p: p.line.date),
    _words("status", lambda p: p.line.status),
    _words("reason", lambda p: p.line.reason),
    _words("ruleset", lambda p: p.line.ruleset),
    _words("technique", lambda p: ", ".join(p.line.techniques)),
    _words("based_on", lambda p: ", ".join(p.line.based_on)),
    _words("source", lambda p: p.line.source),
    Column(
        "findings",
        "findings",
        lambda p: findings_text(p.line.fails, p.line.warns),
        lambda p: findings_text(p.line.fails, p.line.warns),
    ),
)
COLUMNS = {column.name: column for column in _ALL}
DEFAULT = (
    "rank", "name", "architecture", "quantizer", "codec", "bpb", "gap", "bytes", "headroom", "seeds", "date",
    "status", "frontier", "findings",
)  # fmt: skip
LEAST_NEEDED = (
    "date", "headroom", "codec", "quantizer", "status", "frontier", "gap", "seeds", "findings", "architecture",
    "bytes",
)  # fmt: skip
"""Columns that a narrow terminal leaves out, the first of them first."""


def find_column(name: str, option: str) -> Column:
    """The column of that name or heading. ConfigError with the nearest name."""
    name = name.strip()
    headings = {column.heading: column for column in _ALL}
    found = COLUMNS.get(name.lower()) or headings.get(name.lower())
    if found is None:
        from golfreg.config.strict import shown

        raise ConfigError(f"`{option}`: there is no column `{shown(name)}`", nearest(name, COLUMNS, "columns"))
    return found


def find_columns(names: str | None) -> list[Column]:
    """The columns of ``--columns a,b,c``, or those that are shown unless others are asked for."""
    wanted = DEFAULT if names is None else names.split(",")
    columns = [find_column(name, "--columns") for name in wanted]
    for number, column in enumerate(columns):
        if column in columns[:number]:
            raise ConfigError(f"`--columns` names `{column.name}` twice", "each column once")
    return columns


def texts(columns: Iterable[Column], rows: Sequence[Placed]) -> list[list[str]]:
    """The cells of each column."""
    return [list(map(column.text, rows)) for column in columns]
