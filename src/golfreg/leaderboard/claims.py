"""Entries as the claims that board-wide rules, tests and the frontier look at."""

from __future__ import annotations

from collections.abc import Iterable

from golfreg.leaderboard.entries import Entry
from golfreg.rules.board_rules import check_board
from golfreg.rules.claims import Again, Claim
from golfreg.rules.findings import Finding
from golfreg.rules.ruleset import Ruleset


def claim_of(entry: Entry, ruleset: Ruleset | None = None) -> Claim:
    """One entry, under its own ruleset or another one of its track."""
    facts, imported = entry.facts, entry.imported
    return Claim(
        key=entry.key,
        track=facts.track,
        author=facts.author,
        date=facts.date,
        ruleset=ruleset or entry.ruleset,
        status=facts.status,
        mean=entry.figures.bits_per_byte_mean,
        results=tuple(entry.results),
        order=(imported.source.pull_request or 0) if imported else 0,
        reason=facts.reason,
        based_on=facts.based_on,
        reproductions=tuple(Again(one.by, one.date, one.bits_per_byte) for one in facts.reproductions),
        artifacts=tuple(record.artifact.sha256 for record in entry.records.values()),
        exact=imported is None,
    )


def board_findings(entries: Iterable[Entry]) -> dict[str, list[Finding]]:
    """By entry's key, the findings of the rules over the whole leaderboard (GR7xx)."""
    return check_board([claim_of(entry) for entry in entries])
