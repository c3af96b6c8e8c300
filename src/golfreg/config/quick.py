"""``golfreg.config.strict`` for leaderboards of thousands of files: the same values and the same errors, sooner.

What is as golfreg writes it is read the quick way; anything else is left to ``strict``, which
decides and has the message. Apart from it, since ``strict`` is part of what a submission counts.
"""

from __future__ import annotations

from typing import TypeVar

from golfreg.config import quick_sections, strict
from golfreg.config.quick_build import quickly
from golfreg.config.quick_toml import Unusual, parse

T = TypeVar("T")


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
    found: T
    try:
        found = quick_sections.read(cls, schema, text)
    except Unusual:
        table = parse(text)
        said = table.pop("schema", None)
        if type(said) is not int or said != schema:
            raise
        found = quickly(cls, table)
    return found
