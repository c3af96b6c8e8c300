"""Which files a submission may read while it is decoded and scored. Standard library only."""

from __future__ import annotations

import importlib.util
import os
import site
import sys
import sysconfig
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

SYSTEM = ("/bin", "/etc", "/lib", "/lib32", "/lib64", "/opt", "/sbin", "/usr", "/proc", "/sys", "/dev")
"""Where the operating system, its libraries and its devices are."""

SHARED_MEMORY = "/dev/shm"
_MOST_METADATA_BYTES = 64 << 10
_METADATA = frozenset({
    "METADATA", "PKG-INFO", "RECORD", "WHEEL", "INSTALLER", "REQUESTED",
    "entry_points.txt", "top_level.txt", "direct_url.json",
})  # fmt: skip

_DEVICES = ("/dev", "/proc")
"""Where writing is how one talks to a driver or to one's own process."""


@dataclass(frozen=True)
class Places:
    """Roots as real paths. The longest root that holds a path decides; no root: refused."""

    readable: frozenset[str]
    refused: frozenset[str]
    writable: frozenset[str]

    def allows(self, path: str, write: bool) -> bool:
        """Whether a path may be opened."""
        real = os.path.realpath(path)
        allowed = self.writable if write else self.readable | self.writable
        while True:
            if real in self.refused:
                return False
            if real in allowed:
                return True
            parent = os.path.dirname(real)
            if parent == real:
                return False
            real = parent

    def readable_paths(self) -> list[Path]:
        """The readable roots without what is refused inside them, for a mechanism that can only allow."""
        return [part for root in sorted(self.readable) for part in _without(Path(root), self.refused)]

    def writable_paths(self) -> list[Path]:
        return [part for root in sorted(self.writable) for part in _without(Path(root), self.refused)]


def make_places(submission: Collection[str], files: Iterable[Path], scratch: Path) -> Places:
    """Libraries, the system, ``files`` and the scratch directory; never what belongs to a submission.

    ``submission``: top-level module names of golfreg and of every plugin; call it before a finder serves
    them from elsewhere.
    """
    refused = {SHARED_MEMORY}
    for name in submission:
        refused |= package_paths(name)
    libraries: set[str] = set()
    for distribution in metadata.distributions():
        base = str(distribution.locate_file(""))
        if is_plugin(distribution):
            theirs = [Path(str(distribution.locate_file(f))) for f in distribution.files or ()]
            refused |= {str(f) for f in theirs if not _is_metadata(f)}
        elif distribution.metadata["Name"]:
            libraries.add(base)
    readable = {
        *SYSTEM,
        *libraries,
        *_metadata_files(),
        sys.prefix,
        sys.base_prefix,
        sys.exec_prefix,
        *site.getsitepackages(),
    }
    readable |= {sysconfig.get_path(p) for p in ("stdlib", "platstdlib", "purelib", "platlib")}
    readable |= {str(f) for f in files}
    return Places(_real(readable), _real(refused), _real({*_DEVICES, str(scratch)}))


def is_plugin(distribution: metadata.Distribution) -> bool:
    """Whether it registers with golfreg (golfreg's own does too)."""
    return any(entry.group == "golfreg" for entry in distribution.entry_points)


def package_paths(name: str) -> set[str]:
    """Directories or the file of a top-level module, without importing it."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError, AttributeError):
        return set()
    if spec is None:
        return set()
    if spec.submodule_search_locations is not None:
        return set(spec.submodule_search_locations)
    return {spec.origin} if spec.origin and spec.has_location else set()


def _metadata_files() -> set[str]:
    """The few files beside every distribution that installers write: torch reads all entry points."""
    return {
        str(file)
        for place in sys.path
        for pattern in ("*.dist-info", "*.egg-info")
        for directory in Path(place or ".").glob(pattern)
        for file in directory.glob("*")
        if _is_metadata(file)
    }


def _is_metadata(file: Path) -> bool:
    """A file that installers write beside a package, and too small to hold weights."""
    if file.name not in _METADATA or file.parent.suffix not in (".dist-info", ".egg-info"):
        return False
    return file.is_file() and file.stat().st_size <= _MOST_METADATA_BYTES


def _real(paths: Iterable[str]) -> frozenset[str]:
    return frozenset(os.path.realpath(p) for p in paths if p)


def _without(root: Path, refused: Collection[str]) -> list[Path]:
    """``root``, or its parts where something inside is refused."""
    text = str(root)
    if text in refused:
        return []
    if not any(r.startswith(text + os.sep) for r in refused) or not root.is_dir():
        return [root]
    try:
        children = sorted(root.iterdir())
    except OSError:
        return []
    return [p for child in children if not child.is_symlink() for p in _without(child, refused)]
