"""The plan: a spec with every name resolved. Written once to ``plan.toml``; the stages read only that.

Reading one imports only the standard library, so that a worker loads nothing else.
"""

from __future__ import annotations

import importlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from golfreg.api.errors import InputError
from golfreg.config import strict
from golfreg.config.spec import RunSpec

MAX_PLAN_BYTES = 1_000_000


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

    def targets(self) -> set[str]:
        """Its own target and those that its settings name, as a codec that chooses among others has."""
        named = self.config.get("codecs", ())
        return {self.target, *(str(name) for name in (named if isinstance(named, list | tuple) else [named]))}

    def make_config(self) -> Any:
        """The target's ``Config`` with this component's values; lists become tuples."""
        return self.load().Config(**{k: tuple(v) if isinstance(v, list) else v for k, v in self.config.items()})


@dataclass(frozen=True)
class Limits:
    """What the ruleset allows."""

    cap_bytes: int = 16_000_000
    train_seconds: float = 600.0
    score_seconds: float = 600.0
    code: str = "closure"
    """How code is counted: ``closure``, the compressed sources; ``packed``, a self-extracting script of them."""


@dataclass(frozen=True)
class Plan:
    """A run, resolved. ``dataset``: directory of the tokenized data (``golfreg.data.dataset``)."""

    spec: RunSpec
    spec_digest: str
    architecture: Chosen
    mixers: dict[str, Chosen]
    quantizer: Chosen
    quantizer_needs: tuple[str, ...]
    """Statistics that the quantizer declared; empty: there is no calibration."""
    codec: Chosen
    corpus: Chosen
    ops: dict[str, Chosen]
    kernels: dict[str, Chosen]
    """Op name to the kernel chosen for it."""
    limits: Limits
    track: str
    device: str
    dtype: str
    compile: bool
    threads: int
    dataset: str
    train_kernels: dict[str, Chosen] = field(default_factory=dict)
    """Op name to the kernel that training uses for it; no part of the artifact."""

    @property
    def dataset_dir(self) -> Path:
        return Path(self.dataset)


def plan_to_dict(plan: Plan) -> dict[str, Any]:
    """The plan as TOML tables; no table for kernels of training where none was asked for."""
    table: dict[str, Any] = plain_values(asdict(plan))
    if not table["train_kernels"]:
        del table["train_kernels"]
    return table


def read_plan(path: Path) -> Plan:
    """Read ``plan.toml``. InputError if it is missing or damaged."""
    if not path.exists():
        raise InputError(f"`{path.parent}` is no run directory: it has no {path.name}", "check the path")
    table = strict.parse_toml(strict.read_text(path, "plan", MAX_PLAN_BYTES), f"plan `{path}`")
    return strict.build(Plan, table, f"plan `{path}`:")


def plain_values(value: Any) -> Any:
    """The value as TOML has it: tuples become lists, and None is left out."""
    if isinstance(value, dict):
        return {k: plain_values(v) for k, v in value.items() if v is not None}
    if isinstance(value, list | tuple):
        return [plain_values(v) for v in value]
    return value
