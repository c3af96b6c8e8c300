"""The index of a leaderboard: the lines of its entries beside the state of the files that they were read from.

One file for each leaderboard in golfreg's cache, never beside the entries. It saves reading, and
decides nothing: a line counts only while every file is in the state that it was in when it was
read. An index that is damaged, made by another golfreg, or not of the form below is as good as
none, and so is one that cannot be written.

First line: a JSON object with a digest of the rest. Then one JSON list for each entry.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable
from functools import cache
from hashlib import blake2b
from math import isfinite
from pathlib import Path
from types import NoneType
from typing import Any, NamedTuple

from golfreg.leaderboard.lines import Line

INDEX_FORMAT = 1
MAX_INDEX_BYTES = 1 << 30

_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode


class Kept(NamedTuple):
    """``names``: of the files, inside the entry, joined by newlines. ``state``: of these files, a digest.

    ``latest``: the last date in them. ``text``: the whole as it is stored.
    """

    names: str
    state: str
    latest: str
    line: Line
    text: str


def to_text(names: str, state: str, latest: str, line: Line) -> str:
    """One line of the file."""
    return _encode([names, state, latest, *line])


def of_texts(texts: list[str]) -> list[Kept]:
    """What ``to_text`` wrote. ValueError for anything else."""
    values = json.loads(f"[{','.join(texts)}]", parse_constant=_no_constant)
    if len(values) != len(texts):
        raise ValueError("a line holds more than one list")
    return [_kept(value, text) for value, text in zip(values, texts, strict=True)]


def load(root: str) -> dict[str, Kept]:
    """The index of the leaderboard at ``root``, an absolute path, by entry. Empty if there is none to use."""
    try:
        path = index_path(root)
        if path.stat().st_size > MAX_INDEX_BYTES:
            return {}
        head, _, body = path.read_bytes().partition(b"\n")
        if json.loads(head) != _head(root, body):
            return {}
        return {kept.line.entry: kept for kept in of_texts(body.decode().split("\n")[:-1])}
    except (OSError, ValueError, ArithmeticError, RuntimeError):
        return {}


def save(root: str, kept: Iterable[Kept]) -> bool:
    """Replace the index. False if the cache cannot be written, which harms nothing but the next start."""
    from golfreg.config.job import write_whole

    try:
        body = "".join(f"{one.text}\n" for one in kept).encode()
        path = index_path(root)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(_head(root, body)).encode() + b"\n" + body)
    except (OSError, ValueError, RuntimeError):
        return False
    return True


def index_path(root: str) -> Path:
    """Where the index of the leaderboard at ``root`` is kept."""
    from golfreg.data.cache import cache_root

    name = blake2b(os.fsencode(os.path.realpath(root)), digest_size=16).hexdigest()
    return cache_root() / "leaderboard" / f"{name}.index"


def _head(root: str, body: bytes) -> dict[str, Any]:
    return {
        "index": INDEX_FORMAT,
        "made_by": made_by(),
        "device": os.stat(root).st_dev,
        "digest": blake2b(body, digest_size=16).hexdigest(),
    }


def made_by() -> str:
    """A digest that changes with what lines depend on beside the entries: golfreg's version, code and rulesets."""
    package = Path(__file__).parents[1]
    seen: list[object] = [sys.version, list(Line._fields)]
    for part in ("api", "config", "leaderboard", "rules", "rules/rulesets"):
        with os.scandir(package / part) as files:
            for file in sorted(files, key=lambda file: file.name):
                if file.name.endswith((".py", ".toml")):
                    status = file.stat()
                    seen.append([part, file.name, status.st_size, status.st_mtime_ns, status.st_ctime_ns])
    # The version stands in the name of this directory; importlib.metadata is slow to import.
    places = {place for place in sys.path if os.path.isdir(place)}
    seen += sorted({name for place in places for name in os.listdir(place) if name.startswith("golfreg-")})
    return blake2b(json.dumps(seen).encode(), digest_size=16).hexdigest()


def _kept(value: Any, text: str) -> Kept:
    """ValueError unless every type is right."""
    if type(value) is not list or not _shape_is_right(tuple(map(type, value))):
        raise ValueError("a line of the index has another form")
    names, state, latest, *rest = value
    line = Line._make(rest)
    texts = line.mixers + line.based_on + line.techniques
    for finding in line.findings:
        if type(finding) is not dict or tuple(finding) != _FINDING:
            raise ValueError("a finding in the index has another form")
        texts += finding.values()
    figures: list[Any] = [line.bits_per_byte_mean, *line[_FIRST_FIGURE:_LAST_FIGURE], *line.seeds]
    for said in line.declared.values():
        figures += said if type(said) is list else (said,)
    if not (_TEXT.issuperset(map(type, texts)) and _FIGURE.issuperset(map(type, figures))):
        raise ValueError("a list in the index has another form")
    if not isfinite(sum(figure for figure in figures if figure)):
        raise ValueError("a figure in the index is not finite")
    return Kept(names, state, latest, line, text)


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no figure")


@cache
def _shape_is_right(types: tuple[type, ...]) -> bool:
    return len(types) == len(_TYPES) and all(one in allowed for one, allowed in zip(types, _TYPES, strict=True))


_OF_FIELD: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (float,),
    "int | None": (int, NoneType),
    "float | None": (float, NoneType),
    "dict[str, Any]": (dict,),
}
_TYPES = (
    *((str,), (str,), (str,)),
    *(_OF_FIELD.get(getattr(kind, "__forward_arg__", str(kind)), (list,)) for kind in Line.__annotations__.values()),
)
_FIRST_FIGURE, _LAST_FIGURE = Line._fields.index("bits_per_byte_std"), Line._fields.index("fails")
_TEXT, _FIGURE = frozenset((str,)), frozenset((int, float, NoneType))
_FINDING = ("code", "level", "message", "where")
