"""``metrics.jsonl``: one line a step. And the values of a step, read without waiting for a GPU."""

from __future__ import annotations

import errno
import json
from collections import deque
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from golfreg.config.job import write_whole


class Metrics:
    """Appends lines. Lines of steps after ``last_step`` are dropped first: the resumed run makes them again."""

    def __init__(self, path: Path, last_step: int) -> None:
        if path.exists():
            write_whole(path, "".join(_lines_to(path, last_step)).encode())
        self._file = path.open("ab", buffering=0)
        self._lines: list[str] = []

    def add(self, **values: Any) -> None:
        self._lines.append(json.dumps(values) + "\n")

    def flush(self) -> None:
        """Write what was added. OSError if the disk refuses; the lines are then dropped."""
        lines, self._lines = self._lines, []
        data = "".join(lines).encode()
        if self._file.write(data) != len(data):
            raise OSError(errno.ENOSPC, "no space left on the disk")

    def close(self) -> None:
        self._file.close()


def _lines_to(path: Path, last_step: int) -> list[str]:
    kept = []
    for line in path.read_text("utf-8", errors="replace").splitlines(keepends=True):
        try:
            if line.endswith("\n") and json.loads(line)["step"] <= last_step:
                kept.append(line)
        except (ValueError, KeyError, TypeError):
            continue
    return kept


class Readings:
    """Loss and gradient norm of each step, in order. ``lag`` steps may still be running on the GPU.

    On a GPU the values travel to pinned memory behind the step's work; the host waits only for
    steps older than the lag, so the GPU always has the next step queued.
    """

    def __init__(self, device: str) -> None:
        self.lag = 1 if device == "cuda" else 0
        self._waiting: deque[tuple[dict[str, Any], Tensor, Any]] = deque()

    def push(self, known: dict[str, Any], loss: Tensor, norm: Tensor) -> None:
        """Add a step's values; ``known`` is what the host knows already."""
        values = torch.stack([loss.float(), norm.float()])
        event = None
        if values.is_cuda:
            event = torch.cuda.Event()
            values = torch.empty(2, pin_memory=True).copy_(values, non_blocking=True)
            event.record()
        self._waiting.append((known, values, event))

    def pop(self, keep: int) -> list[tuple[dict[str, Any], float, float]]:
        """Values of all steps but the newest ``keep``."""
        ready = []
        while len(self._waiting) > keep:
            known, values, event = self._waiting.popleft()
            if event is not None:
                event.synchronize()
            loss, norm = values.tolist()
            ready.append((known, loss, norm))
        return ready
