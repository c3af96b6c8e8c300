"""The plan: a spec with every name resolved. Written once to ``plan.toml``; the stages read only that.

Standard library only, so that a worker that reads a plan loads nothing else.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from golfreg.config.spec import RunSpec


@dataclass(frozen=True)
class Chosen:
    """A resolved component. ``config`` is what its ``Config`` is made with: every value, defaults included."""

    kind: str
    name: str
    target: str
    distribution: str
    version: str
    module: str
    """The plugin's entry-point module."""
    config: dict[str, Any] = field(default_factory=dict)
    argument: str | None = None
    reason: str = ""
    """Why this one, where there was a choice (kernels)."""

    def load(self) -> Any:
        """Import and return the target."""
        module, _, attribute = self.target.partition(":")
        return getattr(importlib.import_module(module), attribute)

    def make_config(self) -> Any:
        """The target's ``Config`` with this component's values; lists become tuples."""
        return self.load().Config(**{k: tuple(v) if isinstance(v, list) else v for k, v in self.config.items()})


@dataclass(frozen=True)
class Limits:
    """What the ruleset allows."""

    cap_bytes: int = 16_000_000
    train_seconds: float = 600.0
    score_seconds: float = 600.0


@dataclass(frozen=True)
class Plan:
    """A run, resolved. ``dataset``: directory of the tokenized data (``golfreg.data.dataset``)."""

    spec: RunSpec
    spec_digest: str
    architecture: Chosen
    mixers: dict[str, Chosen]
    quantizer: Chosen
    codec: Chosen
    corpus: Chosen
    ops: dict[str, Chosen]
    kernels: dict[str, Chosen]
    """Op name to the kernel chosen for it."""
    limits: Limits
    device: str
    dtype: str
    compile: bool
    threads: int
    dataset: str

    @property
    def dataset_dir(self) -> Path:
        return Path(self.dataset)
