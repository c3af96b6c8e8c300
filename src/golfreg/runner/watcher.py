"""One observer of one run, in a thread of its own: what it raises or waits for is nobody else's."""

from __future__ import annotations

import copy
import json
import os
import sys
import threading
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from golfreg.api.observer import ObservedRun
from golfreg.config.plan import Chosen
from golfreg.registry.check import whole
from golfreg.runner.new_steps import NewSteps

_NICE = 10
_END = object()


@dataclass
class Told:
    """What an observer was told of a run: up to which step, of which stages, and of the record."""

    step: int = 0
    stages: list[str] = field(default_factory=list)
    record: bool = False

    @classmethod
    def read(cls, path: Path) -> Told | None:
        """None if there is nothing readable: the observer is told everything."""
        try:
            told = cls(**json.loads(path.read_bytes()))
        except (OSError, ValueError, TypeError, RecursionError):
            return None
        plain = type(told.step) is int and isinstance(told.stages, list) and type(told.record) is bool
        return told if plain else None

    def write(self, path: Path) -> None:
        """Whole or not at all, but not synced: after a power cut it may be missing, and no disk waits for it."""
        temporary = path.with_name(f".{path.name}.tmp")
        with suppress(OSError):
            temporary.write_text(json.dumps(asdict(self)), "utf-8")
            os.replace(temporary, path)


class Watcher(threading.Thread):
    """Tells an observer, in order, what is put into its queue. ``fault``: why it was dropped, once it was.

    ``run``: without what this observer was told before; its ``directory`` and ``shared`` are where the
    observers' own directories are made.
    """

    def __init__(self, chosen: Chosen, observed: ObservedRun, run_dir: Path) -> None:
        super().__init__(name=f"observer {chosen.name}", daemon=True)
        self.chosen = chosen
        self.fault = ""
        self.reported = False
        self._told_path = observed.directory / f".told-{chosen.name}.json"
        told = Told.read(self._told_path)
        self.told = told or Told()
        self._observed = replace(
            observed,
            directory=observed.directory / chosen.name,
            shared=observed.shared / chosen.name,
            resumed=told is not None,
            told_step=self.told.step,
        )
        self._steps = NewSteps(run_dir / "metrics.jsonl", self.told.step)
        self._queue: SimpleQueue[Any] = SimpleQueue()

    @property
    def label(self) -> str:
        return f"observer `{self.chosen.name}` of {self.chosen.distribution} {self.chosen.version}"

    def tell(self, event: dict[str, Any]) -> None:
        """Put one event in the queue; never waits. One of ``metrics`` has no steps: the thread looks for new ones."""
        if not self.fault:
            self._queue.put(event)

    def end(self) -> None:
        """Say that nothing comes any more."""
        self._queue.put(_END)

    def run(self) -> None:
        """Open the observer, tell it everything, close it."""
        observation: Any = None
        try:
            _yield_to_training()
            observation = self.chosen.load().open(self._observed, self.chosen.make_config())
            held = getattr(observation, "told_step", None)
            if type(held) is int:
                self.told.step = self._steps.step = held
            self._keep_told()
            for item in iter(self._queue.get, _END):
                if item["event"] == "metrics":
                    self._tell_steps(observation, item)
                elif not self._knows(item):
                    observation.tell(copy.deepcopy(item))
                    self._note(item)
            closing, observation = observation, None
            closing.close()
        except BaseException as error:
            self.fault = whole(error)
            with suppress(BaseException):
                if observation is not None:
                    observation.close()

    def _tell_steps(self, observation: Any, event: dict[str, Any]) -> None:
        for steps in self._steps.read():
            observation.tell({**event, "steps": steps})
            self.told.step = self._steps.step
            self._keep_told()

    def _knows(self, event: dict[str, Any]) -> bool:
        """Whether it was told that before the run was resumed."""
        return (event["event"] == "stage" and event["stage"] in self.told.stages) or (
            event["event"] == "record" and self.told.record
        )

    def _note(self, event: dict[str, Any]) -> None:
        if event["event"] == "stage":
            self.told.stages.append(event["stage"])
            self._keep_told()
        elif event["event"] == "record":
            self.told.record = True
            self._keep_told()

    def _keep_told(self) -> None:
        with suppress(OSError):
            self._told_path.parent.mkdir(exist_ok=True)
        self.told.write(self._told_path)


def _yield_to_training() -> None:
    """Where the cores are busy, training goes first (on Linux each thread has a priority of its own)."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
