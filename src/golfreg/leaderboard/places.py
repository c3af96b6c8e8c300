"""Where entries are: ``root/<track>/<entry>/``. Looks at names only."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from golfreg.api.errors import InputError


class Broken(NamedTuple):
    """A directory that is no valid entry, and why."""

    key: str
    message: str
    hint: str | None


def find_tracks(root: Path, track: str | None = None) -> list[str]:
    """Names of the tracks, sorted, or the one that is asked for. InputError if there is no such board or track."""
    if not root.is_dir():
        raise InputError(
            f"there is no leaderboard at `{root}`",
            "`--root DIR` names another; `golfreg leaderboard add RUNDIR` begins one",
        )
    names = [entry.name for entry in _directories(root)]
    if track is None or track in names:
        return names if track is None else [track]
    from golfreg.config.strict import shown

    raise InputError(
        f"the leaderboard at `{root}` has no track `{shown(track)}`",
        "tracks: " + (", ".join(map(shown, names)) or "none yet"),
    )


def find_entries(root: Path | str, tracks: list[str]) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """What should be entries, as ``track/name``, in order."""
    for track in tracks:
        for entry in _directories(os.path.join(root, track)):
            yield f"{track}/{entry.name}", entry


def _directories(path: Path | str) -> list[os.DirEntry[str]]:
    with os.scandir(path) as entries:
        found = [entry for entry in entries if not entry.name.startswith(".") and entry.is_dir()]
    return sorted(found, key=lambda entry: entry.name)
