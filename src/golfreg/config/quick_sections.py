"""Whole files of facts as golfreg writes them, a section at a time: the quickest way, for what is read by the thousand.

The text of a record is cut at its top-level sections. A section of plain facts (scores, sizes,
times) is held against one regular expression made of its dataclass: what matches has every key in
order and every value of its type, printable, finite and within 64 bits. Other sections are read by
``quick_toml`` and ``quick_build``. Within ``remembering()`` a section whose text is that of one of
the files before is not read again, and shares its value; of ``settings`` the seed is set aside for that.

Of a text in any other form nothing is said.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, fields, is_dataclass
from functools import cache, partial
from operator import call
from typing import Any, NamedTuple, get_origin, get_type_hints

from golfreg.api.errors import InputError
from golfreg.config import strict
from golfreg.config.quick_build import reader, without_none
from golfreg.config.quick_toml import COUNT, KEY, TEXT, Unusual, lines_are_short, parse, printable

_NUMBER = r"(?:0|[1-9][0-9]{0,16}+)(?:\.[0-9]++(?:e-[0-9]++)?|e-[0-9]++)"
_PATTERNS: dict[Any, tuple[str, Callable[[str], Any]]] = {
    str: (f'"({TEXT})"', str),
    int: (f"({COUNT})", int),
    float: (f"({_NUMBER})", float),
    bool: ("(true|false)", "true".__eq__),
    tuple[str, ...]: (
        rf'\[((?:\n    "{TEXT}",)*+)\n?\]',
        lambda lines: tuple(line[5:-2] for line in lines.split("\n")[1:]),
    ),
    tuple[int, ...]: (
        rf"\[((?:\n    {COUNT},)*+)\n?\]",
        lambda lines: tuple(int(line[4:-1]) for line in lines.split("\n")[1:]),
    ),
}
"""Of a value of each type, and how to make it of the text in the group. No signs: those are rare."""
_BY_NAME = re.compile(rf"({KEY}) = ({COUNT})\n")
_SEED = re.compile(rf'\[settings\]\n(?:ruleset = "{TEXT}"\n)?seed = ({COUNT})\n')


class Facts(NamedTuple):
    """How a section that is a dataclass of plain facts is read. ``pattern``: one group for each field."""

    cls: Any
    pattern: re.Pattern[str]
    names: tuple[str, ...]
    makers: tuple[Callable[[str], Any], ...]
    defaults: tuple[Any, ...]
    left_out: dict[str, Any]
    """Further fields, which have their default."""
    checks_itself: bool


class Plan(NamedTuple):
    """How a file is read: ``head``, the facts before the first section, and then the sections by name."""

    head: Facts
    sections: tuple[tuple[str, Callable[[str], Any]], ...]
    marks: tuple[str, ...]
    """How each section begins."""


Read = Callable[[str], Any]
_HARMLESS = strict.NotNegative.__post_init__
_SOME_TEXTS = 64
_memory: dict[Read, dict[str, Any]] | None = None
"""The last texts of each section, and their values: what ran, and on what, is often the same."""


@contextmanager
def remembering() -> Iterator[None]:
    """While this lasts, a section equal to one before is not read again, and nobody may change what it holds."""
    global _memory
    outer = _memory
    _memory = {} if outer is None else outer
    try:
        yield
    finally:
        _memory = outer


def read(cls: Any, schema: int, text: str) -> Any:
    """The dataclass ``cls`` of the text of a file. Unusual: it is not of the form that golfreg writes, or not valid."""
    if not printable(text):
        raise Unusual
    plan = _plan(cls, schema)
    start, cuts = 0, []
    for mark in plan.marks:
        end = text.find(mark, start)
        if end < 0:
            raise Unusual
        cuts.append(text[start : end + 1])
        start = end + 2
    cuts.append(text[start:])
    values = _values(plan.head, cuts[0])
    for (name, make), section in zip(plan.sections, cuts[1:], strict=True):
        values[name] = make(section)
    return _make(plan.head, values)


def _values(facts: Facts, section: str) -> dict[str, Any]:
    match = facts.pattern.fullmatch(section)
    if match is None or not lines_are_short(section):
        raise Unusual
    groups = match.groups()
    values = dict(zip(facts.names, map(call, facts.makers, groups), strict=True)) if None not in groups else None
    return values or {
        name: default if group is None else make(group)
        for name, make, default, group in zip(facts.names, facts.makers, facts.defaults, groups, strict=True)
    }


def _make(facts: Facts, values: dict[str, Any]) -> Any:
    # What the class's own __init__ does, which sets the fields of a frozen class one by one.
    made = object.__new__(facts.cls)
    made.__dict__.update(values)
    made.__dict__.update(facts.left_out)
    if facts.checks_itself:
        try:
            made.__post_init__()
        except InputError as error:
            raise Unusual from error
    return made


@cache
def _plan(cls: Any, schema: int) -> Plan:
    hints = get_type_hints(cls)
    head = {name: kind for name, kind in hints.items() if without_none(kind) in _PATTERNS}
    inner = {name: kind for name, kind in hints.items() if is_dataclass(kind) or get_origin(kind) is dict}
    # What else has a default stands in few files, and those are not of this form.
    absent = [field.name for field in fields(cls) if field.name not in head and field.name not in inner]
    facts = _facts(cls, f"schema = {schema}\n", head, absent=absent)
    assert facts is not None, f"{cls.__name__} has a field that cannot be left out"
    return Plan(
        facts,
        tuple((name, _section_reader(name, kind)) for name, kind in inner.items()),
        tuple(f"\n\n[{name}" for name in inner),
    )


def _facts(cls: Any, begin: str, kinds: dict[str, Any], absent: Sequence[str] = ()) -> Facts | None:
    """``begin``: the line above the facts. None if a field can neither be read so nor be left out."""
    defaults = {field.name: field.default for field in fields(cls)}
    pattern, makers = re.escape(begin), []
    for name, kind in kinds.items():
        if kind == dict[str, int]:
            head = re.escape(f"{begin.strip()[:-1]}.{name}]")
            pattern += rf"\n{head}\n((?:{KEY} = {COUNT}\n)*+)"
            maker: Callable[[str], Any] = _counts
        elif without_none(kind) in _PATTERNS:
            value, maker = _PATTERNS[without_none(kind)]
            pattern += rf"(?:{name} = {value}\n)" + ("" if defaults[name] is MISSING else "?")
        else:
            return None
        makers.append(maker)
    if any(defaults[name] is MISSING for name in absent):
        return None
    return Facts(
        cls,
        re.compile(pattern),
        tuple(kinds),
        tuple(makers),
        tuple(defaults[name] for name in kinds),
        {name: defaults[name] for name in absent},
        # No number that a pattern matches is negative or absurd.
        getattr(cls, "__post_init__", _HARMLESS) is not _HARMLESS,
    )


def _section_reader(name: str, kind: Any) -> Callable[[str], Any]:
    facts = _facts(kind, f"[{name}]\n", get_type_hints(kind)) if is_dataclass(kind) else None
    if kind == dict[str, Any]:
        return partial(_without_seed, partial(_of_tables, name, reader(kind)))
    if facts is not None:
        return partial(_once, partial(_of_facts, facts))
    return partial(_once, partial(_of_tables, name, reader(kind)))


def _of_facts(facts: Facts, section: str) -> Any:
    return _make(facts, _values(facts, section))


def _of_tables(name: str, read: Callable[[Any], Any], section: str) -> Any:
    tables = parse(section)
    if list(tables) != [name]:
        raise Unusual
    return read(tables[name])


def _once(read: Read, section: str) -> Any:
    """What ``read`` makes of a section, from memory if one before was the same."""
    if _memory is None:
        return read(section)
    known = _memory.setdefault(read, {})
    if section in known:
        return known[section]
    if len(known) >= _SOME_TEXTS:
        known.clear()
    known[section] = found = read(section)
    return found


def _without_seed(read: Read, section: str) -> Any:
    """Settings: two seeds of an entry differ in nothing else."""
    seed = _SEED.match(section)
    if seed is None:
        return _once(read, section)
    start, end = seed.span(1)
    return {**_once(read, f"{section[:start]}0{section[end:]}"), "seed": int(seed[1])}


def _counts(lines: str) -> dict[str, int]:
    found = {name: int(count) for name, count in _BY_NAME.findall(lines)}
    if len(found) != lines.count("\n"):
        raise Unusual
    return found
