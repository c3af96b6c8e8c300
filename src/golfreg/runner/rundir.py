"""The run directory: where every stage leaves its work, and where the launcher finds it again.

=====================  ==================================================
plan.toml              the plan, written once
observers.toml         who is told of the run
observers/NAME/        what the observer of that name writes
stages/STAGE.toml      result of a finished stage; a stage without one is run (again)
logs/STAGE.log         its standard error
model.safetensors      trained weights
metrics.jsonl          one line for every logged training step
statistics.safetensors what calibration gathered
sections.bin           quantized sections
artifact.golfreg       the submission
record.toml            the run's record
=====================  ==================================================
"""

from __future__ import annotations

import fcntl
import os
import re
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import tomli_w

from golfreg.api.errors import EnvironmentFault, InputError
from golfreg.config.job import write_whole
from golfreg.config.observing import write_observers
from golfreg.config.plan import Chosen, Plan, plan_to_dict


def runs_root(given: Path | None = None) -> Path:
    """``--runs``, else ``GOLFREG_RUNS``, else ``runs`` in the working directory."""
    return given or Path(os.environ.get("GOLFREG_RUNS") or "runs")


def create(root: Path, plan: Plan, observers: Sequence[Chosen] = ()) -> Path:
    """Make a new run directory with its plan and observers. EnvironmentFault where it cannot be written."""
    now = datetime.now(UTC)
    parts = (plan.architecture.name, plan.codec.name, f"s{plan.spec.seed}")
    stem = f"{now:%Y%m%d-%H%M%S}-" + re.sub(r"[^\w.-]", "_", "-".join(parts))
    for attempt in range(1000):
        directory = root / (stem if attempt == 0 else f"{stem}.{attempt}")
        try:
            directory.mkdir(parents=True)
        except FileExistsError:
            if not root.is_dir():
                raise EnvironmentFault(f"`{root}` is not a directory", "choose another with `--runs DIR`") from None
            continue
        except OSError as error:
            raise EnvironmentFault(
                f"cannot make `{directory}`: {error.strerror}", "choose another place with `--runs DIR`"
            ) from error
        (directory / "stages").mkdir()
        (directory / "logs").mkdir()
        if observers:
            write_observers(directory, list(observers))
        write_whole(directory / "plan.toml", tomli_w.dumps(plan_to_dict(plan)).encode())
        return directory
    raise EnvironmentFault(f"`{root}` has a thousand runs of this second", "wait a second")


@contextmanager
def locked(run_dir: Path) -> Iterator[None]:
    """Hold the directory: two launchers on one run would write over each other."""
    with (run_dir / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise EnvironmentFault(f"another golfreg works in `{run_dir}`", "wait until it has ended") from error
        # Whoever holds the directory is its only writer: what is half-written was left by a kill.
        for half_written in run_dir.rglob(".*.tmp"):
            half_written.unlink(missing_ok=True)
        yield


def stage_result(run_dir: Path, stage: str) -> dict[str, Any] | None:
    """What a finished stage left, or None. InputError if the file is damaged."""
    path = run_dir / "stages" / f"{stage}.toml"
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise InputError(f"`{path}` is damaged: {error}", "delete it, and the stage is run again") from error
