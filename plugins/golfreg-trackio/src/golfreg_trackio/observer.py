"""Writes a run into trackio (https://github.com/gradio-app/trackio).

trackio is imported when the first run is opened: that takes a second, and it reads once, from
``TRACKIO_DIR``, where it keeps its data. Its own variables that would send data elsewhere are not
seen: only ``space`` and ``server`` of the settings do that.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from golfreg.api.errors import ConfigError, EnvironmentFault
from golfreg.api.observer import ObservedRun

_SENDING = (
    "TRACKIO_SPACE_ID",
    "TRACKIO_SERVER_URL",
    "TRACKIO_BUCKET_ID",
    "TRACKIO_DATASET_ID",
    "TRACKIO_WEBHOOK_URL",
)
_FACTS = ("score", "sizes", "times", "train")
"""Tables of the record whose numbers are logged."""


@dataclass(frozen=True)
class TrackioConfig:
    """Where a run is shown, and what of it."""

    project: str = "golfreg"
    """trackio's project."""
    group: str = ""
    """Group of the run in the project; empty: its track."""
    directory: str = ""
    """Where trackio keeps its data; empty: `TRACKIO_DIR`, or `observers/trackio` beside the run directories."""
    every_steps: int = 1
    """Log every step whose number is a multiple of this."""
    system_metrics: bool = False
    """Let trackio watch the CPU and GPU, in a thread beside training."""
    space: str = ""
    """Hugging Face Space to send the run to; empty: nothing leaves this machine."""
    server: str = ""
    """URL of a trackio server to send the run to; empty: nothing leaves this machine."""

    def __post_init__(self) -> None:
        if not self.project.strip():
            raise ConfigError("observer `trackio`: the project has no name", hint='set `project = "golfreg"`')
        if self.every_steps < 1:
            raise ConfigError(f"observer `trackio`: every_steps is {self.every_steps}", hint="it is at least 1")
        if self.space and self.server:
            raise ConfigError("observer `trackio`: both `space` and `server` are set", hint="set one of them")


class TrackioRun:
    """One run of trackio. ``told_step`` is the last that it holds, and what comes between steps is logged at it."""

    def __init__(self, run: Any, told_step: int, every_steps: int) -> None:
        self.run, self.told_step, self.every_steps = run, told_step, every_steps

    def tell(self, event: dict[str, Any]) -> None:
        match event["event"]:
            case "metrics":
                for step in event["steps"]:
                    self.told_step = max(self.told_step, step["step"])
                    if step["step"] % self.every_steps == 0:
                        self._log(step, step["step"])
            case "stage":
                self._log({f"seconds/{event['stage']}": event["seconds"]}, self.told_step)
            case "record":
                tables = [(name, event["record"].get(name)) for name in _FACTS]
                facts = {f"{name}/{k}": v for name, t in tables if isinstance(t, Mapping) for k, v in t.items()}
                self._log(facts, self.told_step)
            case "stopped":
                from trackio import AlertLevel

                level = AlertLevel.WARN if event["reason"] == "interrupted" else AlertLevel.ERROR
                self.run.alert(f"golfreg run {event['reason']}", event["message"], level, self.told_step)

    def close(self) -> None:
        self.run.finish()

    def _log(self, values: Mapping[str, Any], step: int) -> None:
        kept = {
            key: value
            for key, value in values.items()
            if key != "step" and isinstance(value, int | float) and not isinstance(value, bool)
        }
        if kept:
            self.run.log(kept, step=step)


class Trackio:
    """Shows runs in trackio's dashboard: `TRACKIO_DIR=runs/observers/trackio trackio show --project golfreg`."""

    Config = TrackioConfig

    def open(self, run: ObservedRun, config: TrackioConfig) -> TrackioRun:
        trackio = _import_trackio(run, config)
        with _only_what_is_set(online=bool(config.space or config.server)):
            made = trackio.init(
                project=config.project,
                name=run.name,
                group=config.group or run.track or None,
                space_id=config.space or None,
                server_url=config.server or None,
                resume="allow" if run.resumed else "never",
                config=_config_of(run),
                embed=False,
                auto_log_gpu=config.system_metrics,
                auto_log_cpu=config.system_metrics,
            )
        # What trackio had only in memory when golfreg was killed is gone: it says itself where it is.
        held = getattr(made, "_initial_last_step", run.told_step)
        return TrackioRun(made, held or 0, config.every_steps)


def _import_trackio(run: ObservedRun, config: TrackioConfig) -> Any:
    """trackio, with its data where the settings say. EnvironmentFault, or OSError, where that cannot be."""
    chosen = config.directory or os.environ.get("TRACKIO_DIR") or str(run.shared)
    wanted = Path(chosen).expanduser().absolute()
    wanted.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("TRACKIO_DIR", str(wanted))
    if config.directory:
        os.environ["TRACKIO_DIR"] = str(wanted)

    import trackio
    from trackio.utils import TRACKIO_DIR

    if config.directory and TRACKIO_DIR.absolute() != wanted:
        raise EnvironmentFault(
            f"trackio keeps its data in `{TRACKIO_DIR}` since it was first used in this process, not in `{wanted}`",
            hint="run it in a process of its own",
        )
    return trackio


def _config_of(run: ObservedRun) -> dict[str, Any]:
    """What is constant of a run: its settings by dotted name. trackio keeps names that begin with `_` for itself."""
    facts: dict[str, Any] = {"seed": run.seed, "track": run.track, "ruleset": run.ruleset, "digest": run.spec_digest}
    return {key.lstrip("_") or "-": value for key, value in {**dict(_flat(run.settings)), **facts}.items()}


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


@contextmanager
def _only_what_is_set(online: bool) -> Iterator[None]:
    """Without the variables that would make trackio send data somewhere.

    Offline also without huggingface_hub, which trackio asks for the name of the user where there is a token.
    """
    from huggingface_hub import constants

    hidden = {name: os.environ.pop(name) for name in _SENDING if name in os.environ}
    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or not online
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
        os.environ.update(hidden)


trackio_observer = Trackio()
