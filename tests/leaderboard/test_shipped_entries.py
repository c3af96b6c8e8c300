"""Every entry that the repository ships, held against the rules. Without an entry the first two fail."""

from pathlib import Path

import pytest

from golfreg.config.record import record_to_toml
from golfreg.leaderboard.add import readme
from golfreg.leaderboard.entries import entry_to_toml, read_board, read_entry
from golfreg.leaderboard.rank import rank
from golfreg.rules.findings import Level

ROOT = Path(__file__).parents[2] / "leaderboard"
DIRECTORIES = sorted(path for path in ROOT.glob("*/*") if path.is_dir())
ALLOWED = {"entry.toml", "README.md", "runs"}

each = pytest.mark.parametrize("directory", DIRECTORIES, ids=lambda path: f"{path.parent.name}/{path.name}")


def test_the_repository_ships_an_entry_on_the_cpu_track():
    assert [path for path in DIRECTORIES if path.parent.name == "cpu-smoke"]


def test_the_board_has_no_broken_entry_and_every_track_has_a_first():
    board = read_board(ROOT)
    assert board.broken == []
    assert len(board.entries) == len(DIRECTORIES)
    for track, rows in rank(board.entries).items():
        assert rows[0].rank == 1, f"track {track} has no entry that keeps every rule"


@each
def test_no_rule_is_broken(directory):
    entry = read_entry(directory)
    assert [finding for finding in entry.findings() if finding.level is Level.FAIL] == []


@each
def test_the_files_are_as_golfreg_writes_them(directory):
    entry = read_entry(directory)
    assert (directory / "entry.toml").read_text("utf-8") == entry_to_toml(entry.facts)
    assert (directory / "README.md").read_text("utf-8") == readme(entry)
    for name, record in entry.records.items():
        assert (directory / name).read_text("utf-8") == record_to_toml(record)


@each
def test_an_entry_holds_its_own_files_only(directory):
    entry = read_entry(directory)
    assert {path.name for path in directory.iterdir()} == ALLOWED
    assert {f"runs/{path.name}" for path in (directory / "runs").iterdir()} == set(entry.records)


@each
def test_what_an_entry_builds_on_is_there(directory):
    for base in read_entry(directory).facts.based_on:
        assert (ROOT / base / "entry.toml").is_file()
