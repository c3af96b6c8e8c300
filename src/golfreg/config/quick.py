"""``golfreg.config.strict`` for leaderboards of thousands of files: the same values and the same errors, sooner.

rtoml parses, and msgspec holds every value against its type. Neither has the last word: what they
refuse, and the little that rtoml reads and ``tomllib`` does not, is left to ``strict``, which decides
and has the message. Apart from it, since ``strict`` is part of what a submission counts.

A record is read a top-level section at a time. What the last texts of a section gave is kept, since
much of a record stands in its neighbours too: nobody may change what a record holds.
"""

from __future__ import annotations

import re
import sys
import types
from collections.abc import Callable, Sequence
from dataclasses import MISSING, fields, is_dataclass
from functools import cache, lru_cache, partial
from typing import Annotated, Any, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec
import rtoml

from golfreg.api.errors import InputError
from golfreg.config import strict

T = TypeVar("T")

_WHOLE = Annotated[int, msgspec.Meta(ge=-strict.INTEGER_LIMIT, le=strict.INTEGER_LIMIT - 1)]
_FINITE = Annotated[float, msgspec.Meta(ge=-sys.float_info.max, le=sys.float_info.max)]
_NUMBER = _WHOLE | _FINITE
_NAME = Annotated[str, msgspec.Meta(min_length=1, max_length=strict.MAX_KEY)]
_SCALAR = str | bool | _WHOLE | _FINITE
_SETTING: Any = _SCALAR | list[_SCALAR]
for _ in range(5):
    _SETTING = _SCALAR | list[_SCALAR] | dict[_NAME, _SETTING]

_SEED = re.compile(r'\[settings\]\n(?:ruleset = "[^"\n]*"\n)?seed = (0|[1-9][0-9]{0,17})\n')
_SOME_TEXTS = 16
"""Of each section: more does not fit a processor's cache."""


class Unusual(Exception):
    """Something is not as it should be, or too unusual to tell."""


_REFUSED = (Unusual, rtoml.TomlParsingError, msgspec.ValidationError, InputError)


class Section(NamedTuple):
    """``mark``: how it begins. ``read``: its value of its text; rtoml's, msgspec's or InputError."""

    name: str
    mark: str
    required: bool
    read: Callable[[str], Any]


def read(cls: type[T], schema: int, text: str, where: str) -> T:
    """The dataclass ``cls`` of the text of a file that begins with its schema. InputError says ``where`` and what."""
    try:
        return read_simple(cls, schema, text)
    except Unusual:
        table = strict.parse_toml(text, where)
        strict.take_schema(table, schema, where)
        return strict.build(cls, table, f"{where}:")


def read_simple(cls: type[T], schema: int, text: str) -> T:
    """The same without ``strict``. Unusual: ask it."""
    found = read_many(cls, schema, [text])[0]
    if found is None:
        raise Unusual
    return found


def read_many(cls: type[T], schema: int, texts: Sequence[str]) -> list[T | None]:
    """The same of many texts, a section of all of them after the other. None: ask ``strict``."""
    sections = _sections(cls)  # type: ignore[arg-type]
    if not sections:
        return [_try(_whole, cls, schema, text) for text in texts]
    cuts = [_try(_cut, sections, schema, text) for text in texts]
    found: list[dict[str, Any] | None] = [None if pieces is None else {} for pieces in cuts]
    for number, section in enumerate(sections):
        for row, pieces in enumerate(cuts):
            values = found[row]
            if values is None or pieces[number] is None:
                continue
            try:
                values[section.name] = section.read(pieces[number])
            except _REFUSED:
                found[row] = None
    return [None if values is None else cls(**values) for values in found]


def _try(do: Callable[..., Any], *arguments: Any) -> Any:
    """None if it is refused."""
    try:
        return do(*arguments)
    except _REFUSED:
        return None


def _whole(cls: type[T], schema: int, text: str) -> T:
    table = _tables(text)
    said = table.pop("schema", None)
    if type(said) is not int or said != schema:
        raise Unusual
    msgspec.convert(table, _allowed(cls))  # type: ignore[arg-type]
    return msgspec.convert(table, cls)


