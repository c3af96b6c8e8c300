"""Text files that may be compressed with xz or gzip; that is told from their first bytes."""

from __future__ import annotations

import gzip
import hashlib
import lzma
import os
import zlib
from pathlib import Path
from typing import BinaryIO

from golfreg.api import InputError

DAMAGED = (EOFError, lzma.LZMAError, gzip.BadGzipFile, zlib.error)
"""What reading a damaged compressed file raises."""


def open_file(path: Path) -> BinaryIO:
    """The uncompressed bytes of a file."""
    with path.open("rb") as file:
        head = file.read(6)
    if head == b"\xfd7zXZ\x00":
        return lzma.open(path, "rb")  # type: ignore[return-value]
    if head[:2] == b"\x1f\x8b":
        return gzip.open(path, "rb")  # type: ignore[return-value]
    return path.open("rb")


def paths_in(text: str) -> list[Path]:
    """``PATH[,PATH...]``; a comma may be part of a file's name."""
    return [Path(p) for p in ([text] if os.path.exists(text) else text.split(","))]


def check_files(paths: list[Path], form: str) -> None:
    """Raise ``InputError`` for the first that is no file; ``form`` is the hint."""
    for path in paths:
        if not str(path).strip() or not os.path.isfile(path):
            raise InputError(f"there is no file `{path}`", hint=form)


def file_digest(path: Path) -> bytes:
    """SHA-256 of a file as it is on disk."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise InputError(f"cannot read `{path}`: {error.strerror}") from error
