"""``golfreg.config.strict`` for leaderboards of thousands of files: the same values and the same errors, sooner.

What is as golfreg writes it is read the quick way; anything else is left to ``strict``, which
decides and has the message. Apart from it, since ``strict`` is part of what a submission counts.
"""

from __future__ import annotations

from typing import Any, TypeVar

from golfreg.config import quick_toml, strict
from golfreg.config.quick_build import Unusual, quickly

T = TypeVar("T")


def parse_toml(text: str, where: str) -> dict[str, Any]:
    """As ``strict.parse_toml``."""
    simple = quick_toml.parse(text)
    return strict.parse_toml(text, where) if simple is None else simple


def build(cls: type[T], table: object, where: str) -> T:
    """As ``strict.build``."""
    try:
        found: T = quickly(cls, table)
    except Unusual:
        return strict.build(cls, table, where)
    return found
