"""Entries from their directories: the files first, none of which is a link, and then what they say.

The two are apart because thousands of entries are read sooner a step at a time.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple, TypeVar

from golfreg.api.errors import ConfigError, GolfregError, InputError
from golfreg.config import strict
from golfreg.config.imported import MAX_IMPORTED_BYTES, Imported, ImportedRun, parse_imported
from golfreg.config.record import MAX_RECORD_BYTES, RunRecord, parse_record, parse_records
from golfreg.leaderboard.entries import ENTRY_DIRECTORY, MAX_ENTRY_BYTES, MAX_SEEDS, Board, Entry, parse_entry
from golfreg.leaderboard.places import Broken, find_entries, find_tracks
from golfreg.rules.ruleset import load_ruleset

_SEED_FILE = re.compile(r"seed_(0|-?[1-9]\d{0,18})\.toml")
T = TypeVar("T")


class Files(NamedTuple):
    """The texts of an entry at ``place``, an absolute path. ``imported``: None of golfreg's own. ``runs``: by name."""

    place: str
    entry: str
    imported: str | None
    runs: dict[str, str]


def read_entry(directory: Path | str) -> Entry:
    """Read and validate one entry. InputError for anything that is not as it should be."""
    return parse_files(read_files(directory))


def read_board(root: Path, track: str | None = None) -> Board:
    """Every entry under ``root``, or of one track. InputError if there is no such leaderboard or track."""
    entries, broken = [], []
    for key, path in find_entries(root, find_tracks(root, track)):
        try:
            entries.append(read_entry(path.path))
        except GolfregError as error:
            broken.append(Broken(strict.shown(key, 200), error.message, error.hint))
    return Board(entries, broken)


def read_files(directory: Path | str) -> Files:
    """The files of one entry. InputError for a name, a kind of file or a size that an entry does not have."""
    place = os.path.abspath(directory)
    if ENTRY_DIRECTORY.fullmatch(os.path.basename(place)) is None:
        raise InputError(
            f"`{strict.shown(_key(place))}` is not named as an entry is", "an entry is `track/YYYY-MM-DD_name`"
        )
    _plain(place)
    entry = _text(f"{place}/entry.toml", "entry", MAX_ENTRY_BYTES)
    runs = f"{place}/runs"
    if os.path.lexists(f"{place}/imported.toml"):
        imported = _text(f"{place}/imported.toml", "import", MAX_IMPORTED_BYTES)
        # Git keeps no empty directory: an import without any seed has none.
        found = os.path.lexists(runs)
        return Files(place, entry, imported, _runs(place, "imported run", MAX_IMPORTED_BYTES) if found else {})
    return Files(place, entry, None, _runs(place, "record", MAX_RECORD_BYTES))


def parse_all(files: Sequence[Files]) -> list[Entry | GolfregError]:
    """The entries that these files are, or why one is none."""
    runs = [
        (f"{one.place}/runs/{name}", text) for one in files if one.imported is None for name, text in one.runs.items()
    ]
    known = zip(runs, parse_records([text for _, text in runs]), strict=True)
    ready = {path: record for (path, _), record in known if record is not None}
    found: list[Entry | GolfregError] = []
    for one in files:
        try:
            found.append(parse_files(one, ready))
        except GolfregError as error:
            found.append(error)
    return found


def parse_files(files: Files, ready: Mapping[str, RunRecord] = MappingProxyType({})) -> Entry:
    """The entry that these files are. InputError for anything that is not as it should be.

    ``ready``: records that were read already, by path.
    """
    place = files.place
    key = _key(place)
    track, name = key.split("/")
    path = f"{place}/entry.toml"
    facts = parse_entry(files.entry, f"entry `{path}`")
    for what, content, expected in (
        ("track", facts.track, track),
        ("date", facts.date, name[:10]),
        ("name", facts.name, name[11:]),
    ):
        if content != expected:
            raise InputError(f"entry `{path}` says {what} `{content}`; its path says `{strict.shown(expected)}`")
    try:
        ruleset = load_ruleset(facts.ruleset)
    except ConfigError as error:
        raise InputError(f"entry `{path}`: {error.message}", error.hint) from error
    if ruleset.track != facts.track:
        raise InputError(f"entry `{path}`: ruleset `{ruleset.name}` is of track `{ruleset.track}`, not `{facts.track}`")
    if files.imported is not None:
        imported = parse_imported(files.imported, f"import `{place}/imported.toml`", Imported)
        return Entry(key, facts, ruleset, {}, imported, _by_seed(files, _imported_run, lambda run: run.seed))
    records = _by_seed(files, lambda text, path: ready.get(path) or _record(text, path), lambda record: record.run.seed)
    if not records:
        raise InputError(f"entry `{place}` has no records", "it has one file `runs/seed_N.toml` for each seed")
    return Entry(key, facts, ruleset, records)


def _key(place: str) -> str:
    return f"{os.path.basename(os.path.dirname(place))}/{os.path.basename(place)}"


def _by_seed(files: Files, parse: Callable[[str, str], T], seed_of: Callable[[T], int]) -> dict[str, T]:
    """The runs by file name, sorted by seed."""
    found: dict[int, T] = {}
    for name, text in files.runs.items():
        run = parse(text, f"{files.place}/runs/{name}")
        seed = seed_of(run)
        if name != f"seed_{seed}.toml":
            raise InputError(f"record `{files.place}/runs/{name}` is of seed {seed}", "the file is named by its seed")
        found[seed] = run
    return {f"runs/seed_{seed}.toml": found[seed] for seed in sorted(found)}


def _record(text: str, path: str) -> RunRecord:
    return parse_record(text, f"record `{path}`")


def _imported_run(text: str, path: str) -> ImportedRun:
    return parse_imported(text, f"imported run `{path}`", ImportedRun)


def _runs(place: str, what: str, max_bytes: int) -> dict[str, str]:
    """The texts of the runs, by name."""
    runs = _plain(f"{place}/runs")
    try:
        names = sorted(os.listdir(runs))
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"entry `{place}` has no `runs` directory", "it holds one record for each seed") from None
    except OSError as error:
        raise InputError(f"`{runs}`: {error.strerror or error}", "check the path") from error
    for name in names:
        if _SEED_FILE.fullmatch(name) is None:
            raise InputError(f"`{runs}` holds `{strict.shown(name)}`", "records are named `seed_N.toml`")
    if len(names) > MAX_SEEDS:
        raise InputError(f"`{runs}` holds over {MAX_SEEDS} records")
    return {name: _text(f"{runs}/{name}", what, max_bytes) for name in names}


def _text(path: str, what: str, max_bytes: int) -> str:
    try:
        return strict.read_text(path, what, max_bytes, follow=False)
    except InputError:
        _plain(path)
        raise


def _plain(path: str) -> str:
    """The path, unless it is a symbolic link: an entry shows nothing that lies outside it."""
    if os.path.islink(path):
        raise InputError(f"`{path}` is a symbolic link", "an entry holds its own files")
    return path
