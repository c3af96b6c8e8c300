"""Ranks: by the mean of bits per byte over the seeds, recomputed, within a track."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from golfreg.leaderboard.entries import Entry
from golfreg.leaderboard.lines import order
from golfreg.rules.figures import Figures
from golfreg.rules.findings import Finding, Level


@dataclass(frozen=True)
class Row:
    """One line of a leaderboard. ``figures`` are recomputed; ``rank`` is None where there is none."""

    entry: Entry
    figures: Figures
    findings: list[Finding]
    rank: int | None = None

    def count(self, level: Level) -> int:
        """Number of findings of a level."""
        return sum(finding.level is level for finding in self.findings)

    @property
    def headroom_bytes(self) -> int | None:
        """Of the largest artifact, under the ruleset's cap; None where its size is not known."""
        largest = self.figures.bytes_max
        return None if largest is None else self.entry.ruleset.limits.cap_bytes - largest


def rank(entries: list[Entry], now: datetime | None = None) -> dict[str, list[Row]]:
    """Rows by track, best first, then those without a rank: a broken rule or a status that takes it away.

    Equal scores: the earlier entry comes first.
    """
    tracks: dict[str, list[Row]] = {}
    for entry in entries:
        row = Row(entry, entry.figures, entry.findings(now))
        tracks.setdefault(entry.facts.track, []).append(row)
    return {track: _ranked(tracks[track]) for track in sorted(tracks)}


def _ranked(rows: list[Row]) -> list[Row]:
    def key(row: Row) -> tuple[bool, float, str]:
        entry, mean = row.entry, row.figures.bits_per_byte_mean
        return order(entry.facts.status, row.count(Level.FAIL), mean, entry.key, entry.imported is not None)

    return [
        Row(row.entry, row.figures, row.findings, None if key(row)[0] else place)
        for place, row in enumerate(sorted(rows, key=key), 1)
    ]
