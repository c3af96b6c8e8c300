"""An entry: ``<track>/<date>_<name>/`` with ``entry.toml`` and one record for each seed, ``runs/seed_N.toml``.

The path must repeat what the content says. What an entry declares is a statement: nothing here
believes it, the rules recompute it. An imported entry has ``imported.toml`` beside it, and its runs
are what others published.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, TypeVar

from golfreg.api.errors import ConfigError, GolfregError, InputError
from golfreg.config import quick, quick_sections, strict
from golfreg.config.imported import MAX_IMPORTED_BYTES, Imported, ImportedRun, parse_imported
from golfreg.config.record import MAX_RECORD_BYTES, RunRecord, parse_record, to_table
from golfreg.leaderboard.places import find_entries, find_tracks
from golfreg.rules.figures import Figures, SeedResult, figures_of, seed_result
from golfreg.rules.findings import Finding, check_records
from golfreg.rules.imported_rules import check_imported, imported_result
from golfreg.rules.ruleset import Ruleset, load_ruleset

ENTRY_SCHEMA = 1
MAX_ENTRY_BYTES = 64 * 1024
MAX_SEEDS = 100
STATUSES = (
    "claimed", "reproduced", "accepted", "superseded", "support", "withdrawn", "reverted", "invalid",
)  # fmt: skip
"""``claimed`` is what ``leaderboard add`` writes; who may set another says ``golfreg.rules.lifecycle``."""

NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,59}")
_TRACK = re.compile(r"[a-z0-9][a-z0-9_.-]{0,99}")
ENTRY_DIRECTORY = re.compile(r"(\d{4}-\d\d-\d\d)_([a-z0-9][a-z0-9-]{0,59})")
_BASE = re.compile(rf"[a-z0-9][a-z0-9_.-]{{0,99}}/{ENTRY_DIRECTORY.pattern}")
T = TypeVar("T")
_SEED_FILE = re.compile(r"seed_(0|-?[1-9]\d{0,18})\.toml")


@dataclass(frozen=True, kw_only=True)
class Reproduction:
    """Someone else's runs of the same configuration. ``environment``: hardware and versions, in words."""

    by: str
    date: str
    url: str = ""
    environment: str = ""
    bits_per_byte: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.bits_per_byte or min(self.bits_per_byte) <= 0:
            raise InputError("a reproduction has at least one score, above 0")


@dataclass(frozen=True, kw_only=True)
class EntryFacts:
    """What ``entry.toml`` says. ``name``: a slug. ``date``: the day of the claim, UTC."""

    name: str
    author: str
    track: str
    ruleset: str
    date: str
    status: str
    reason: str = ""
    """Why it has this status: for ``invalid`` the code of the rule that it breaks."""
    based_on: tuple[str, ...] = ()
    """Entries that this one builds on, as ``track/date_name``."""
    techniques: tuple[str, ...] = ()
    reproductions: tuple[Reproduction, ...] = ()
    """Runs by others."""
    declared: Figures = field(kw_only=True)

    def __post_init__(self) -> None:
        strict.text_matching(self.name, NAME, "name", "lower-case letters, digits and `-`, at most 60")
        strict.text_matching(self.track, _TRACK, "track", "lower-case letters, digits, `.`, `_` and `-`")
        if not self.author.strip() or len(self.author) > 200:
            raise InputError("author is empty or longer than 200 characters")
        if self.status not in STATUSES:
            raise InputError(f"status is {strict.shown(self.status)}; it must be one of {', '.join(STATUSES)}")
        if self.status == "invalid" and not self.reason:
            raise InputError("an invalid entry has a `reason`: the code of the rule that it breaks")
        for base in self.based_on:
            strict.text_matching(base, _BASE, "based_on", "entries as `track/date_name`")
        try:
            exists = date.fromisoformat(self.date).isoformat() == self.date
        except ValueError:
            exists = False
        if not exists:
            raise InputError(f"date is {strict.shown(self.date)}; it must be a day, as in 2026-05-01")


class Parts(NamedTuple):
    """What an entry is made of, for tables; empty where it is not known."""

    architecture: str
    quantizer: str
    codec: str
    corpus: str
    tokenizer: str


@dataclass(frozen=True)
class Entry:
    """A valid entry. ``key``: ``track/date_name``.

    ``records``: golfreg's own, by file name inside the entry, sorted by seed; or, of an imported
    entry, ``imported`` and ``imported_runs``.
    """

    key: str
    facts: EntryFacts
    ruleset: Ruleset
    records: dict[str, RunRecord] = field(default_factory=dict)
    imported: Imported | None = None
    imported_runs: dict[str, ImportedRun] = field(default_factory=dict)

    def findings(self, now: datetime | None = None) -> list[Finding]:
        """Every rule over the records and what is declared."""
        if self.imported is not None:
            return check_imported(self.imported, self.imported_runs, self.ruleset, self.facts.declared)
        return check_records(self.records, self.ruleset, self.facts.declared, self.facts.date, now, self.figures)

    @cached_property
    def results(self) -> list[SeedResult]:
        """Each seed that has a score. An imported entry without seeds has none."""
        if self.imported is None:
            return [seed_result(where, record) for where, record in self.records.items()]
        found = (imported_result(where, run) for where, run in self.imported_runs.items())
        return [result for result in found if result is not None]

    @cached_property
    def figures(self) -> Figures:
        """Recomputed from the seeds; of an imported entry without any, as declared."""
        return figures_of(self.results) if self.results else self.facts.declared

    @property
    def parts(self) -> Parts:
        """Names of what it is made of."""
        if self.imported is not None:
            described = self.imported.described
            return Parts(described.architecture, described.quantizer, described.codec, "", described.tokenizer)
        record = next(iter(self.records.values()))
        named = record.components
        return Parts(
            named.architecture.name, named.quantizer.name, named.codec.name, named.corpus.name, record.data.tokenizer
        )


