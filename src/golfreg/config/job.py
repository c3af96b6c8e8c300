"""What a stage gets: the run directory, the plan, and a way to tell the user how it goes."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from golfreg.config.plan import Plan


def tell(event: str, **values: Any) -> None:
    """Send one event to the launcher, as a JSON line on standard output.

    ``progress``: ``done``, ``total`` (seconds, steps, windows), ``text`` for the bar, perhaps ``left_seconds``.
    ``note``: ``text``, shown and kept. ``error``: ``message``, ``hint``, ``exit_code``.
    """
    sys.stdout.write(json.dumps({"event": event, **values}) + "\n")
    sys.stdout.flush()


@dataclass(frozen=True)
class Job:
    """One stage of one run. ``run_dir`` holds all state; see ``golfreg.runner.rundir`` for its files."""

    run_dir: Path
    plan: Plan
    code_bytes: int | None = None
    """What a quantizer is told that the code takes, where that is known beforehand: in an exported script."""

    def tell(self, event: str, **values: Any) -> None:
        """See ``tell``."""
        tell(event, **values)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file whole or not at all: a temporary file beside it, synced, then renamed over it."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
