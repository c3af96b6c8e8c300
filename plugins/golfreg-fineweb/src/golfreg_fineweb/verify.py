"""Checks of files that were fetched, before they are put in place."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from pathlib import Path

import sentencepiece

from golfreg.api import InputError

_MAGIC, _VERSION = 20240520, 1
_HEADER_BYTES = 1024
_CHUNK = 1 << 20


def digests(path: Path) -> tuple[str, str]:
    """SHA-256 of the content, and SHA-1 of the git blob that it would be."""
    sha256 = hashlib.sha256()
    git = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            sha256.update(chunk)
            git.update(chunk)
    return sha256.hexdigest(), git.hexdigest()


def check_shard(path: Path, what: str) -> int:
    """Number of tokens, by a header that agrees with the size. ``InputError`` otherwise."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
    if len(head) < 12 or size < _HEADER_BYTES:
        raise InputError(f"{what} is no token shard: it has {size:,} bytes")
    magic, version, count = struct.unpack("<3i", head)
    if (magic, version) != (_MAGIC, _VERSION):
        raise InputError(f"{what} is no token shard of version {_VERSION}: it starts with {magic} and {version}")
    if count < 0 or size != _HEADER_BYTES + 2 * count:
        raise InputError(f"{what} says {count:,} tokens and has {size:,} bytes")
    return int(count)


def check_validation(paths: Iterable[Path], tokens: int) -> None:
    """The shards hold as many tokens as the manifest says (0: it does not)."""
    found = sum(check_shard(path, f"`{path}`") for path in paths)
    if tokens and found != tokens:
        raise InputError(
            f"the validation shards hold {found:,} tokens; their manifest says {tokens:,}",
            "the export is not what its manifest describes: tell its owner",
        )


def check_model(path: Path, vocab_size: int, what: str) -> None:
    """A SentencePiece model of that many tokens."""
    try:
        found = int(sentencepiece.SentencePieceProcessor(model_proto=path.read_bytes()).vocab_size())
    except (RuntimeError, ValueError) as error:
        raise InputError(f"{what} is not a SentencePiece model") from error
    if found != vocab_size:
        raise InputError(f"{what} has {found:,} tokens; the manifest says {vocab_size:,}")
