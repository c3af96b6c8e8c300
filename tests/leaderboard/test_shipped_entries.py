"""Every entry that the repository ships, held against the rules. Without an entry the first two fail."""

from pathlib import Path

import pytest

from golfreg.config.record import record_to_toml
from golfreg.leaderboard.add import readme
from golfreg.leaderboard.challenge.importing import entry_files
from golfreg.leaderboard.entries import entry_to_toml
from golfreg.leaderboard.rank import rank
from golfreg.leaderboard.reading import read_board, read_entry
from golfreg.rules.findings import Level

ROOT = Path(__file__).parents[2] / "leaderboard"
DIRECTORIES = sorted(path for path in ROOT.glob("*/*") if path.is_dir())
ALLOWED = {"entry.toml", "README.md", "runs"}
HISTORIC = ("parameter-golf", "parameter-golf-non-record")
OWN = [path for path in DIRECTORIES if not (path / "imported.toml").exists()]
IMPORTED = [path for path in DIRECTORIES if path not in OWN]
NOT_RANKED_IN_THE_CHALLENGE = {"claimed", "support"}

own = pytest.mark.parametrize("directory", OWN, ids=lambda path: f"{path.parent.name}/{path.name}")
imported = pytest.mark.parametrize("directory", IMPORTED, ids=lambda path: f"{path.parent.name}/{path.name}")
each = pytest.mark.parametrize("directory", DIRECTORIES, ids=lambda path: f"{path.parent.name}/{path.name}")


def test_the_repository_ships_an_entry_on_the_cpu_track():
    assert [path for path in DIRECTORIES if path.parent.name == "cpu-smoke"]


def test_the_board_has_no_broken_entry_and_every_track_has_a_first():
    board = read_board(ROOT)
    assert board.broken == []
    assert len(board.entries) == len(DIRECTORIES)
    for track, rows in rank(board.entries).items():
        assert rows[0].rank == 1, f"track {track} has no entry that keeps every rule"


def test_the_historic_tracks_hold_every_public_folder_and_what_the_table_has_beside_them():
    assert {path.parent.name for path in IMPORTED} == set(HISTORIC)
    entries = [read_entry(path) for path in IMPORTED]
    with_folder = [entry for entry in entries if "/tree/" in entry.imported.source.url]
    assert (len(with_folder), len(entries) - len(with_folder)) == (60, 9)
    assert all(entry.facts.status == "accepted" for entry in entries if entry not in with_folder)


def test_the_order_of_the_historic_records_is_the_challenges_own():
    """The challenge prints each row's score; only what its own logs contradict stands elsewhere."""
    rows = rank(read_board(ROOT, "parameter-golf").entries)["parameter-golf"]
    ranked = [row for row in rows if row.rank is not None]
    assert {row.entry.facts.status for row in rows if row.rank is None} <= NOT_RANKED_IN_THE_CHALLENGE
    apart = [
        row.entry.imported.source.pull_request
        for row in ranked
        if abs(row.figures.bits_per_byte_mean - row.entry.imported.source.published_bits_per_byte) > 0.00151
    ]
    assert apart == [86]


@own
def test_no_rule_is_broken(directory):
    entry = read_entry(directory)
    assert [finding for finding in entry.findings() if finding.level is Level.FAIL] == []


@imported
def test_an_imported_entry_is_what_its_figures_and_kept_findings_say(directory):
    """Its findings are shown, not hidden: they are facts about the folder, not faults of the entry."""
    entry = read_entry(directory)
    files = {str(path.relative_to(directory)): path.read_text("utf-8") for path in directory.rglob("*.*")}
    assert files == entry_files(entry)
    assert entry.imported.source.url.startswith("https://github.com/openai/parameter-golf/")
    assert len("".join(files.values())) < 64_000


@own
def test_the_files_are_as_golfreg_writes_them(directory):
    entry = read_entry(directory)
    assert (directory / "entry.toml").read_text("utf-8") == entry_to_toml(entry.facts)
    assert (directory / "README.md").read_text("utf-8") == readme(entry)
    for name, record in entry.records.items():
        assert (directory / name).read_text("utf-8") == record_to_toml(record)


@own
def test_an_entry_holds_its_own_files_only(directory):
    entry = read_entry(directory)
    assert {path.name for path in directory.iterdir()} == ALLOWED
    assert {f"runs/{path.name}" for path in (directory / "runs").iterdir()} == set(entry.records)


@each
def test_what_an_entry_builds_on_is_there(directory):
    for base in read_entry(directory).facts.based_on:
        assert (ROOT / base / "entry.toml").is_file()
