"""One stage in a process of its own: ``python -m golfreg.runner.worker STAGE RUN_DIR``.

Talks to the launcher in JSON lines on standard output (``golfreg.config.job.Job.tell``); standard
error is kept as the stage's log. The stage's result file is written last and whole, so it exists
only for a stage that is done.
"""

from __future__ import annotations

import ctypes
import errno
import importlib
import os
import signal
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import tomli_w

from golfreg.api.errors import EXIT_BUG, EnvironmentFault, GolfregError, PluginError
from golfreg.config.job import Job, tell, write_whole
from golfreg.config.plan import read_plan
from golfreg.pack.modules import counted_modules, plugin_of_file

STAGES = {
    "data": "golfreg.data.stage",
    "train": "golfreg.train.stage",
    "calibrate": "golfreg.train.calibrate",
    "quantize": "golfreg.pack.quantize",
    "pack": "golfreg.pack.stage",
    "score": "golfreg.score.stage",
}
"""Stage to the module whose ``run(job)`` does it, in order."""

UNCOUNTED = frozenset({"data"})
"""Stages whose code is no part of a submission: the contest does not count how the data was made."""

_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Run one stage; exit with its code."""
    stage, run_dir = sys.argv[1], Path(sys.argv[2])
    _die_with_parent()
    started = time.monotonic()
    try:
        job = Job(run_dir, read_plan(run_dir / "plan.toml"))
        result = importlib.import_module(STAGES[stage]).run(job)
        table: dict[str, Any] = {"stage": stage, "seconds": time.monotonic() - started}
        if stage not in UNCOUNTED:
            table["modules"] = counted_modules()
        (run_dir / "stages").mkdir(exist_ok=True)
        write_whole(run_dir / "stages" / f"{stage}.toml", tomli_w.dumps({**table, "result": result}).encode())
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        traceback.print_exc()
        known = _as_known(error)
        if known is None:
            sys.exit(EXIT_BUG)
        tell("error", message=known.message, hint=known.hint, exit_code=known.exit_code)
        sys.exit(known.exit_code)


def _as_known(error: Exception) -> GolfregError | None:
    """The error as one that a user can act on, or None for a bug in golfreg."""
    if isinstance(error, GolfregError):
        return error
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return EnvironmentFault(
            f"out of memory: {str(error).splitlines()[0] if str(error) else 'an allocation failed'}",
            "set a smaller `train.micro_batch_tokens` or `score.batch_tokens`",
        )
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT):
        return EnvironmentFault(
            f"cannot write `{error.filename or 'the run directory'}`: {error.strerror}",
            "free the disk or choose another place with `--runs DIR`, then `golfreg run --resume RUN_DIR`",
        )
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        plugin = plugin_of_file(frame.filename)
        if plugin is not None:
            where = f"{Path(frame.filename).name}:{frame.lineno}"
            return PluginError(
                f"plugin `{plugin}` raised {type(error).__name__}: {error} ({where})",
                "the stage's log has the traceback",
            )
    return None


def _die_with_parent() -> None:
    """Ask the kernel to end this process when the launcher is gone, however it went (Linux)."""
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit(143)


if __name__ == "__main__":
    main()
