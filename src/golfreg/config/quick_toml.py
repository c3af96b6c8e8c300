"""TOML as golfreg writes it, read about ten times as fast as by ``tomllib``; of anything else, nothing is said.

Such a text is blocks of ``key = value`` lines under headers. It is held against a grammar that is a
small part of TOML's, and then read by the JSON decoder, since the two languages write these values
alike. Whatever is not in the grammar is left to ``tomllib``: escapes, dates, dotted keys, inline
tables, a table defined twice. So a text has the same tables by either way, and only ``tomllib``
refuses one.

The grammar also keeps what ``golfreg.config.strict`` asks of every value: numbers are finite and
within 64 bits, texts and keys printable, keys short, lines of a bounded length, nothing nested deeply.
"""

from __future__ import annotations

import re
from json import JSONDecoder
from typing import Any

from golfreg.config.strict import MAX_DOTS, MAX_LINE

KEY = r"[A-Za-z0-9_-]{1,200}+"
TEXT = r'[^"\\\x00-\x1f\x7f]*+'
"""What stands between quotes; see ``printable``."""
COUNT = r"(?:0|[1-9][0-9]{0,17}+)"
_VALUE = rf'(?:"{TEXT}"|true|false|-?{COUNT}(?![0-9])(?:\.[0-9]++)?(?:[eE][+-]?[0-9]{{1,2}}+)?)'
_LINES = rf"(?:{KEY} = (?:{_VALUE}|\[(?:{_VALUE}(?:, {_VALUE})*+)?\])\n)*+"
_FILE = re.compile(rf"{_LINES}(?:\[{KEY}(?:\.{KEY}){{0,5}}+\]\n{_LINES})*+")
_LONG_ARRAY = re.compile(rf"^({KEY} = \[)\n((?:    {_VALUE},\n)+)\]$", re.MULTILINE)
_BLANK = re.compile(r"\n\n+")

_decode = JSONDecoder().raw_decode


class Unusual(Exception):
    """Something is not as it should be, or too unusual to tell."""


def printable(text: str) -> bool:
    """Whether ``TEXT`` matches only what ``strict`` takes in a text of several lines."""
    return text.isascii() or text.replace("\n", "").isprintable()


def lines_are_short(text: str) -> bool:
    """As ``strict.parse_toml`` has it."""
    if len(text) <= MAX_LINE and text.count(".") <= MAX_DOTS:
        return True
    return all(len(line) <= MAX_LINE and line.count(".") <= MAX_DOTS for line in text.split("\n"))


def parse(text: str) -> dict[str, Any]:
    """The tables of a text. Unusual: it is not of the simple form."""
    if not (printable(text) and lines_are_short(text)):
        raise Unusual
    lines = f"{text.strip(chr(10))}\n"
    if "[\n" in lines:
        lines = _LONG_ARRAY.sub(_on_one_line, lines)
    if "\n\n" in lines:
        lines = _BLANK.sub("\n", lines)
    if not _FILE.fullmatch(lines):
        raise Unusual
    head, *blocks = f"\n{lines[:-1]}".split("\n[")
    paths, bodies = [], [head]
    for block in blocks:
        path, _, body = block.partition("]")
        paths.append(path.split("."))
        bodies.append(body)
    # Of `\nkey = value` lines this makes JSON, since both write these values alike. An equals sign
    # between spaces inside a text is taken for one after a key, and then the counts differ.
    table = "},{".join(bodies)
    count = table.count(" = ")
    if count != table.count("\n"):
        raise Unusual
    json = table.replace("{\n", '{"').replace("\n", ',"').replace(" = ", '":')
    tables, _ = _decode("[{" + (json if json[:1] != "," else json[1:]) + "}]")
    if sum(map(len, tables)) != count:
        raise Unusual
    return _nested(tables, paths)


def _nested(tables: list[dict[str, Any]], paths: list[list[str]]) -> dict[str, Any]:
    """The first table, with the others where their headers say. Unusual if something is there already."""
    root = tables[0]
    for path, table in zip(paths, tables[1:], strict=True):
        node, name = root, path[-1]
        for part in path[:-1]:
            node = node.setdefault(part, {})
            if type(node) is not dict:
                raise Unusual
        if name in node:
            raise Unusual
        node[name] = table
    return root


def _on_one_line(array: re.Match[str]) -> str:
    return array[1] + ", ".join(line[4:-1] for line in array[2].split("\n")[:-1]) + "]"
