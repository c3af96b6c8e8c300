"""Writes token shards: streamed, a new file when one is full, each synced before the next."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from io import BufferedRandom
from pathlib import Path

import numpy as np

from golfreg.data.shards import HEADER_BYTES, HEADER_INTS, MAGIC, VERSION

SHARD_TOKENS = 100_000_000


class ShardWriter:
    """Appends tokens to ``DIRECTORY/PREFIX_000000.bin``, ``..._000001.bin``, ...

    Call ``close`` when done: a shard that was not closed has a header of zeros and is rejected.
    ``tokens``: written so far. ``digests``: SHA-256 of each closed file, by name.
    """

    def __init__(self, directory: Path, prefix: str, shard_tokens: int = SHARD_TOKENS) -> None:
        self.directory = directory
        self.prefix = prefix
        self.shard_tokens = shard_tokens
        self.tokens = 0
        self.paths: list[Path] = []
        self.digests: dict[str, str] = {}
        self._file: BufferedRandom | None = None
        self._filled = 0

    def append(self, tokens: np.ndarray) -> None:
        """Write a one-dimensional array of tokens, each below 65,536."""
        data = np.ascontiguousarray(tokens, dtype="<u2")
        while len(data):
            if self._file is None:
                self._open()
            assert self._file is not None
            part = data[: self.shard_tokens - self._filled]
            self._file.write(part.data)
            self._filled += len(part)
            self.tokens += len(part)
            data = data[len(part) :]
            if self._filled == self.shard_tokens:
                self._finish()

    def close(self) -> None:
        if self._file is not None:
            self._finish()

    def abandon(self) -> None:
        """Close the open file as it is, after a failure."""
        if self._file is not None:
            file, self._file = self._file, None
            with suppress(OSError):  # What failed to be written is not wanted any more.
                file.close()

    def _open(self) -> None:
        path = self.directory / f"{self.prefix}_{len(self.paths):06d}.bin"
        self._file = path.open("w+b")
        self._file.write(bytes(HEADER_BYTES))
        self._filled = 0
        self.paths.append(path)

    def _finish(self) -> None:
        file = self._file
        assert file is not None
        header = np.zeros(HEADER_INTS, "<i4")
        header[:3] = MAGIC, VERSION, self._filled
        file.flush()
        os.fsync(file.fileno())
        file.seek(0)
        file.write(header.tobytes())
        file.flush()
        os.fsync(file.fileno())
        file.seek(0)
        self.digests[self.paths[-1].name] = hashlib.file_digest(file, "sha256").hexdigest()
        self._file = None
        file.close()
