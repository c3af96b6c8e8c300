"""What an observer is told of a run, and the run that it is told of.

An observer's target has ``open(run, config)``, which returns an object with ``tell(event)`` and
``close()``. Events are plain JSON values: dicts with the keys ``event`` and ``time`` (seconds since
the epoch), and by ``event``:

- ``metrics``: ``steps``, a list of training steps in order, each what a line of ``metrics.jsonl`` holds: ``step``,
  ``loss`` (nats per token), ``gradient_norm``, ``rate``, ``tokens``, ``train_seconds``, ``tokens_per_second``
- ``stage``: a stage is done: ``stage``, ``seconds``, ``result`` (a table)
- ``note``: what a stage said: ``stage``, ``text``
- ``record``: the run is done: ``record``, the tables of ``record.toml``
- ``stopped``: the run ended without a record: ``reason`` (``failed`` or ``interrupted``), ``message``, ``exit_code``;
  it may be resumed

Later versions may add keys and events: an event that an observer does not know it passes over.
Last comes ``close``, whatever came before.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class ObservedRun:
    """One run, as an observer gets it when it is opened.

    ``name``: of the run directory. ``directory``: where the observer may write of this run, and
    ``shared``: of all runs that lie beside it; either is made by the observer when it needs it.
    ``spec_digest`` names the configuration, ``settings`` is the whole of it as tables.
    ``resumed``: this observer was opened for this run before; it was told the steps up to
    ``told_step``, and they are not told again.
    """

    name: str
    directory: Path
    shared: Path
    seed: int
    track: str
    ruleset: str
    spec_digest: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    resumed: bool = False
    told_step: int = 0
