"""The training clock. A resumed run is charged the time that it lost.

While it runs, the seconds shown are written into a small file about once a second. Training that
was killed goes on from an older checkpoint, but from the last written time.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

_WIDTH = 40


class Clock:
    """Seconds of training. Runs from its making; ``paused`` leaves time out (compilation)."""

    def __init__(self, path: Path, now: Callable[[], float] = time.monotonic) -> None:
        """Open or make the heartbeat file at ``path``. OSError if it cannot be written."""
        self.now = now
        beaten_seconds, self.resumed = read_heartbeat(path)
        """How often training was begun before now."""
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        self._offset = beaten_seconds - now()
        self._stopped_at: float | None = None
        self._beaten_at = now()
        self._write()

    def elapsed(self) -> float:
        """Seconds shown."""
        return self._stopped_at if self._stopped_at is not None else self.now() + self._offset

    def charge_at_least(self, seconds: float) -> None:
        """Show no less than ``seconds``: what a checkpoint says, if the heartbeat was lost."""
        self._offset += max(0.0, seconds - self.elapsed())
        self._write()

    def beat(self, every_seconds: float = 1.0) -> bool:
        """Write the time if the last writing is that long ago; whether it was."""
        if self.now() - self._beaten_at < every_seconds:
            return False
        self._write()
        return True

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Time inside is not counted."""
        before = self.elapsed()
        try:
            yield
        finally:
            self._offset = before - self.now()

    def stop(self) -> float:
        """Stand still for good; the seconds shown."""
        self._stopped_at = self.elapsed()
        self._write()
        return self._stopped_at

    def close(self) -> None:
        os.close(self._file)

    def _write(self) -> None:
        # One write of fixed width in place: it needs no free disk after the first, and a kill cannot tear it.
        line = f"{self.elapsed():.3f} {self.resumed + 1}".ljust(_WIDTH - 1) + "\n"
        with contextlib.suppress(OSError):
            os.pwrite(self._file, line.encode(), 0)
        self._beaten_at = self.now()


def read_heartbeat(path: Path) -> tuple[float, int]:
    """Seconds shown last and how often training was begun; (0, 0) without a readable file."""
    try:
        with path.open("rb") as file:
            seconds, starts = file.read(_WIDTH).split()
        values = float(seconds), int(starts)
    except (OSError, ValueError):
        return 0.0, 0
    return values if 0.0 <= values[0] < 1e9 and 0 <= values[1] < 10**6 else (0.0, 0)