def _tables(text: str) -> dict[str, Any]:
    """The tables of a text that ``tomllib`` reads as rtoml does, and whose lines and texts ``strict`` takes.

    rtoml has TOML 1.1, which differs in escapes, inline tables and times; the last are no facts.
    """
    if "\\" in text or "{" in text or '"""' in text or "'''" in text:
        raise Unusual
    if not (text.replace("\n", "").isprintable() and _lines_are_short(text)):
        raise Unusual
    return rtoml.loads(text)


def _lines_are_short(text: str) -> bool:
    """As ``strict.parse_toml`` has it."""
    if len(text) <= strict.MAX_LINE and text.count(".") <= strict.MAX_DOTS:
        return True
    return all(len(line) <= strict.MAX_LINE and line.count(".") <= strict.MAX_DOTS for line in text.split("\n"))


def _cut(sections: Sequence[Section], schema: int, text: str) -> list[str | None]:
    """The text of each section. Pieces that are TOML each by itself, with a key of their own, are TOML together."""
    starts: list[int] = []
    place = 0
    for section in sections:
        start = text.find(section.mark, place)
        if start >= 0:
            place = start
        elif section.required:
            raise Unusual
        starts.append(start)
    ends = [start for start in starts if start >= 0]
    if text[: ends[0] + 2] != f"schema = {schema}\n\n":
        raise Unusual
    after = iter([*ends[1:], len(text)])
    return [text[start + 2 : next(after) + 1] if start >= 0 else None for start in starts]


@cache
def _sections(cls: Any) -> tuple[Section, ...]:
    """Of a dataclass whose every field is a table. Of others none: they are read whole."""
    hints = {name: _without_none(kind) for name, kind in get_type_hints(cls).items()}
    if not all(is_dataclass(kind) or get_origin(kind) is dict for kind in hints.values()):
        return ()
    return tuple(
        Section(field.name, f"\n\n[{field.name}", field.default is MISSING, _reader(field.name, hints[field.name]))
        for field in fields(cls)
    )


def _reader(name: str, kind: Any) -> Callable[[str], Any]:
    allowed = msgspec.defstruct(name, [(name, _allowed(kind))], forbid_unknown_fields=True)

    @lru_cache(_SOME_TEXTS)
    def read(text: str) -> Any:
        table = _tables(text)
        msgspec.convert(table, allowed)
        return msgspec.convert(table[name], kind)

    return partial(_without_seed, read) if kind == dict[str, Any] else read


def _without_seed(read: Callable[[str], Any], text: str) -> Any:
    """Settings: two seeds of an entry differ in nothing else."""
    seed = _SEED.match(text)
    if seed is None:
        return read(text)
    start, end = seed.span(1)
    return {**read(f"{text[:start]}0{text[end:]}"), "seed": int(seed[1])}


@cache
def _allowed(kind: Any) -> Any:
    """msgspec's type for what ``strict`` takes as a value of the type ``kind``."""
    kind = _without_none(kind)
    if is_dataclass(kind):
        assert isinstance(kind, type)
        hints = get_type_hints(kind)
        optional = {f.name for f in fields(kind) if f.default is not MISSING or f.default_factory is not MISSING}
        members = [(name, _allowed(hint), *([None] if name in optional else [])) for name, hint in hints.items()]
        return msgspec.defstruct(kind.__name__, members, forbid_unknown_fields=True, kw_only=True)
    if get_origin(kind) is dict:
        return dict.__class_getitem__((_NAME, _allowed(get_args(kind)[1])))
    if get_origin(kind) is tuple:
        return tuple.__class_getitem__((_allowed(get_args(kind)[0]), ...))
    return {Any: _SETTING, int: _WHOLE, float: _NUMBER}.get(kind, kind)


def _without_none(kind: Any) -> Any:
    """The type of a field without ``| None``."""
    if get_origin(kind) in (Union, types.UnionType):
        return next(one for one in get_args(kind) if one is not types.NoneType)
    return kind
