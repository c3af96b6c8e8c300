"""Strict reading of TOML facts into frozen dataclasses: nothing is guessed, dropped or converted.

Files that others wrote are read with this: records, leaderboard entries, rulesets. Whatever is in
the file, the outcome is a value or an ``InputError`` that says where and what; the size is checked
before a byte is read, and text that could steer a terminal is refused.
"""

from __future__ import annotations

import math
import os
import re
import stat
import tomllib
import types
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

from golfreg.api.errors import InputError, nearest

MAX_LINE = 4_096
MAX_DOTS = 100
"""Dots of one line. The parser's time grows with the square of a dotted key's parts."""
MAX_DEPTH = 8
MAX_KEY = 200
INTEGER_LIMIT = 2**63
LARGEST = 1e18
"""No count, size, time or loss is larger. Its square, and sums of squares, are far from overflow."""

T = TypeVar("T")


def shown(value: object, limit: int = 80) -> str:
    """A value for a message: on one line, control characters escaped, cut at ``limit``."""
    text = value if isinstance(value, str) and value.isprintable() else ascii(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def read_text(path: Path | str, what: str, max_bytes: int, *, follow: bool = True) -> str:
    """A regular UTF-8 file of at most ``max_bytes``. InputError otherwise, or for a link unless ``follow``."""
    try:
        # Without waiting for whoever should write a pipe, and without the buffers that `open` makes.
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW))
        try:
            status = os.fstat(file)
            if not stat.S_ISREG(status.st_mode):
                raise InputError(f"{what} `{path}` is not a file", "check the path")
            data = _read(file, max_bytes + 1) if status.st_size <= max_bytes else b""
        finally:
            os.close(file)
    except OSError as error:
        raise InputError(f"{what} `{path}`: {error.strerror or error}", "check the path") from error
    except ValueError as error:
        raise InputError(f"{what} `{shown(str(path))}`: {error}", "check the path") from error
    if status.st_size > max_bytes or len(data) > max_bytes:
        raise InputError(f"{what} `{path}` has over {max_bytes:,} bytes", "is it the right file?")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{what} `{path}` is not UTF-8 at byte {error.start:,}", "save it as UTF-8") from error


def _read(file: int, most: int) -> bytes:
    """The file's first ``most`` bytes."""
    data = os.read(file, most)
    while 0 < len(data) < most and (more := os.read(file, most - len(data))):
        data += more
    return data


def parse_toml(text: str, where: str) -> dict[str, Any]:
    """The tables of a TOML text; InputError for one that is malformed or made to be slow to parse."""
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > MAX_LINE or line.count(".") > MAX_DOTS:
            raise InputError(
                f"{where}: line {number:,} is too long",
                f"a line has at most {MAX_LINE:,} characters and {MAX_DOTS} dots",
            )
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise InputError(f"{where} is nested too deeply", "is it the right file?") from error
    except ValueError as error:
        raise InputError(f"{where} is not TOML: {shown(str(error), 200)}", "see https://toml.io") from error


def take_schema(table: dict[str, Any], known: int, where: str) -> None:
    """Remove ``schema``; InputError if it is missing, no positive integer, or newer than ``known``."""
    schema = table.pop("schema", None)
    if isinstance(schema, bool) or not isinstance(schema, int) or schema < 1:
        raise InputError(f"{where} states no schema number", f"its first line is `schema = {known}`")
    if schema > known:
        raise InputError(
            f"{where} has schema {shown(schema)}; this golfreg reads up to {known}", "upgrade golfreg to read it"
        )


def build(cls: type[T], table: object, where: str) -> T:
    """Make the dataclass ``cls`` of a table, every key and type checked. ``where`` begins each message."""
    if not isinstance(table, Mapping):
        raise InputError(f"{where} is {_kind(table)}; it must be a table")
    hints = _hints(cls)  # type: ignore[arg-type]
    for key in table:
        if key not in hints:
            raise unknown_key(key, hints, where)
    values = {}
    for field in fields(cls):  # type: ignore[arg-type]
        if field.name in table:
            values[field.name] = _value(hints[field.name], table[field.name], _inside(where, field.name))
        elif field.default is MISSING and field.default_factory is MISSING:
            raise InputError(f"{where} has no `{field.name}`")
    try:
        return cls(**values)
    except InputError as error:
        raise InputError(f"{where}: {error.message}", error.hint) from error


