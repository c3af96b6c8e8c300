"""The files of a leaderboard in a commit: which may be there, how large, and the entries that they make up.

Files of a commit that others wrote are copied to a temporary directory before they are read: only those whose
whole path is that of an entry's file, that are plain, and that are small. Nothing else of the commit is read.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from golfreg.api.errors import ConfigError, GolfregError, InputError
from golfreg.config import strict
from golfreg.config.imported import MAX_IMPORTED_BYTES
from golfreg.config.record import MAX_RECORD_BYTES
from golfreg.leaderboard.entries import ENTRY_DIRECTORY, MAX_ENTRY_BYTES, Entry
from golfreg.leaderboard.git import PLAIN, Leaf, Repository
from golfreg.leaderboard.places import Broken
from golfreg.leaderboard.reading import read_entry

MAX_README_BYTES = 64 * 1024
_TRACK = r"[a-z0-9][a-z0-9_.-]{0,99}"
_FILES = {
    r"entry\.toml": MAX_ENTRY_BYTES,
    r"README\.md": MAX_README_BYTES,
    r"imported\.toml": MAX_IMPORTED_BYTES,
    r"runs/seed_(?:0|-?[1-9]\d{0,18})\.toml": MAX_RECORD_BYTES,
}
"""What an entry may have, and the bytes of each."""
MAX_FILE_BYTES = max(_FILES.values())
_PATH = re.compile(rf"({_TRACK})/({ENTRY_DIRECTORY.pattern})/({'|'.join(_FILES)})", re.ASCII)
_ROOT = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*(/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*")


@dataclass(frozen=True)
class Place:
    """A file of an entry. ``name``: inside the entry. ``max_bytes``: what it may have."""

    track: str
    key: str
    name: str
    max_bytes: int


@dataclass(frozen=True)
class Tree:
    """The files at and under ``root`` in one commit."""

    root: str
    leaves: list[Leaf]

    def places(self) -> list[tuple[Leaf, Place]]:
        """The files of entries."""
        found = ((leaf, place_of(self.root, leaf.path)) for leaf in self.leaves)
        return [(leaf, place) for leaf, place in found if place is not None]


@dataclass(frozen=True)
class Entries:
    """Valid entries, and those that cannot be read, by key."""

    entries: dict[str, Entry]
    broken: dict[str, Broken]


def root_of(text: str) -> str:
    """The leaderboard's directory as a path inside the repository. ConfigError for any other path."""
    root = text.strip("/") if not text.startswith("/") else text
    if not _ROOT.fullmatch(root):
        raise ConfigError(
            f"`--root {strict.shown(text)}` is no directory of the repository", "as in `--root leaderboard`"
        )
    return root


def place_of(root: str, path: bytes) -> Place | None:
    """Where in a leaderboard the file at ``path`` stands; None if no entry may have it."""
    start = f"{root}/".encode()
    if not path.startswith(start) or len(path) > 400 or not path.isascii():
        return None
    match = _PATH.fullmatch(path[len(start) :].decode("ascii"))
    if match is None:
        return None
    name = match[5]
    limit = next(limit for pattern, limit in _FILES.items() if re.fullmatch(pattern, name))
    return Place(match[1], f"{match[1]}/{match[2]}", name, limit)


def name_of(path: bytes) -> str:
    """A path for people: what is not text, or could steer a terminal, is escaped."""
    return strict.shown(path.decode("utf-8", "backslashreplace"), 200)


def read_entries(repository: Repository, tree: Tree, keys: Collection[str] | None, into: Path) -> Entries:
    """The entries of ``keys``, read from copies of their files under the new directory ``into``.

    ``keys`` None: all of them, without their READMEs, as of a side that nobody asks to have looked at.
    """
    wanted: dict[str, list[tuple[Leaf, Place]]] = {}
    for leaf, place in tree.places():
        if place.key in keys if keys is not None else place.name != "README.md":
            wanted.setdefault(place.key, []).append((leaf, place))
    broken = {key: why for key, files in wanted.items() if (why := _unreadable(key, files))}
    files = [file for key, files in wanted.items() if key not in broken for file in files]
    _copy(repository, files, into)
    entries: dict[str, Entry] = {}
    for key in sorted(wanted.keys() - broken.keys()):
        try:
            entries[key] = _read(into, key)
        except GolfregError as error:
            hint = error.hint and error.hint.replace(f"{into}/", "")
            broken[key] = Broken(key, error.message.replace(f"{into}/", ""), hint)
    return Entries(entries, broken)


def _read(into: Path, key: str) -> Entry:
    readme = into / key / "README.md"
    if readme.exists():
        strict.read_text(readme, "README", MAX_README_BYTES)
    return read_entry(into / key)


def _unreadable(key: str, files: Sequence[tuple[Leaf, Place]]) -> Broken | None:
    """Why an entry's files are not even copied."""
    seen = set()
    for leaf, place in files:
        if leaf.mode not in (PLAIN, PLAIN | 0o111):
            return Broken(key, f"`{place.name}` is not a plain file", "an entry holds its own files")
        if leaf.size > place.max_bytes:
            return Broken(key, f"`{place.name}` has {leaf.size:,} bytes, over {place.max_bytes:,}", None)
        if place.name in seen:
            return Broken(key, f"`{place.name}` stands there twice", "the commit is damaged: make it again")
        seen.add(place.name)
    return None


def _copy(repository: Repository, files: Sequence[tuple[Leaf, Place]], into: Path) -> None:
    into.mkdir()
    contents = repository.contents([leaf for leaf, _ in files])
    for (_, place), (_, data) in zip(files, contents, strict=True):
        path = into / place.key / place.name
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with path.open("xb") as file:
                file.write(data)
        except OSError as error:
            raise InputError(f"cannot copy `{place.key}/{place.name}`: {error.strerror}", "check the disk") from error
