"""The log of a run: ``events.jsonl``, one JSON object a line, in the order in which things happened.

Lines are ``start``, ``step`` (one for each training step), ``stage``, ``note``, ``stopped`` and
``record``. A resumed run goes on in the same file, with no step, stage or record twice, however it
ended before: what the file holds is what counts, and half a line at its end is cut off.
"""

from __future__ import annotations

import errno
import json
import os
import stat
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from golfreg.api.errors import ConfigError
from golfreg.api.observer import ObservedRun

EVENTS_FILE = "events.jsonl"


@dataclass(frozen=True)
class JsonlConfig:
    """What the log holds."""

    every_steps: int = 1
    """Log every step whose number is a multiple of this; 0: none."""

    def __post_init__(self) -> None:
        if self.every_steps < 0:
            raise ConfigError(f"observer `jsonl`: every_steps is {self.every_steps}", hint="it is at least 0")


class JsonlLog:
    """Appends lines to one file, each piece with a single write."""

    def __init__(self, path: Path, config: JsonlConfig) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.config = config
        self.told_step = 0
        self.stages: set[str] = set()
        self.recorded = False
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        try:
            if stat.S_ISREG(os.fstat(self._file).st_mode):
                self._read(path)
        except BaseException:
            self.close()
            raise

    def tell(self, event: dict[str, Any]) -> None:
        kind, every = event["event"], self.config.every_steps
        if kind == "metrics":
            fresh = [step for step in event["steps"] if step["step"] > self.told_step]
            kept = [step for step in fresh if every and step["step"] % every == 0]
            self.write(*({"event": "step", "time": event["time"], **step} for step in kept))
            self.told_step = max([self.told_step, *(step["step"] for step in fresh)])
        elif kind == "stage" and event["stage"] not in self.stages:
            self.write(event)
            self.stages.add(event["stage"])
        elif kind == "record" and not self.recorded:
            self.write(event)
            self.recorded = True
        elif kind in ("note", "stopped"):
            self.write(event)

    def write(self, *lines: dict[str, Any]) -> None:
        """Append whole lines. OSError if the disk refuses."""
        data = "".join(json.dumps(line, default=str) + "\n" for line in lines).encode()
        if os.write(self._file, data) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def close(self) -> None:
        os.close(self._file)

    def _read(self, path: Path) -> None:
        """Take in what the file holds already."""
        end = 0
        with path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    os.ftruncate(self._file, end)
                    break
                end += len(line)
                try:
                    self._take_in(json.loads(line))
                except (ValueError, KeyError, TypeError, RecursionError):
                    continue

    def _take_in(self, line: dict[str, Any]) -> None:
        if line["event"] == "step":
            self.told_step = max(self.told_step, int(line["step"]))
        elif line["event"] == "stage":
            self.stages.add(str(line["stage"]))
        elif line["event"] == "record":
            self.recorded = True


class Jsonl:
    """Writes ``observers/jsonl/events.jsonl`` in the run directory: steps, stages, notes, and how the run ended."""

    Config = JsonlConfig

    def open(self, run: ObservedRun, config: JsonlConfig) -> JsonlLog:
        log = JsonlLog(run.directory / EVENTS_FILE, config)
        facts = {key: value for key, value in vars(run).items() if key not in ("directory", "shared", "told_step")}
        try:
            log.write({"event": "start", "time": time.time(), **facts})
        except BaseException:
            log.close()
            raise
        return log


jsonl = Jsonl()
