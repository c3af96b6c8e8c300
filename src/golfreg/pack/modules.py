"""Which modules count as the submission's code: golfreg's and those of every plugin distribution.

Standard library only: every worker imports this.
"""

from __future__ import annotations

import functools
import importlib.metadata
import os
import sys

_OWN = "golfreg"


@functools.cache
def counted_packages() -> dict[str, str]:
    """Top-level import name to distribution, for golfreg and every distribution with a ``golfreg`` entry point.

    Names come from the entry points, from ``top_level.txt`` and from the list of installed files,
    so that editable and regular installs give the same answer.
    """
    packages: dict[str, str] = {}
    for distribution in importlib.metadata.distributions():
        points = [p for p in distribution.entry_points if p.group == _OWN]
        if not points:
            continue
        names = {p.value.partition(":")[0].strip().partition(".")[0] for p in points}
        names |= set((distribution.read_text("top_level.txt") or "").split())
        for path in distribution.files or ():
            first = path.parts[0]
            if len(path.parts) == 1 and path.suffix == ".py":
                names.add(path.stem)
            elif len(path.parts) > 1 and path.suffix in (".py", ".so", ".pyd"):
                names.add(first)
        for name in names:
            if name.isidentifier() and not name.startswith("__"):
                packages.setdefault(name, str(distribution.name))
    packages[_OWN] = _OWN
    return packages


def counted_modules() -> list[str]:
    """Names of the loaded modules that count, sorted; a program run with ``-m`` under its real name."""
    packages = counted_packages()
    names = {name for name, module in list(sys.modules.items()) if module is not None}
    spec = getattr(sys.modules.get("__main__"), "__spec__", None)
    if spec is not None:
        names.add(spec.name)
    return sorted(name for name in names if name.partition(".")[0] in packages)


def package_places(package: str) -> list[str]:
    """The directories of a loaded package, or the one file of a loaded module, as real paths."""
    module = sys.modules.get(package)
    places = list(getattr(module, "__path__", ())) or [getattr(module, "__file__", None)]
    return [os.path.realpath(p) for p in places if p]


def plugin_of_file(filename: str) -> str | None:
    """The plugin distribution that a source file belongs to; None for golfreg's own and everyone else's."""
    path = os.path.realpath(filename)
    for package, distribution in counted_packages().items():
        if distribution == _OWN:
            continue
        for place in package_places(package):
            if path == place or path.startswith(place + os.sep):
                return distribution
    return None
