"""What ``leaderboard check`` was pointed at: a whole leaderboard, one track, or one entry."""

from __future__ import annotations

from pathlib import Path

from golfreg.api.errors import InputError
from golfreg.leaderboard.entries import ENTRY_DIRECTORY, Board, Broken, read_board, read_entry


def read_any(path: Path) -> Board:
    """The entries at ``path``. InputError if it is neither leaderboard, track nor entry."""
    if not path.is_dir():
        raise InputError(f"there is no leaderboard, track or entry at `{path}`", "check the path")
    path = path.absolute()
    if (path / "entry.toml").exists() or (path / "runs").is_dir():
        return _one(path)
    if any(ENTRY_DIRECTORY.fullmatch(below.name) for below in path.iterdir()):
        return read_board(path.parent, path.name)
    return read_board(path)


def _one(path: Path) -> Board:
    try:
        return Board([read_entry(path)], [])
    except InputError as error:
        return Board([], [Broken(f"{path.parent.name}/{path.name}", error.message, error.hint)])
