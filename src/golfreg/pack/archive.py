"""The code section of an artifact: module sources as one compressed archive.

Decoded, it is one line of JSON, ``[[path, bytes], ...]`` in order of path, then the sources one
after another, UTF-8. Paths are ``package/module.py``: names of Python modules and nothing else.
"""

from __future__ import annotations

import json
import lzma
import re
from collections.abc import Mapping
from pathlib import Path

from golfreg.api.codec import read_exactly
from golfreg.api.errors import InputError

MAX_DECODED_BYTES = 1 << 25
MAX_FILES = 10_000
_MAX_PATH = 240
_MAX_INDEX_BYTES = 1 << 21
_PATH = re.compile(r"(?:[A-Za-z_]\w{0,99}/)*[A-Za-z_]\w{0,99}\.py", re.ASCII)


def compress_text(data: bytes) -> bytes:
    """Raw LZMA1 with the settings that the container's text parts have."""
    return lzma.compress(data, format=lzma.FORMAT_RAW, filters=[_filter(max(4096, len(data)), 9 | lzma.PRESET_EXTREME)])


def decompress_text(data: bytes, size: int, part: str) -> bytes:
    """Exactly ``size`` bytes, or InputError."""
    decompressor = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[_filter(max(4096, size))])
    try:
        return read_exactly(decompressor, data, size, (lzma.LZMAError, EOFError))
    except InputError as error:
        raise InputError(f"the artifact's {part}: {error.message}", error.hint) from None


def encode_archive(files: Mapping[str, str]) -> bytes:
    """The archive of path to source, uncompressed; the same files give the same bytes."""
    bodies = [(path, files[path].encode()) for path in sorted(files)]
    index = json.dumps([[path, len(body)] for path, body in bodies], separators=(",", ":"))
    return b"".join([index.encode(), b"\n", *(body for _, body in bodies)])


def decode_archive(data: bytes) -> dict[str, str]:
    """Path to source, every path and length checked."""
    line, newline, bodies = data.partition(b"\n")
    if len(line) > _MAX_INDEX_BYTES:
        raise _wrong(f"its index has {len(line):,} bytes")
    try:
        index = json.loads(line.decode())
    except (ValueError, RecursionError):
        raise _wrong("its index is not JSON") from None
    if not newline or not isinstance(index, list) or len(index) > MAX_FILES:
        raise _wrong("its index is not a list of files")
    files: dict[str, str] = {}
    offset = 0
    for row in index:
        if not isinstance(row, list) or len(row) != 2:
            raise _wrong("its index has a row that is not [path, bytes]")
        path, size = row
        if checked_path(path) in files:
            raise _wrong(f"`{path}` stands in it twice")
        if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= len(bodies) - offset:
            raise _wrong(f"`{path}` has the size {str(size)[:40]}")
        try:
            files[path] = bodies[offset : offset + size].decode()
        except UnicodeDecodeError:
            raise _wrong(f"`{path}` is not UTF-8") from None
        offset += size
    if offset != len(bodies):
        raise _wrong(f"{len(bodies) - offset:,} bytes belong to no file")
    return files


def extract_code(files: Mapping[str, str], directory: Path) -> list[Path]:
    """Write the sources under an empty or new ``directory``; nothing outside it, nothing over an existing file."""
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for path, source in files.items():
        target = directory / checked_path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("x", encoding="utf-8", newline="") as file:
            file.write(source)
        written.append(target)
    return written


def checked_path(path: object) -> str:
    """The path, if it is one of a Python module. InputError otherwise."""
    if not isinstance(path, str) or len(path) > _MAX_PATH or not _PATH.fullmatch(path):
        raise _wrong(f"{str(path)[:80]!r} is not the path of a module")
    return path


def _filter(dict_size: int, preset: int = 6) -> dict[str, int]:
    return {"id": lzma.FILTER_LZMA1, "preset": preset, "dict_size": dict_size, "lc": 3, "lp": 0, "pb": 0}


def _wrong(what: str) -> InputError:
    return InputError(f"the artifact's code archive is not valid: {what}")
