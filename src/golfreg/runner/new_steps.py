"""Follows ``metrics.jsonl`` while training writes it. Training knows nothing of its readers."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_BLOCK_BYTES = 1 << 18


class NewSteps:
    """The steps after ``step``, each once, in order.

    A resumed run writes the file anew up to its checkpoint and makes the steps after that again: a
    file of another identity is read from its start, and steps that were given before are passed over.
    """

    def __init__(self, path: Path, step: int = 0) -> None:
        self.path, self.step = path, step
        self._at, self._file = 0, -1

    def read(self) -> Iterator[list[dict[str, Any]]]:
        """The whole lines that were written since the last call, some at a time. OSError if they cannot be read."""
        try:
            file = self.path.open("rb")
        except FileNotFoundError:
            return
        with file:
            status = os.fstat(file.fileno())
            if status.st_ino != self._file or status.st_size < self._at:
                self._at, self._file = 0, status.st_ino
            file.seek(self._at)
            rest = b""
            while block := file.read(_BLOCK_BYTES):
                *lines, rest = (rest + block).split(b"\n")
                self._at += sum(len(line) + 1 for line in lines)
                if steps := [step for line in lines if (step := self._new(line)) is not None]:
                    yield steps

    def _new(self, line: bytes) -> dict[str, Any] | None:
        try:
            values = json.loads(line)
        except (ValueError, RecursionError):
            return None
        if not isinstance(values, dict) or type(values.get("step")) is not int or values["step"] <= self.step:
            return None
        self.step = values["step"]
        return values
