"""What a table, a chart or another entry's page needs of an entry: small, so that every entry fits in memory at once.

Entries themselves are large. A small board keeps those that it has read; of a large one each entry
is read a second time when its page is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path

from golfreg.api.errors import GolfregError, InputError
from golfreg.leaderboard.entries import Entry, Parts
from golfreg.leaderboard.lines import order
from golfreg.leaderboard.places import Broken
from golfreg.leaderboard.reading import read_entry
from golfreg.rules.figures import Figures
from golfreg.rules.findings import Level
from golfreg.rules.ruleset import Ruleset

KEPT_ENTRIES = 500
"""Entries that are kept after the first reading."""


@dataclass(frozen=True)
class Line:
    """One entry in short. ``rank``: None where it has none. ``gap``: bits per byte behind the track's best."""

    key: str
    title: str
    author: str
    date: str
    status: str
    imported: bool
    parts: Parts
    techniques: tuple[str, ...]
    based_on: tuple[str, ...]
    figures: Figures
    scores: tuple[tuple[int, float], ...]
    """Seed and bits per byte."""
    shares: dict[str, int]
    """Bytes of the largest artifact by what they hold; empty where only their sum is known."""
    headroom: int | None
    fails: int
    warns: int
    rank: int | None = None
    gap: float | None = None
    frontier: bool = False
    """It was the best of its track at the end of its day."""

    @property
    def track(self) -> str:
        return self.key.split("/")[0]

    @property
    def slug(self) -> str:
        """``date_name``: the name of its page."""
        return self.key.split("/")[1]

    @property
    def score(self) -> float:
        return self.figures.bits_per_byte_mean


@dataclass(frozen=True)
class Track:
    """One track: its lines, best first, then those without a rank. ``rulesets``: those that entries are of."""

    name: str
    lines: list[Line]
    rulesets: list[Ruleset]

    @cached_property
    def ranked(self) -> list[Line]:
        return [line for line in self.lines if line.rank is not None]

    @property
    def ruleset(self) -> Ruleset:
        """The track's main one: of its name, else the first."""
        return next((one for one in self.rulesets if one.name == self.name), self.rulesets[0])

    @cached_property
    def newest(self) -> str:
        """The day of the newest entry."""
        return max(line.date for line in self.lines)


@dataclass(frozen=True)
class Survey:
    """A whole leaderboard in short. ``descendants``: entries that build on an entry, by its key."""

    root: Path
    tracks: list[Track]
    broken: list[Broken]
    kept: dict[str, Entry] = field(default_factory=dict)
    now: datetime | None = None
    """The time that dates were held against; None for the clock's."""

    @property
    def lines(self) -> dict[str, Line]:
        return {line.key: line for track in self.tracks for line in track.lines}

    def entry(self, key: str) -> Entry:
        """The entry, kept or read again."""
        return self.kept.get(key) or read_entry(self.root / key)


def survey(root: Path, now: datetime | None = None) -> Survey:
    """Read every entry once. InputError if there is no leaderboard; a broken entry hides no other."""
    if not root.is_dir():
        raise InputError(
            f"there is no leaderboard at `{root}`",
            "`--root DIR` names another; `golfreg leaderboard add RUNDIR` begins one",
        )
    root = root.absolute()
    lines: dict[str, list[Line]] = {}
    rulesets: dict[str, dict[str, Ruleset]] = {}
    kept: dict[str, Entry] = {}
    broken = []
    for path in _directories(root):
        try:
            entry = read_entry(path)
        except GolfregError as error:
            broken.append(_broken(root, path, error))
            continue
        lines.setdefault(entry.facts.track, []).append(line_of(entry, now))
        rulesets.setdefault(entry.facts.track, {})[entry.ruleset.name] = entry.ruleset
        if len(kept) < KEPT_ENTRIES:
            kept[entry.key] = entry
    tracks = [
        Track(name, ranked(lines[name]), [rulesets[name][one] for one in sorted(rulesets[name])])
        for name in sorted(lines)
    ]
    return Survey(root, tracks, broken, kept, now)


def line_of(entry: Entry, now: datetime | None = None) -> Line:
    """An entry in short, without a rank."""
    levels = [finding.level for finding in entry.findings(now)]
    figures, facts = entry.figures, entry.facts
    title = entry.imported.described.title if entry.imported else ""
    largest = figures.bytes_max
    return Line(
        key=entry.key,
        title=title or facts.name,
        author=facts.author,
        date=facts.date,
        status=facts.status,
        imported=entry.imported is not None,
        parts=entry.parts,
        techniques=facts.techniques,
        based_on=facts.based_on,
        figures=figures,
        scores=tuple((result.seed, result.bits_per_byte) for result in entry.results),
        shares=shares(entry),
        headroom=None if largest is None else entry.ruleset.limits.cap_bytes - largest,
        fails=levels.count(Level.FAIL),
        warns=levels.count(Level.WARN),
    )


def shares(entry: Entry) -> dict[str, int]:
    """Bytes of the largest artifact: code, header and weights by role, or as far as they are known apart."""
    if entry.records:
        sizes = max(entry.records.values(), key=lambda record: record.sizes.total_bytes).sizes
        weights = sizes.by_role or {"weights": sizes.weight_bytes}
        parts = {"code": sizes.code_bytes, "header": sizes.header_bytes, **dict(sorted(weights.items()))}
        return {name: count for name, count in parts.items() if count}
    known = [
        (model, code)
        for run in entry.imported_runs.values()
        if (model := run.model_bytes.best) is not None and (code := run.code_bytes.best) is not None
    ]
    if not known:
        return {}
    model, code = max(known, key=sum)
    return {name: count for name, count in (("code", code), ("model", model)) if count}


def ranked(lines: list[Line]) -> list[Line]:
    """The lines of a track in the order of every other command, with rank, gap and frontier."""
    rows = sorted(lines, key=_order)
    best = rows[0].score if rows and not _out(rows[0]) else None
    placed = [
        line if _out(line) or best is None else replace(line, rank=place, gap=line.score - best)
        for place, line in enumerate(rows, 1)
    ]
    leaders = frontier(line for line in placed if line.rank is not None)
    return [replace(line, frontier=line.key in leaders) for line in placed]


def frontier(lines: Iterator[Line]) -> set[str]:
    """Keys of the entries that were the best at the end of their day: a day has no order within it."""
    best: float | None = None
    found = set()
    for line in sorted(lines, key=lambda line: (line.date, line.score, line.key)):
        if best is None or line.score < best:
            best = line.score
            found.add(line.key)
    return found


def pareto(lines: list[Line]) -> set[str]:
    """Keys of the entries that no other beats in bytes and in score. Those of unknown size take no part."""
    sized = [line for line in lines if line.figures.bytes_max is not None]
    best: float | None = None
    found = set()
    for line in sorted(sized, key=lambda line: (line.figures.bytes_max or 0, line.score, line.key)):
        if best is None or line.score < best:
            best = line.score
            found.add(line.key)
    return found


def _order(line: Line) -> tuple[bool, float, str]:
    return order(line.status, line.fails, line.score, line.key, line.imported)


def _out(line: Line) -> bool:
    return _order(line)[0]


def _directories(root: Path) -> Iterator[Path]:
    for track in sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")):
        yield from sorted(path for path in track.iterdir() if path.is_dir() and not path.name.startswith("."))


def _broken(root: Path, path: Path, error: GolfregError) -> Broken:
    """Without the path of the leaderboard on this machine."""
    return Broken(f"{path.parent.name}/{path.name}", error.message.replace(f"{root}/", ""), error.hint)
