"""What a leaderboard shows of an entry, as plain values: kept in the index, ranked, filtered, printed.

Imports nothing that reads records, so that a board whose entries are all in the index is shown at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple, TypedDict

from golfreg.rules.lifecycle import RECORDS, UNRANKED

if TYPE_CHECKING:
    from golfreg.leaderboard.entries import Entry
    from golfreg.rules.findings import Finding


class Noticed(TypedDict):
    """A finding."""

    code: str
    level: str
    message: str
    where: str


class Line(NamedTuple):
    """An entry. Figures are recomputed and in full precision; None: not known. Empty text: not known."""

    entry: str
    """``track/date_name``."""
    track: str
    name: str
    author: str
    date: str
    status: str
    reason: str
    ruleset: str
    architecture: str
    quantizer: str
    codec: str
    corpus: str
    tokenizer: str
    title: str
    """Of an imported entry, in its author's words."""
    source: str
    """Address of the folder that an entry was imported from; empty for golfreg's own."""
    bits_per_byte_mean: float
    bits_per_byte_std: float | None
    nats_per_token_mean: float | None
    bytes_max: int | None
    headroom_bytes: int | None
    train_seconds_max: float | None
    """Of the slowest seed, with calibration."""
    score_seconds_max: float | None
    standard_error_max: float | None
    """Over documents, of the seed where it is largest."""
    fails: int
    warns: int
    seeds: list[int]
    mixers: list[str]
    based_on: list[str]
    techniques: list[str]
    findings: list[Noticed]
    """Those that are not PASS."""
    declared: dict[str, float | int | list[int]]


class Placed(NamedTuple):
    """A line in its track. ``rank``, ``gap``: None where it is not ranked."""

    line: Line
    rank: int | None
    gap: float | None
    """Bits per byte above the best of the track."""
    frontier: bool
    """It was the best ranked entry of its track on the day of its claim."""


def line_of(entry: Entry, all_findings: Iterable[Finding]) -> Line:
    """The line of a valid entry that has these findings."""
    facts, figures, parts, imported = entry.facts, entry.figures, entry.parts, entry.imported
    findings = [f for f in all_findings if f.level != "PASS"]
    first = next(iter(entry.records.values()), None)
    return Line(
        entry=entry.key,
        track=facts.track,
        name=facts.name,
        author=facts.author,
        date=facts.date,
        status=facts.status,
        reason=facts.reason,
        ruleset=facts.ruleset,
        **parts._asdict(),
        title="" if imported is None else imported.described.title,
        source="" if imported is None else imported.source.url,
        bits_per_byte_mean=figures.bits_per_byte_mean,
        bits_per_byte_std=figures.bits_per_byte_std,
        nats_per_token_mean=figures.nats_per_token_mean,
        bytes_max=figures.bytes_max,
        headroom_bytes=None if figures.bytes_max is None else entry.ruleset.limits.cap_bytes - figures.bytes_max,
        train_seconds_max=_largest(result.train_seconds for result in entry.results),
        score_seconds_max=_largest(result.score_seconds for result in entry.results),
        standard_error_max=_largest(result.standard_error for result in entry.results),
        fails=sum(f.level == "FAIL" for f in findings),
        warns=sum(f.level == "WARN" for f in findings),
        seeds=list(figures.seeds),
        mixers=[] if first is None else sorted(first.components.mixers),
        based_on=list(facts.based_on),
        techniques=list(facts.techniques),
        findings=[{"code": f.code, "level": str(f.level), "message": f.message, "where": f.where} for f in findings],
        declared={
            name: list(value) if isinstance(value, tuple) else value
            for name, value in vars(facts.declared).items()
            if value is not None
        },
    )


def place(lines: Iterable[Line]) -> dict[str, list[Placed]]:
    """By track, sorted by its name: best first, then those without a rank. Of equal scores the earlier is first."""
    tracks: dict[str, list[Line]] = {}
    for line in lines:
        tracks.setdefault(line.track, []).append(line)
    return {track: _place(tracks[track]) for track in sorted(tracks)}


def order(status: str, fails: int, score: float, key: str, imported: bool = False) -> tuple[bool, float, str]:
    """What entries are sorted by. The first is True for those without a rank: a broken rule, or the status.

    What the maintainers of the challenge accepted keeps its rank when it is ``imported``, findings beside it.
    """
    accepted = imported and status in RECORDS
    return (status in UNRANKED or (fails > 0 and not accepted), score, key)


def _place(lines: list[Line]) -> list[Placed]:
    ordered = sorted(
        (order(line.status, line.fails, line.bits_per_byte_mean, line.entry, bool(line.source)), number)
        for number, line in enumerate(lines)
    )
    out = [(lines[number], None if unranked else rank) for rank, ((unranked, _, _), number) in enumerate(ordered, 1)]
    best = lines[ordered[0][1]].bits_per_byte_mean
    frontier = _frontier(line for line, rank in out if rank is not None)
    return [
        Placed(line, rank, None if rank is None else line.bits_per_byte_mean - best, line.entry in frontier)
        for line, rank in out
    ]


def _frontier(ranked: Iterable[Line]) -> set[str]:
    """Those that were better than all of earlier days. Of one day only the best: its hours are not known."""
    frontier = set()
    best, day = None, ""
    for line in sorted(ranked, key=lambda line: (line.date, line.bits_per_byte_mean, line.entry)):
        if line.date != day and (best is None or line.bits_per_byte_mean < best):
            frontier.add(line.entry)
            best = line.bits_per_byte_mean
        day = line.date
    return frontier


def _largest(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return max(known) if known else None
