"""Who is told of a run. No part of ``RunSpec``: observers decide nothing of it, neither its bytes nor its digest."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import tomli_w

from golfreg.api.errors import ConfigError
from golfreg.config import strict
from golfreg.config.job import write_whole
from golfreg.config.plan import Chosen, plain_values
from golfreg.config.spec import RunSpec

OBSERVERS_FILE = "observers.toml"
OBSERVERS_SCHEMA = 1
MAX_OBSERVERS_BYTES = 1_000_000
NAMES = tuple[str, ...]


@dataclass(frozen=True)
class ObservedSpec(RunSpec):
    """What the layers of settings may set: a run, and who is told of it."""

    observers: tuple[str, ...] = ("jsonl",)
    observer: dict[str, Any] = field(default_factory=dict)
    """``[observer.NAME]``: settings of the observer of that name."""

    def run_spec(self) -> RunSpec:
        """The run alone."""
        return RunSpec(**{f.name: getattr(self, f.name) for f in fields(RunSpec)})


@dataclass(frozen=True)
class Observing:
    """The observers of a run, as ``observers.toml`` in its directory keeps them, by name."""

    observers: dict[str, Chosen]


def observer_names(value: Any, key: str, where: str) -> tuple[str, ...]:
    """A list of names, or text with commas between them. ConfigError for anything else, and for a name twice."""
    names = [part for part in re.split(r"[,\s]+", value) if part] if isinstance(value, str) else value
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) and name for name in names):
        raise ConfigError(f"{where}: `{key}` must be a list of names, not {value!r}", f'write `{key} = ["jsonl"]`')
    if len(set(names)) != len(names):
        raise ConfigError(f"{where}: `{key}` names an observer twice", "an observer is told of a run once")
    return tuple(names)


def write_observers(run_dir: Path, chosen: list[Chosen]) -> None:
    """Keep them for the run's stages and for ``--resume``."""
    table = {"schema": OBSERVERS_SCHEMA, "observers": {c.name: plain_values(vars(c)) for c in chosen}}
    write_whole(run_dir / OBSERVERS_FILE, tomli_w.dumps(table).encode())


def read_observers(run_dir: Path) -> list[Chosen]:
    """The observers of a run; none where the file is missing. InputError if it is damaged."""
    path = run_dir / OBSERVERS_FILE
    if not path.exists():
        return []
    where = f"`{path}`"
    table = strict.parse_toml(strict.read_text(path, "file", MAX_OBSERVERS_BYTES), where)
    strict.take_schema(table, OBSERVERS_SCHEMA, where)
    return list(strict.build(Observing, table, f"{where}:").observers.values())
