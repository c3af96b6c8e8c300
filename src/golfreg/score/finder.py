"""Serves golfreg and plugin modules from the code that the artifact counts, and nothing else. Standard library only."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType


class NotCounted(ModuleNotFoundError):
    """A module of golfreg or of a plugin that the artifact does not hold."""


class CountedFinder(MetaPathFinder):
    """``code_dir``: extracted code, laid out as packages. ``guarded``: top-level names that come from there only."""

    def __init__(self, code_dir: Path, guarded: Collection[str]) -> None:
        self.code_dir = code_dir
        self.guarded = set(guarded) | {p.stem for p in code_dir.iterdir() if p.is_dir() or p.suffix == ".py"}
        self.missing: list[str] = []
        """Modules that were asked for and not served, in order."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] not in self.guarded:
            return None
        base = self.code_dir.joinpath(*fullname.split("."))
        package = base / "__init__.py"
        if package.is_file():
            return spec_from_file_location(fullname, package, submodule_search_locations=[str(base)])
        if base.with_suffix(".py").is_file():
            return spec_from_file_location(fullname, base.with_suffix(".py"))
        self.missing.append(fullname)
        raise NotCounted(f"module `{fullname}` was not counted in the artifact", name=fullname)


def serve(code_dir: Path, guarded: Collection[str]) -> tuple[CountedFinder, list[ModuleType]]:
    """Forget every guarded module that is loaded and serve them from ``code_dir`` from now on.

    Returns the finder and the forgotten modules: their functions go on working for whoever holds them.
    """
    finder = CountedFinder(code_dir, guarded)
    forgotten = [sys.modules.pop(name) for name in list(sys.modules) if name.partition(".")[0] in finder.guarded]
    sys.meta_path.insert(0, finder)
    return finder, forgotten
