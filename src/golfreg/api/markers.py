"""The pluggy markers. A plugin decorates its hooks with ``@golfreg.api.hookimpl``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

PROJECT = "golfreg"
"""Name of the entry-point group, of the pluggy project and of every hook's prefix."""

GOLFREG_API = 1
"""Version of this interface. A plugin module states the one it was written for: ``GOLFREG_API = 1``."""

try:
    from pluggy import HookimplMarker, HookspecMarker
except ModuleNotFoundError:  # An exported script runs without pluggy: it has no host that would look for hooks.

    def HookimplMarker(project: str) -> Callable[..., Any]:  # type: ignore[no-redef]
        return lambda function=None, **options: function or (lambda later: later)

    HookspecMarker = HookimplMarker  # type: ignore[misc, assignment]

hookspec = HookspecMarker(PROJECT)
hookimpl = HookimplMarker(PROJECT)
