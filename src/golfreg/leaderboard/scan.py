"""The lines of a leaderboard's entries: from the index where nothing changed, else read, by several processes.

An entry is not kept in the index if a file was written within the two seconds before it was looked
at, since it may change again and look the same; if it has a date in the future, since its findings
depend on the clock; if it is broken, which may be a matter of permissions.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from golfreg.leaderboard import index, states
from golfreg.leaderboard.index import Kept
from golfreg.leaderboard.lines import Line
from golfreg.leaderboard.places import Broken, find_entries, find_tracks

if TYPE_CHECKING:
    from golfreg.leaderboard.read_lines import Outcome

SOME_ENTRIES = 40
"""A smaller board is read each time, and leaves nothing in the cache."""
MANY_ENTRIES = 300
"""From how many unread entries on it is worth to start processes."""
_CLOCK_SLACK = timedelta(hours=1)
_LARGEST_CHUNK = 100


class Listing(NamedTuple):
    """A leaderboard as found on disk, sorted by path. ``read``: how many entries the index did not have."""

    lines: list[Line]
    broken: list[Broken]
    read: int


def list_board(
    root: Path, track: str | None = None, now: datetime | None = None, some_entries: int = SOME_ENTRIES
) -> Listing:
    """Every entry under ``root``, or of one track. InputError if there is no such leaderboard or track."""
    now = now or datetime.now(UTC)
    base = os.path.abspath(root)
    tracks = find_tracks(root, track)
    with _uncollected():
        directories = list(find_entries(base, tracks))
        indexed = len(directories) >= some_entries
        old = index.load(base) if indexed else {}
        last = _last_date(now)
        kept = {key: one for key, path in directories if (one := old.get(key)) and _holds(one, path.path, last)}
        read = [key for key, _ in directories if key not in kept]
        outcomes = _read(base, read, now, last)
        new = {one.line.entry: one for outcome in outcomes for one in index.of_bytes(outcome.kept)}
        if indexed:
            elsewhere = {key: one for key, one in old.items() if track is not None and one.line.track != track}
            passing = {key for outcome in outcomes for key in outcome.passing}
            stable = {key: one for key, one in new.items() if key not in passing}
            if stable or len(elsewhere) + len(kept) < len(old):
                index.save(base, (elsewhere | kept | stable).values())
        found = kept | new
        lines = [found[key].line for key, _ in directories if key in found]
    return Listing(lines, sorted(one for outcome in outcomes for one in outcome.broken), len(read))


def _holds(kept: Kept, directory: str, last_date: str) -> bool:
    """Whether every file is as it was, and no date is in the future."""
    try:
        return kept.latest <= last_date and kept.state == states.digest_of(states.states(directory, kept.names))
    except (OSError, ValueError):
        return False


def _last_date(now: datetime) -> str:
    """The last date that is not in the future: clocks differ by up to an hour, as the rules have it."""
    return f"{now + _CLOCK_SLACK:%Y-%m-%dT%H:%M:%SZ}"


def _read(base: str, keys: list[str], now: datetime, last_date: str) -> list[Outcome]:
    """Read these entries, each as if alone."""
    if not keys:
        return []
    # Before there are processes, so that it is imported once.
    from golfreg.leaderboard.read_lines import read_some

    workers = max(1, min(_cores(), len(keys) // (MANY_ENTRIES // 2)))
    size = max(1, min(_LARGEST_CHUNK, len(keys) // (4 * workers)))
    chunks = [(base, keys[start : start + size], now, last_date) for start in range(0, len(keys), size)]
    if workers == 1:
        return [read_some(*chunk) for chunk in chunks]
    from golfreg.leaderboard.workers import in_processes

    return in_processes(read_some, chunks, workers)


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without the collector, which would look at every line of the index again and again."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