@dataclass(frozen=True)
class Broken:
    """A directory that is no valid entry, and why."""

    key: str
    message: str
    hint: str | None


@dataclass(frozen=True)
class Board:
    """A leaderboard as found on disk: one broken entry hides no other."""

    entries: list[Entry]
    broken: list[Broken]


def entry_to_toml(facts: EntryFacts) -> str:
    """The text of ``entry.toml``: fixed key order, one fact a line."""
    import tomli_w

    table = {"schema": ENTRY_SCHEMA, **to_table(facts)}
    if not facts.reproductions:
        del table["reproductions"]
    declared = table.pop("declared")
    text = tomli_w.dumps({**table, "declared": declared})
    parse_entry(text, "the entry")
    return text


def parse_entry(text: str, where: str) -> EntryFacts:
    """Validate the text of ``entry.toml``. InputError names the key."""
    return quick.read(EntryFacts, ENTRY_SCHEMA, text, where)


def read_entry(directory: Path) -> Entry:
    """Read and validate one entry. InputError for anything that is not as it should be."""
    place = os.path.abspath(directory)
    track, name = os.path.basename(os.path.dirname(place)), os.path.basename(place)
    key = f"{track}/{name}"
    said = ENTRY_DIRECTORY.fullmatch(name)
    if said is None:
        raise InputError(f"`{strict.shown(key)}` is not named as an entry is", "an entry is `track/YYYY-MM-DD_name`")
    _plain(place)
    path = f"{place}/entry.toml"
    facts = parse_entry(_text(path, "entry", MAX_ENTRY_BYTES), f"entry `{path}`")
    for what, content, expected in (
        ("track", facts.track, track),
        ("date", facts.date, said[1]),
        ("name", facts.name, said[2]),
    ):
        if content != expected:
            raise InputError(f"entry `{path}` says {what} `{content}`; its path says `{strict.shown(expected)}`")
    try:
        ruleset = load_ruleset(facts.ruleset)
    except ConfigError as error:
        raise InputError(f"entry `{path}`: {error.message}", error.hint) from error
    if ruleset.track != facts.track:
        raise InputError(f"entry `{path}`: ruleset `{ruleset.name}` is of track `{ruleset.track}`, not `{facts.track}`")
    if os.path.lexists(f"{place}/imported.toml"):
        path = f"{place}/imported.toml"
        imported = parse_imported(_text(path, "import", MAX_IMPORTED_BYTES), f"import `{path}`", Imported)
        # Git keeps no empty directory: an import without any seed has none.
        found = os.path.lexists(f"{place}/runs")
        runs = _read_runs(place, _imported_run, lambda run: run.seed) if found else {}
        return Entry(key, facts, ruleset, {}, imported, runs)
    records = _read_runs(place, _record, lambda record: record.run.seed)
    if not records:
        raise InputError(f"entry `{place}` has no records", "it has one file `runs/seed_N.toml` for each seed")
    return Entry(key, facts, ruleset, records)


def read_board(root: Path, track: str | None = None) -> Board:
    """Every entry under ``root``, or of one track. InputError if there is no such leaderboard or track."""
    entries, broken = [], []
    with quick_sections.remembering():
        for key, path in find_entries(root, find_tracks(root, track)):
            try:
                entries.append(read_entry(Path(path)))
            except GolfregError as error:
                broken.append(Broken(strict.shown(key, 200), error.message, error.hint))
    return Board(entries, broken)


def _record(path: str) -> RunRecord:
    return parse_record(_text(path, "record", MAX_RECORD_BYTES), f"record `{path}`")


def _imported_run(path: str) -> ImportedRun:
    return parse_imported(_text(path, "imported run", MAX_IMPORTED_BYTES), f"imported run `{path}`", ImportedRun)


def _read_runs(place: str, read: Callable[[str], T], seed_of: Callable[[T], int]) -> dict[str, T]:
    """By file name, sorted by seed."""
    runs = _plain(f"{place}/runs")
    try:
        names = sorted(os.listdir(runs))
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"entry `{place}` has no `runs` directory", "it holds one record for each seed") from None
    except OSError as error:
        raise InputError(f"`{runs}`: {error.strerror or error}", "check the path") from error
    found: dict[int, T] = {}
    for count, name in enumerate(names):
        match = _SEED_FILE.fullmatch(name)
        if match is None:
            raise InputError(f"`{runs}` holds `{strict.shown(name)}`", "records are named `seed_N.toml`")
        if count >= MAX_SEEDS:
            raise InputError(f"`{runs}` holds over {MAX_SEEDS} records")
        path = f"{runs}/{name}"
        record = read(path)
        seed = seed_of(record)
        if seed != int(match[1]):
            raise InputError(f"record `{path}` is of seed {seed}", "the file is named by its seed")
        found[seed] = record
    return {f"runs/seed_{seed}.toml": found[seed] for seed in sorted(found)}


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
