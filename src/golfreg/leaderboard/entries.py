"""An entry: ``<track>/<date>_<name>/`` with ``entry.toml`` and one record for each seed, ``runs/seed_N.toml``.

The path must repeat what the content says. What an entry declares is a statement: nothing here
believes it, the rules recompute it. An imported entry has ``imported.toml`` beside it, and its runs
are what others published.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cached_property
from typing import NamedTuple

from golfreg.api.errors import InputError
from golfreg.config import quick, strict
from golfreg.config.imported import Imported, ImportedRun
from golfreg.config.record import RunRecord, to_table
from golfreg.leaderboard.places import Broken
from golfreg.rules.figures import Figures, SeedResult, figures_of, seed_result
from golfreg.rules.findings import Evidence, Finding, check_all
from golfreg.rules.imported_rules import check_imported, imported_result
from golfreg.rules.ruleset import Ruleset

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
        return check_all([self.evidence(now)])[0]

    def evidence(self, now: datetime | None) -> Evidence:
        """What the rules look at, of an entry that is not imported."""
        facts = self.facts
        return Evidence(self.records, self.ruleset, facts.declared, facts.date, now or datetime.now(UTC), self.figures)

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


def findings_of(entries: Sequence[Entry], now: datetime) -> list[list[Finding]]:
    """``Entry.findings`` of many, sooner."""
    own = iter(check_all([entry.evidence(now) for entry in entries if entry.imported is None]))
    return [next(own) if entry.imported is None else entry.findings(now) for entry in entries]


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
