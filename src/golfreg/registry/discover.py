"""Finds the entry points of the group ``golfreg`` in the installed distributions.

One unreadable ``.dist-info`` must not hide the others, so each is read in its own guard;
``importlib.metadata.entry_points`` would raise at the first.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.metadata
import re
from collections.abc import Sequence
from pathlib import PurePath

from golfreg.api.markers import PROJECT
from golfreg.registry.records import Failure, Provider, Source

_GROUP = re.compile(rf"^\s*\[{PROJECT}\]\s*$", re.MULTILINE)
_VALUE = re.compile(r"(?P<module>[\w.]+)\s*(?::\s*(?P<attribute>[\w.]+)\s*)?(?:\[.*\]\s*)?\Z")


def normalized(name: str) -> str:
    """A distribution's name as package indexes compare it: ``Golfreg_Zstd`` is ``golfreg-zstd``."""
    return re.sub(r"[-_.]+", "-", name).lower()


def discover(path: Sequence[str] | None = None) -> tuple[list[Source], list[Failure]]:
    """Every entry point of the group, in an order that does not depend on the file system.

    ``path``: directories to look in instead of ``sys.path``. Of two copies of a distribution the
    first on the path counts, since that is the one that Python imports.
    """
    found: dict[str, list[Source]] = {}
    failures: list[Failure] = []
    distributions = importlib.metadata.distributions() if path is None else _in_directories(path)
    for distribution in distributions:
        try:
            if not _GROUP.search(distribution.read_text("entry_points.txt") or ""):
                continue
            name, version = _identity(distribution)
            if normalized(name) not in found:
                found[normalized(name)] = [
                    _source(point.name, point.value, name, version)
                    for point in distribution.entry_points
                    if point.group == PROJECT
                ]
        except Exception as error:
            folder = _folder(distribution)
            failures.append(
                Failure(
                    Provider("?", *_from_folder(folder), module="?"),
                    "metadata",
                    f"{type(error).__name__}: {error}",
                    f"reinstall it, or remove the folder `{folder}`",
                )
            )
    return [source for name in sorted(found) for source in found[name]], failures


def _in_directories(path: Sequence[str]) -> list[importlib.metadata.Distribution]:
    return list(importlib.metadata.distributions(path=list(path)))


def _source(entry_point: str, value: str, distribution: str, version: str) -> Source:
    match = _VALUE.match(value)
    provider = Provider(entry_point, distribution, version, match["module"] if match else value)
    return Source(provider, functools.partial(_load, value))


def _load(value: str) -> object:
    match = _VALUE.match(value)
    if match is None:
        raise ImportError(f'the entry point is {value!r}; it is written "package.module" or "package.module:object"')
    plugin: object = importlib.import_module(match["module"])
    for attribute in (match["attribute"] or "").split("."):
        if attribute:
            plugin = getattr(plugin, attribute)
    return plugin


def _identity(distribution: importlib.metadata.Distribution) -> tuple[str, str]:
    """Name and version; from the folder's name where ``METADATA`` is missing or damaged."""
    with contextlib.suppress(Exception):
        name: object = distribution.metadata["Name"]
        version: object = distribution.metadata["Version"]
        if isinstance(name, str) and isinstance(version, str):
            return name, version
    return _from_folder(_folder(distribution))


def _folder(distribution: importlib.metadata.Distribution) -> str:
    return str(getattr(distribution, "_path", "an unnamed distribution"))


def _from_folder(folder: str) -> tuple[str, str]:
    name, _, version = PurePath(folder).stem.partition("-")
    return name, version or "?"
