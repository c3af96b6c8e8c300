"""Starts the scoring process, holds it to its time, and reads what it answers. Imports no torch."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from golfreg.api.errors import EXIT_BUG, AnswerIsNo, EnvironmentFault, GolfregError
from golfreg.config.job import write_whole
from golfreg.score.task import DOCUMENTS_FILE, RESULT_FILE, Task

UNCOUNTED_SECONDS = 900.0
"""Most that may pass outside the counted phases: imports, reading the tokens, the probe."""

_COUNTED = frozenset({"decode", "score"})
_FASTER = (
    "was the machine busy with other work? a run scores again with `--resume`; else make the model or its decoder"
    " faster, or for a trial score less: `--set data.validation_tokens=50000`"
)
_TAIL = 2000
_LEAVE_SECONDS = 60.0
"""From the last word of the scoring process to its end: it writes its answer."""

Progress = Callable[[str, int, int], None]
"""Called with the phase (``start decode probe score done``), targets done, targets in all."""


class ScorerBug(GolfregError):
    """The scoring process failed in golfreg's own code."""

    exit_code = EXIT_BUG


def score_artifact(
    task: Task, limit_seconds: float, documents_to: Path | None = None, progress: Progress = lambda *_: None
) -> dict[str, Any]:
    """Score in a process of its own; ``scratch``, ``parent`` and ``events`` of the task are filled in here.

    Decoding and scoring together may take ``limit_seconds`` (0: no limit); then the process is
    killed and AnswerIsNo says how far it came. ``documents_to``: where the nats, bytes and tokens
    of each document go (safetensors).
    """
    try:
        scratch = Path(tempfile.mkdtemp(prefix="golfreg-score-"))
    except OSError as error:
        raise EnvironmentFault(
            f"cannot make a temporary directory: {error.strerror}", "free the disk, or set TMPDIR"
        ) from error
    try:
        reader, writer = os.pipe()
        task = replace(task, scratch=str(scratch), parent=os.getpid(), events=writer)
        with (scratch / "log").open("wb") as log:
            try:
                process = subprocess.Popen(
                    [sys.executable, "-P", "-m", "golfreg.score.worker", str(task.write())],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, pass_fds=(writer,),
                    env=_environment(scratch, task.threads), cwd=scratch,
                )  # fmt: skip
            finally:
                os.close(writer)
        try:
            _watch(process, reader, limit_seconds, progress)
        finally:
            os.close(reader)
            if process.poll() is None:
                process.kill()
            process.wait()
        result = _answer(process.returncode, scratch, limit_seconds)
        if documents_to is not None:
            write_whole(documents_to, (scratch / DOCUMENTS_FILE).read_bytes())
        return result
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _environment(scratch: Path, threads: int) -> dict[str, str]:
    """Caches are new and private: what an earlier process left in one is no part of the artifact."""
    environment = dict(os.environ)
    for name in ("TMPDIR", "XDG_CACHE_HOME", "TRITON_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR", "CUDA_CACHE_PATH",
                 "TORCH_EXTENSIONS_DIR", "TRITON_HOME"):  # fmt: skip
        place = scratch / name.lower()
        place.mkdir()
        environment[name] = str(place)
    environment |= {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0"}
    # Threads that spin while they wait make a shared machine several times slower.
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if threads:
        environment["OMP_NUM_THREADS"] = str(threads)
    return environment


def _watch(process: subprocess.Popen[bytes], reader: int, limit_seconds: float, progress: Progress) -> None:
    """Follow the phases until the process ends; kill it when a budget is spent."""
    phase, since = "start", time.monotonic()
    spent = {True: 0.0, False: 0.0}
    budget = {True: limit_seconds or float("inf"), False: UNCOUNTED_SECONDS}
    done = total = 0
    buffer = b""
    while True:
        counted = phase in _COUNTED
        now = time.monotonic()
        left = budget[counted] - spent[counted] - (now - since)
        if left <= 0:
            process.kill()
            raise AnswerIsNo(
                _too_slow(limit_seconds, done, total) if counted else f"the scorer's `{phase}` took too long",
                _FASTER if counted else "see whether it hangs",
            )
        if not select.select([reader], [], [], min(left, 1.0))[0]:
            continue
        data = os.read(reader, 1 << 16)
        if not data:
            break
        *lines, buffer = (buffer + data).split(b"\n")
        for line in lines:
            try:
                event = json.loads(line)
                name, done, total = str(event["phase"]), int(event["done"]), int(event["total"])
            except (ValueError, KeyError, TypeError):
                continue
            if name != phase:
                now = time.monotonic()
                spent[phase in _COUNTED] += now - since
                phase, since = name, now
            progress(name, done, total)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_LEAVE_SECONDS)


def _too_slow(limit_seconds: float, done: int, total: int) -> str:
    share = f"{done:,} of {total:,} tokens were scored" if total else "the artifact was still being decoded"
    return f"scoring took longer than the {limit_seconds:g} s allowed: {share}"


def _answer(code: int, scratch: Path, limit_seconds: float) -> dict[str, Any]:
    tail = _tail(scratch / "log")
    try:
        answer = json.loads((scratch / RESULT_FILE).read_text("utf-8"))
    except (OSError, ValueError):
        if code < 0:
            name = signal.Signals(-code).name
            raise EnvironmentFault(
                f"the scoring process was ended by {name}",
                "was it out of memory? lower `score.batch_tokens`" if name == "SIGKILL" else f"it said: {tail}",
            ) from None
        raise ScorerBug(f"the scoring process ended with {code} and no answer", f"it said: {tail}") from None
    error = answer.get("error")
    if error is not None:
        if error["exit_code"] == EXIT_BUG:
            raise ScorerBug("the scoring process failed", error.get("traceback") or tail)
        kind = AnswerIsNo if error["exit_code"] == AnswerIsNo.exit_code else GolfregError
        raise kind(error["message"], error["hint"])
    result: dict[str, Any] = answer["result"]
    if limit_seconds and result["score_seconds"] > limit_seconds:
        raise AnswerIsNo(
            f"decoding and scoring took {result['score_seconds']:.1f} s; {limit_seconds:g} s are allowed",
            _FASTER,
        )
    return result


def _tail(path: Path) -> str:
    try:
        return path.read_text("utf-8", errors="replace")[-_TAIL:].strip() or "nothing"
    except OSError:
        return "nothing"
