"""Checkpoints: one safetensors file each, named by step and checksum, written whole or not at all.

    train/step_00000400-9f3a22c1.safetensors

The name is the last thing to appear and holds the CRC-32 of the bytes, so a file of that name is
complete, and damage to it is noticed before anything is read from it.
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from golfreg.api.errors import InputError
from golfreg.train.files import publish, read_tensors, write_temporary

_NAME = re.compile(r"step_(\d{8,})-([0-9a-f]{8})\.safetensors\Z")
_BLOCK_BYTES = 1 << 22
_NUMBERS = {"step", "tokens", "position", "elapsed_seconds", "finished", "final_loss"}


@dataclass(frozen=True)
class Checkpoint:
    """What was read. ``numbers``: step, tokens, position, elapsed_seconds, finished, final_loss."""

    path: Path
    tensors: dict[str, Tensor]
    numbers: dict[str, Any]


class Checkpoints:
    """The checkpoints of one run, in ``directory``; the last two are kept."""

    def __init__(self, directory: Path, spec_digest: str) -> None:
        self.directory, self.spec_digest = directory, spec_digest

    def paths(self) -> list[Path]:
        """The complete checkpoints, oldest first."""
        found = [(int(m[1]), p) for p in self.directory.iterdir() if (m := _NAME.match(p.name))]
        return [path for _, path in sorted(found)]

    def write(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> Path:
        """Write one. OSError if the disk refuses; then the older ones are as they were."""
        for stale in self.directory.glob(".step_*.tmp"):  # left by a kill
            stale.unlink(missing_ok=True)
        note = json.dumps({**numbers, "spec_digest": self.spec_digest}, sort_keys=True)
        name = f"step_{numbers['step']:08d}"
        temporary = write_temporary(self.directory / name, tensors, note)
        path = self.directory / f"{name}-{_checksum(temporary):08x}.safetensors"
        publish(temporary, path)
        others = [p for p in self.paths() if p != path]
        same_step = [p for p in others if p.name.startswith(f"{name}-")]
        for older in [*same_step, *[p for p in others if p not in same_step][:-1]]:
            older.unlink(missing_ok=True)
        return path

    def newest(self, say: Callable[[str], None]) -> Checkpoint | None:
        """The newest that is whole, or None. ``say`` is told of each damaged one.

        InputError for a checkpoint of other settings.
        """
        for path in reversed(self.paths()):
            try:
                match = _NAME.match(path.name)
                if match is None or _checksum(path) != int(match[2], 16):
                    raise InputError("its checksum is not the one in its name")
                tensors, note = read_tensors(path)
                numbers = json.loads(note)
                if not isinstance(numbers, dict) or not numbers.keys() >= _NUMBERS:
                    raise InputError("it does not say which step it is")
            except (InputError, OSError, ValueError) as error:
                say(f"checkpoint `{path.name}` is damaged and not used: {error}")
                path.replace(path.with_suffix(".damaged"))
                continue
            if numbers.get("spec_digest") != self.spec_digest:
                raise InputError(
                    f"checkpoint `{path}` was written with other settings",
                    hint="resume a run with the settings that it began with, or start a new one",
                )
            return Checkpoint(path, tensors, numbers)
        return None


def _checksum(path: Path) -> int:
    crc = 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            crc = zlib.crc32(block, crc)
    return crc
