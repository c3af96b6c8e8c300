"""The pluggy markers. A plugin decorates its hooks with ``@golfreg.api.hookimpl``."""

from __future__ import annotations

import pluggy

PROJECT = "golfreg"
"""Name of the entry-point group, of the pluggy project and of every hook's prefix."""

GOLFREG_API = 1
"""Version of this interface. A plugin module states the one it was written for: ``GOLFREG_API = 1``."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