def unknown_key(key: object, known: Iterable[str], where: str) -> InputError:
    """The error for a key that has no meaning, with the nearest one that has."""
    return InputError(f"{where} has the unknown key `{shown(key)}`", nearest(shown(key), known, "known keys"))


def text_matching(value: str, pattern: re.Pattern[str], name: str, says: str) -> None:
    """InputError unless the whole of ``value`` matches; for ``__post_init__`` of a dataclass of facts."""
    if not pattern.fullmatch(value):
        raise InputError(f"{name} is {shown(ascii(value))}; it must be {says}")


def not_negative(facts: Any) -> None:
    """InputError if a number field of the dataclass is negative or absurd; for its ``__post_init__``."""
    values = vars(facts)
    if _PLAIN.issuperset(map(type, values.values())):
        numbers = [value for value in values.values() if type(value) in _NUMBERS]
        if not numbers or (min(numbers) >= 0 and max(numbers) <= LARGEST):
            return
    for name, value in values.items():
        if isinstance(value, int | float):
            if value < 0:
                raise InputError(f"{name} is {shown(value)}; it cannot be negative")
            if value > LARGEST:
                raise InputError(f"{name} is {shown(value)}; it cannot be over {LARGEST:g}")


class NotNegative:
    """A dataclass of facts whose numbers are neither negative nor absurd."""

    def __post_init__(self) -> None:
        not_negative(self)


def _inside(where: str, key: object) -> str:
    """``record `r`:`` and ``score`` make ``record `r`: score``; that and ``nats`` make ``record `r`: score.nats``."""
    return f"{where}{' ' if where.endswith(':') else '.'}{shown(key)}"


@cache
def _hints(cls: Any) -> dict[str, Any]:
    return get_type_hints(cls)


def _value(kind: Any, value: Any, where: str) -> Any:
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _value(next(a for a in get_args(kind) if a is not type(None)), value, where)
    if is_dataclass(kind):
        assert isinstance(kind, type)
        return build(kind, value, where)
    if kind is Any:
        return _free(value, where, 0)
    if origin is dict:
        if not isinstance(value, Mapping):
            raise InputError(f"{where} is {_kind(value)}; it must be a table")
        inner = get_args(kind)[1]
        return {_key(k, where): _value(inner, v, _inside(where, k)) for k, v in value.items()}
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise InputError(f"{where} is {_kind(value)}; it must be a list")
        inner = get_args(kind)[0]
        return tuple(_value(inner, v, f"{where}[{i}]") for i, v in enumerate(value))
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(_scalar(value, where))
    if type(value) is not kind:
        raise InputError(f"{where} is {_kind(value)}; it must be {_KINDS[kind]}")
    return _scalar(value, where)


def _free(value: Any, where: str, depth: int) -> Any:
    """A setting of any type: scalars, lists and tables to a limited depth."""
    if depth > MAX_DEPTH:
        raise InputError(f"{where} is nested too deeply")
    if isinstance(value, Mapping):
        return {_key(k, where): _free(v, _inside(where, k), depth + 1) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_free(v, f"{where}[{i}]", depth + 1) for i, v in enumerate(value)]
    if type(value) not in _KINDS:
        raise InputError(f"{where} is {_kind(value)}; it must be text, a number, true, false, a list or a table")
    return _scalar(value, where)


def _key(key: Any, where: str) -> str:
    if not isinstance(key, str) or not key or len(key) > MAX_KEY or not key.isprintable():
        raise InputError(f"{where} has the key {shown(ascii(key))}", "a key is a short printable name")
    return key


def _scalar(value: Any, where: str) -> Any:
    if isinstance(value, str):
        if not value.isprintable():
            raise InputError(f"{where} holds a control character: {shown(ascii(value))}", "write plain text")
    elif isinstance(value, float):
        if not math.isfinite(value):
            raise InputError(f"{where} is {value}; it must be finite")
    elif isinstance(value, int) and not -INTEGER_LIMIT <= value < INTEGER_LIMIT:
        raise InputError(f"{where} does not fit in 64 bits")
    return value


_NUMBERS = frozenset((int, float, bool))
_PLAIN = _NUMBERS | {str, types.NoneType}
_KINDS: dict[type, str] = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


def _kind(value: object) -> str:
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list | tuple):
        return "a list"
    return _KINDS.get(type(value), f"a {type(value).__name__}")
