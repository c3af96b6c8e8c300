"""Where a study works: its checkpoints, a cache of what is measured, and a way to say how far it is.

Each measurement is a cell: a JSON file named by the digest of all that it depends on. A study that
was killed measures only what is missing, and one with another checkpoint only what is new.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from golfreg.config.job import write_whole
from golfreg.studies.checkpoints import Checkpoint

CELL_VERSION = 1
"""Goes into every digest: raised when what a cell holds changes."""

Tell = Callable[[int, int, str], None]
"""Called with the cells done, the cells in all and what is being measured."""


@dataclass
class Workplace:
    """``out``: where the report goes; ``out/cells`` is the cache, ``out/work`` what is in the making."""

    out: Path
    checkpoints: Sequence[Checkpoint]
    tell: Tell
    jobs: int = 1
    total: int = 0
    done: int = 0
    _lock: Lock = field(default_factory=Lock)

    def expect(self, cells: int) -> None:
        """So many more cells are to come."""
        self.total += cells
        self.tell(self.done, self.total, "")

    def cell(self, what: str, inputs: Mapping[str, Any], measure: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What ``measure`` returns for these inputs, measured once. ``what``: said while it is."""
        path = self.cell_path(inputs)
        with self._lock:
            self.tell(self.done, self.total, what)
        found = _read(path)
        if found is None:
            found = measure()
            path.parent.mkdir(parents=True, exist_ok=True)
            write_whole(path, json.dumps({"inputs": inputs, "found": found}, indent=1).encode())
        with self._lock:
            self.done += 1
            self.tell(self.done, self.total, what)
        return found

    def cell_path(self, inputs: Mapping[str, Any]) -> Path:
        return self.out / "cells" / f"{digest_of(inputs)}.json"

    def forget_unless(self, inputs: Mapping[str, Any], whole: Callable[[dict[str, Any]], bool]) -> None:
        """Drop a cell that is not ``whole``: its files are gone."""
        found = _read(self.cell_path(inputs))
        if found is not None and not whole(found):
            self.cell_path(inputs).unlink(missing_ok=True)

    def cells(
        self, wanted: Sequence[tuple[str, Mapping[str, Any], Callable[[], dict[str, Any]]]]
    ) -> list[dict[str, Any]]:
        """Several cells that are expected, side by side on ``jobs`` threads: for what holds no lock of Python's."""
        pool = ThreadPoolExecutor(self.jobs)
        try:
            return list(pool.map(lambda one: self.cell(*one), wanted))
        finally:
            # After an error or an interrupt what runs is ended and kept; nothing more is begun.
            pool.shutdown(cancel_futures=True)

    def work_dir(self, inputs: Mapping[str, Any]) -> Path:
        """A directory of its own for what has these inputs; it is there again after a kill."""
        return self.out / "work" / digest_of(inputs)


def digest_of(inputs: Mapping[str, Any]) -> str:
    """Names a measurement by all that it depends on."""
    text = json.dumps({"cell": CELL_VERSION, **inputs}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _read(path: Path) -> dict[str, Any] | None:
    """The cell, or None if it is not there or damaged, which is as good."""
    try:
        found = json.loads(path.read_text("utf-8"))["found"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, dict) else None
