"""Token files in the challenge's ``.bin`` format, read through a memory map.

A file is 256 little-endian int32 (magic 20240520, version 1, token count, zeros), then that many
little-endian uint16 tokens (openai/parameter-golf, ``data/download_hf_docs_and_tokenize.py``).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from golfreg.api.errors import InputError

MAGIC = 20240520
VERSION = 1
HEADER_INTS = 256
HEADER_BYTES = 4 * HEADER_INTS
TOKEN_BYTES = 2
MAX_VOCAB = 1 << 16

_CHUNK = 1 << 22


def shard_tokens(path: Path) -> int:
    """Number of tokens in a shard, from its checked header and its size. Reads 1 KiB."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(HEADER_BYTES)
    except OSError as error:
        raise InputError(f"cannot read the shard `{path}`: {error.strerror}") from error
    if len(head) < HEADER_BYTES:
        raise InputError(f"the shard `{path}` has {size:,} bytes, its header alone has {HEADER_BYTES:,}")
    magic, version, count = (int(x) for x in np.frombuffer(head, "<i4", 3))
    if magic != MAGIC:
        raise InputError(f"`{path}` is not a token shard: it starts with {magic}, not {MAGIC}")
    if version != VERSION:
        raise InputError(f"the shard `{path}` has version {version}; this golfreg reads version {VERSION}")
    expected = HEADER_BYTES + TOKEN_BYTES * count
    if count < 0 or size != expected:
        raise InputError(
            f"the shard `{path}` says {count:,} tokens, that is {expected:,} bytes, and has {size:,}",
            hint="it was cut short or changed; copy or write it again",
        )
    return count


def open_shard(path: Path) -> np.ndarray:
    """The tokens of a shard: a read-only uint16 array, mapped from the file."""
    count = shard_tokens(path)
    if count == 0:
        return np.zeros(0, np.uint16)
    return np.memmap(path, dtype="<u2", mode="r", offset=HEADER_BYTES, shape=(count,))


class TokenStream:
    """Shards one after another as a single sequence of ``len(stream)`` tokens."""

    def __init__(self, paths: Iterable[Path | str]) -> None:
        self.paths: Sequence[Path] = [Path(p) for p in paths]
        self._arrays = [open_shard(p) for p in self.paths]
        self._ends = np.cumsum([len(a) for a in self._arrays], dtype=np.int64).tolist()

    def __len__(self) -> int:
        return int(self._ends[-1]) if self._ends else 0

    def read(self, start: int, stop: int) -> np.ndarray:
        """Tokens ``start`` to ``stop`` (``0 <= start <= stop <= len``) as a new uint16 array."""
        if not 0 <= start <= stop <= len(self):
            raise IndexError(f"tokens {start} to {stop} of {len(self)}")
        out = np.empty(stop - start, np.uint16)
        at, filled = bisect_right(self._ends, start), 0
        while filled < len(out):
            first = start + filled - (self._ends[at - 1] if at else 0)
            part = self._arrays[at][first : first + len(out) - filled]
            out[filled : filled + len(part)] = part
            filled += len(part)
            at += 1
        return out

    def chunks(self) -> Iterator[np.ndarray]:
        """All tokens, a few megabytes at a time."""
        for start in range(0, len(self), _CHUNK):
            yield self.read(start, min(start + _CHUNK, len(self)))

    def check(self, vocab_size: int) -> None:
        """Every token is below ``vocab_size``, or ``InputError`` names the shard, position and token."""
        for path, array in zip(self.paths, self._arrays, strict=True):
            for start in range(0, len(array), _CHUNK):
                part = array[start : start + _CHUNK]
                if int(part.max()) >= vocab_size:
                    at = int(np.argmax(part >= vocab_size))
                    raise InputError(
                        f"token {start + at:,} of the shard `{path}` is {int(part[at])}, "
                        f"outside the vocabulary of {vocab_size:,}",
                        hint="the shard was made with another tokenizer",
                    )
