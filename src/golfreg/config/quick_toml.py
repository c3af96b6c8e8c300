"""TOML as golfreg writes it, read about ten times as fast as by ``tomllib``; of anything else, nothing is said.

Records are blocks of ``key = value`` lines under a header. Such a block is held against a grammar
that is a small part of TOML's, and then read by the JSON decoder, since the two languages write
these values alike. Whatever is not in the grammar is left to ``tomllib``: escapes, dates, dotted
keys, inline tables, a table defined twice. So a text has the same tables by either way, and only
``tomllib`` refuses one.

The seeds of an entry share most of their blocks. Within ``remembering()`` equal blocks are read
once and give the same ``Shared`` table, which nobody may change.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from json import JSONDecoder
from typing import Any

_KEY = r"[A-Za-z0-9_-]++"
_VALUE = (
    r'(?:"[^"\\\x00-\x1f\x7f]*+"|true|false|'
    r"-?(?:0|[1-9][0-9]{0,17}+)(?![0-9])(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?)"
)
_LINES = re.compile(rf"(?:{_KEY} = (?:{_VALUE}|\[(?:{_VALUE}(?:, {_VALUE})*+)?\])(?:\n|\Z))*+")
_LONG_ARRAY = re.compile(rf"^({_KEY} = \[)\n((?:    {_VALUE},\n)+)\]$", re.MULTILINE)
_HEADER = re.compile(rf"{_KEY}(?:\.{_KEY}){{0,9}}\]")
_BLANK = re.compile(r"\n\n+")
_MOST_CHARACTERS = 4_096
_MOST_DOTS = 100
"""Of a block: what ``strict`` allows one line, so that it need not look at the lines."""
_REMEMBERED = 400
"""Blocks, at least, that are remembered from their last use on: of a dozen entries. More would not fit a cache."""

_decode = JSONDecoder().raw_decode


class Shared(dict[str, Any]):
    """A table that several texts have in common. ``built``: what was made of it, by type."""

    __slots__ = ("built",)

    def __init__(self, table: dict[str, Any]) -> None:
        super().__init__(table)
        self.built: dict[Any, Any] = {}


Block = tuple[tuple[str, ...], dict[str, Any]]


class _Memory:
    """Blocks by their text: those used since the last change of ``recent``, and those used before."""

    def __init__(self) -> None:
        self.recent: dict[str, Block] = {}
        self.before: dict[str, Block] = {}

    def keep(self, text: str, block: Block) -> Block:
        if len(self.recent) >= _REMEMBERED:
            self.recent, self.before = {}, self.recent
        self.recent[text] = block
        return block


_memory: _Memory | None = None


@contextmanager
def remembering() -> Iterator[None]:
    """While this lasts, equal blocks are read once."""
    global _memory
    outer = _memory
    _memory = outer or _Memory()
    try:
        yield
    finally:
        _memory = outer


def parse(text: str) -> dict[str, Any] | None:
    """The tables of a text, or None if it is not of the simple form."""
    root: dict[str, Any] | None = None
    memory = _memory
    for block in f"\n{text}".split("\n["):
        if root is None:
            root = _table(block)
            if root is None:
                return None
            continue
        found = None if memory is None else memory.recent.get(block)
        if found is None:
            found = _read(block, memory)
            if found is None:
                return None
        path, table = found
        if len(path) == 1 and path[0] not in root:
            root[path[0]] = table
        elif not _place(root, path, table):
            return None
    return root


def _place(root: dict[str, Any], path: tuple[str, ...], table: dict[str, Any]) -> bool:
    """Put a table where its header says; False if something is there."""
    node = root
    *above, name = path
    for part in above:
        below = node.get(part)
        if below is None:
            below = node[part] = {}
        elif type(below) is Shared:
            below = node[part] = dict(below)
        elif type(below) is not dict:
            return False
        node = below
    if name in node:
        return False
    node[name] = table
    return True


def _read(block: str, memory: _Memory | None) -> Block | None:
    """Header and lines of one block."""
    if memory is not None and (known := memory.before.get(block)) is not None:
        return memory.keep(block, known)
    header, _, body = block.partition("\n")
    path = _path(header)
    table = None if path is None else _table(body)
    if path is None or table is None:
        return None
    return (path, table) if memory is None else memory.keep(block, (path, Shared(table)))


@lru_cache(1_000)
def _path(header: str) -> tuple[str, ...] | None:
    return tuple(header[:-1].split(".")) if _HEADER.fullmatch(header) else None


def _on_one_line(array: re.Match[str]) -> str:
    return array[1] + ", ".join(line[4:-1] for line in array[2].split("\n")[:-1]) + "]"


def _table(lines: str) -> dict[str, Any] | None:
    """The values of ``key = value`` lines."""
    lines = lines.strip("\n")
    if not lines:
        return {}
    if len(lines) > _MOST_CHARACTERS or lines.count(".") > _MOST_DOTS:
        return None
    if "[\n" in lines:
        lines = _LONG_ARRAY.sub(_on_one_line, lines)
    if "\n\n" in lines:
        lines = _BLANK.sub("\n", lines)
    count = lines.count("\n") + 1
    # An equals sign between spaces inside a text would be taken for the one after a key.
    if lines.count(" = ") != count or not _LINES.fullmatch(lines):
        return None
    # Of a text whose every line is ` key = value ` this makes JSON, since both write these values alike.
    table: dict[str, Any]
    table, _ = _decode('{"' + lines.replace("\n", ',"').replace(" = ", '":') + "}")
    return table if len(table) == count else None
