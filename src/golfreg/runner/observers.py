"""Tells observers what happens in a run. Nothing that they do reaches the run: see ``golfreg.runner.watcher``."""

from __future__ import annotations

import contextlib
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from golfreg.api.errors import GolfregError
from golfreg.api.observer import ObservedRun
from golfreg.config.observing import OBSERVERS_FILE, read_observers
from golfreg.config.plan import Plan
from golfreg.config.record import RunRecord, to_table
from golfreg.registry.check import whole
from golfreg.runner.launch import Listener
from golfreg.runner.record import settings_of
from golfreg.runner.watcher import Watcher

PATIENCE_SECONDS = 10.0
"""How long the end of a run waits for its observers, all together."""

_INTERRUPTED = (130, 143)


class Observers:
    """A context around a run's stages. ``listen`` passes the launcher's events on, and tells the observers of them.

    A fault is one warning through ``listen``, a note of the stage ``observer NAME``.
    """

    def __init__(self, run_dir: Path, plan: Plan, listen: Listener) -> None:
        self.run_dir, self.plan, self._pass_on = run_dir, plan, listen
        self._watchers: list[Watcher] = []
        self._may_read = False
        self._quiet = contextlib.ExitStack()

    def __enter__(self) -> Self:
        try:
            chosen = read_observers(self.run_dir)
        except GolfregError as error:
            self._warn(OBSERVERS_FILE, f"nobody is told of this run: {error.message}")
            return self
        place = self.run_dir.resolve()
        # A resumed run first cuts metrics.jsonl back to its checkpoint: what stands there before that may not stay.
        self._may_read = not (place / "metrics.jsonl").exists()
        observed = ObservedRun(
            name=place.name,
            directory=place / "observers",
            shared=place.parent / "observers",
            seed=self.plan.spec.seed,
            track=self.plan.track,
            ruleset=self.plan.spec.ruleset,
            spec_digest=self.plan.spec_digest,
            settings=settings_of(self.plan),
        )
        watchers = [Watcher(c, observed, place) for c in chosen]
        self._watchers = [w for w in watchers if not w.told.record]
        if self._watchers:
            # What a library of an observer prints must not spoil the output of `--json`.
            self._quiet.enter_context(contextlib.redirect_stdout(sys.stderr))
        for watcher in self._watchers:
            watcher.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._may_read:
            self._tell("metrics")
        if error is not None:
            code = getattr(error, "exit_code", 130 if isinstance(error, KeyboardInterrupt) else 70)
            self._tell(
                "stopped",
                reason="interrupted" if code in _INTERRUPTED else "failed",
                message=error.message if isinstance(error, GolfregError) else whole(error),
                exit_code=code,
            )
        deadline = time.monotonic() + PATIENCE_SECONDS
        for watcher in self._watchers:
            watcher.end()
        for watcher in self._watchers:
            watcher.join(max(0.0, deadline - time.monotonic()))
            if watcher.is_alive() and not watcher.fault:
                watcher.fault = f"it has not ended {PATIENCE_SECONDS:g} s after the run"
        self._quiet.close()
        self._report()

    def listen(self, stage: str, event: dict[str, Any]) -> None:
        """Pass on one event of ``golfreg.runner.launch.Listener``; tell the observers what is theirs of it."""
        self._pass_on(stage, event)
        name = event["event"]
        if name in ("done", "skipped"):
            self.stage(stage, event["seconds"], event["result"])
        elif name == "note":
            self._tell("note", stage=stage, text=event.get("text", ""))
        elif stage == "train" and name == "progress":
            self._may_read = True
            self._tell("metrics")
        self._report()

    def stage(self, stage: str, seconds: float, result: dict[str, Any]) -> None:
        """A stage is done, now or before."""
        if stage == "train":
            self._may_read = True
            self._tell("metrics")
        self._tell("stage", stage=stage, seconds=seconds, result=result)

    def record(self, record: RunRecord) -> None:
        """The run is done."""
        self._tell("record", record=to_table(record))

    def _tell(self, event: str, **values: Any) -> None:
        for watcher in self._watchers:
            watcher.tell({"event": event, "time": time.time(), **values})

    def _report(self) -> None:
        for watcher in self._watchers:
            if watcher.fault and not watcher.reported:
                watcher.reported = True
                self._warn(f"observer {watcher.chosen.name}", f"{watcher.label}: {watcher.fault}; it is told no more")

    def _warn(self, stage: str, text: str) -> None:
        self._pass_on(stage, {"event": "note", "text": f"warning: {text}"})
