"""Starts a stage's worker process, passes its events on, and ends it when the user says so."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from golfreg.api.errors import EXIT_BUG, AnswerIsNo, GolfregError
from golfreg.data.cache import cache_root

Listener = Callable[[str, dict[str, Any]], None]
"""Called with the stage and one event."""


class Interrupted(GolfregError):
    """The user or the system ended the run; it can be resumed."""

    def __init__(self, number: int, run_dir: Path) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}", f"go on with `golfreg run --resume {run_dir}`")
        self.exit_code = 128 + number


class WorkerBug(GolfregError):
    """A worker died of something that is no user's fault."""

    exit_code = EXIT_BUG


class Worker:
    """A running stage. With ``wait`` it imports everything and starts working when ``go`` is called."""

    def __init__(self, stage: str, run_dir: Path, threads: int, wait: bool = False) -> None:
        self.stage, self.run_dir = stage, run_dir
        self._log = (run_dir / "logs" / f"{stage}.log").open("ab")
        environment = dict(os.environ, PYTHONUNBUFFERED="1", PYTHONHASHSEED="0")
        # Threads that spin while they wait make a run fifteen times slower beside any other busy process.
        environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        if threads:
            environment["OMP_NUM_THREADS"] = str(threads)
        for variable, directory in compile_caches().items():
            environment.setdefault(variable, directory)
        if wait:
            environment["GOLFREG_WAIT_FOR_GO"] = "1"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "golfreg.runner.worker", stage, str(run_dir)],
            stdin=subprocess.PIPE if wait else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._log,
            env=environment,
            start_new_session=True,
        )

    def go(self) -> None:
        """Let a waiting worker start."""
        if self.process.stdin is not None:
            try:
                self.process.stdin.write(b"go\n")
                self.process.stdin.close()
            except BrokenPipeError:
                pass  # it died; finish() says of what

    def finish(self, listen: Listener) -> None:
        """Pass on events until the worker ends; raise what it ended with."""
        error: dict[str, Any] | None = None
        assert self.process.stdout is not None
        with _signals_to(self.process) as received:
            for line in self.process.stdout:
                try:
                    event = json.loads(line)
                    name = event.pop("event")
                except (ValueError, KeyError, AttributeError, TypeError):
                    self._log.write(line)  # a library or plugin printed something: it belongs in the log
                    self._log.flush()
                    continue
                if name == "error":
                    error = event
                else:
                    listen(self.stage, {"event": name, **event})
            code = self.process.wait()
        self.close()
        if received:
            raise Interrupted(received[0], self.run_dir)
        if code == 0:
            return
        log = self.run_dir / "logs" / f"{self.stage}.log"
        if error is not None and code == error["exit_code"] not in (130, 143):
            kind = AnswerIsNo if error["exit_code"] == AnswerIsNo.exit_code else GolfregError
            raise kind(error["message"], error["hint"])
        if code < 0:
            raise GolfregError(
                f"the {self.stage} stage was ended by {signal.Signals(-code).name}",
                f"out of memory? see `{log}`; go on with `golfreg run --resume {self.run_dir}`",
            )
        if code in (130, 143):
            raise Interrupted(code - 128, self.run_dir)
        raise WorkerBug(f"the {self.stage} stage failed: {_last_line(log)}", f"the traceback is in `{log}`")

    def close(self) -> None:
        """End the worker if it runs, and free what it held."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None and not pipe.closed:
                with suppress(BrokenPipeError):
                    pipe.close()
        self._log.close()


def compile_caches() -> dict[str, str]:
    """Environment variables that keep what torch and Triton compiled for the next run, and where golfreg does."""
    root = cache_root() / "compiled"
    return {"TORCHINDUCTOR_CACHE_DIR": str(root / "inductor"), "TRITON_CACHE_DIR": str(root / "triton")}


def keep_compiled() -> None:
    """Set those of ``compile_caches`` that the user did not. Before torch is imported: it sets one by itself."""
    for variable, directory in compile_caches().items():
        os.environ.setdefault(variable, directory)


@contextmanager
def _signals_to(process: subprocess.Popen[bytes]) -> Iterator[list[int]]:
    """Hand SIGINT and SIGTERM on to the worker, which checkpoints and leaves; a second one kills it."""
    received: list[int] = []

    def hand_on(number: int, frame: FrameType | None) -> None:
        received.append(number)
        if process.poll() is None:
            process.send_signal(number if len(received) == 1 else signal.SIGKILL)

    if threading.current_thread() is not threading.main_thread():
        yield received
        return
    before = {n: signal.signal(n, hand_on) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _last_line(log: Path) -> str:
    try:
        lines = log.read_text("utf-8", errors="replace").strip().splitlines()
    except OSError:
        return "no log"
    return lines[-1] if lines else "it said nothing"
