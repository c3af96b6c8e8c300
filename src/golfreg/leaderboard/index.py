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
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from golfreg.leaderboard.lines import Line

INDEX_FORMAT = 3
MAX_INDEX_BYTES = 1 << 30


class Kept(NamedTuple):
    """``names``: of the files, inside the entry, joined by newlines. ``state``: of these files, a digest.

    ``latest``: the last date in them.
    """

    names: str
    state: str
    latest: str
    line: Line


_encoder, _decoder = msgspec.json.Encoder(), msgspec.json.Decoder(Kept)


def to_bytes(kept: Iterable[Kept]) -> bytes:
    """As it is stored: one line each."""
    return _encoder.encode_lines(kept)


def of_bytes(lines: bytes) -> list[Kept]:
    """What ``to_bytes`` gave. msgspec.DecodeError for anything of another form."""
    return _decoder.decode_lines(lines)


def load(root: str) -> dict[str, Kept]:
    """The index of the leaderboard at ``root``, an absolute path, by entry. Empty if there is none to use."""
    try:
        path = index_path(root)
        if path.stat().st_size > MAX_INDEX_BYTES:
            return {}
        head, _, body = path.read_bytes().partition(b"\n")
        if json.loads(head) != _head(root, body):
            return {}
        return {kept.line.entry: kept for kept in of_bytes(body)}
    except (OSError, ValueError, RuntimeError, msgspec.DecodeError):
        return {}


def save(root: str, kept: Iterable[Kept]) -> bool:
    """Replace the index. False if the cache cannot be written, which harms nothing but the next start."""
    from golfreg.config.job import write_whole

    try:
        body = to_bytes(kept)
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
