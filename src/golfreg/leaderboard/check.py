"""What ``leaderboard check`` was pointed at, and what is found there.

A whole leaderboard, one track, one entry, or a record folder of the challenge as its author hands it in.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from golfreg.api.errors import GolfregError, InputError
from golfreg.config import strict
from golfreg.leaderboard.challenge import folder
from golfreg.leaderboard.claims import board_findings
from golfreg.leaderboard.entries import ENTRY_DIRECTORY, Board, Entry
from golfreg.leaderboard.places import Broken
from golfreg.leaderboard.reading import read_board, read_entry
from golfreg.rules.findings import Finding, Level
from golfreg.rules.ruleset import load_ruleset


@dataclass(frozen=True)
class Checked:
    """Findings by entry, of every rule, and what could not be read."""

    findings: dict[str, list[Finding]]
    broken: list[Broken]

    def count(self, level: Level) -> int:
        """Findings of a level, over all entries."""
        return sum(finding.level is level for each in self.findings.values() for finding in each)


def check_path(path: Path, ruleset: str | None = None, now: datetime | None = None) -> Checked:
    """Hold what is at ``path`` against its rulesets, or against ``ruleset``: then only the entries of its track.

    The rules over the whole leaderboard see the other entries of the track and what is built on, but
    only what is at ``path`` is reported. InputError: nothing there, or nothing of the ruleset's track.
    """
    if folder.is_challenge_folder(path):
        rules = None if ruleset is None else load_ruleset(ruleset)
        return Checked({strict.shown(path.absolute().name): folder.check_folder(path, rules)}, [])
    board = read_any(path)
    entries = board.entries if ruleset is None else under(board.entries, ruleset)
    around = {entry.key: entry for entry in [*_around(path.absolute(), board.entries), *entries]}
    whole = board_findings(around.values())
    return Checked({entry.key: entry.findings(now) + whole[entry.key] for entry in entries}, board.broken)


def under(entries: list[Entry], name: str) -> list[Entry]:
    """The entries of that ruleset's track, held against it. InputError if there are some, but none of it."""
    ruleset = load_ruleset(name)
    held = [replace(entry, ruleset=ruleset) for entry in entries if entry.facts.track == ruleset.track]
    if entries and not held:
        tracks = ", ".join(sorted({entry.facts.track for entry in entries}))
        raise InputError(
            f"ruleset `{name}` is of track `{ruleset.track}`; the entries are of {tracks}",
            "`golfreg leaderboard rules` lists the rulesets of each track",
        )
    return held


def read_any(path: Path) -> Board:
    """The entries at ``path``. InputError if it is neither leaderboard, track nor entry."""
    if not path.is_dir():
        raise InputError(f"there is no leaderboard, track or entry at `{path}`", "check the path")
    path = path.absolute()
    if _is_entry(path):
        return _one(path)
    if _is_track(path):
        return read_board(path.parent, path.name)
    return read_board(path)


def _around(path: Path, entries: list[Entry]) -> list[Entry]:
    """Entries beside those at ``path``: of their track, and what they build on. What is broken there is not ours."""
    if _is_entry(path):
        found = read_board(path.parent.parent, path.parent.name).entries
    elif _is_track(path):
        found = []
    else:
        return []
    root = path.parent.parent if _is_entry(path) else path.parent
    known = {entry.key for entry in [*entries, *found]}
    for key in sorted({base for entry in entries for base in entry.facts.based_on} - known):
        try:
            found.append(read_entry(root / key))
        except GolfregError:
            continue
    return found


def _is_entry(path: Path) -> bool:
    return (path / "entry.toml").exists() or (path / "runs").is_dir()


def _is_track(path: Path) -> bool:
    return any(ENTRY_DIRECTORY.fullmatch(below.name) for below in path.iterdir())


def _one(path: Path) -> Board:
    try:
        return Board([read_entry(path)], [])
    except InputError as error:
        return Board([], [Broken(f"{path.parent.name}/{path.name}", error.message, error.hint)])
