"""SIGINT and SIGTERM end training at the next step, with a checkpoint."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from golfreg.api.errors import GolfregError


class Interrupted(GolfregError):
    """The user or the system ended training. Exits with 128 + the signal's number."""

    def __init__(self, number: int, message: str, hint: str) -> None:
        super().__init__(message, hint)
        self.exit_code = 128 + number


class Listening:
    """While entered, the first signal is only noted in ``received``; a second one acts as ever."""

    def __init__(self) -> None:
        self.received: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Listening:
        if threading.current_thread() is threading.main_thread():
            self._before = {n: signal.signal(n, self._note) for n in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._restore()

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
