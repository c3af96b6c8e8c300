"""The lines of a leaderboard's entries: from the index where nothing changed, else read, by several processes.

Files are compared by inode, size, both times and mode: those of the entry's directory, of its
``runs`` and of each file that is read. Whoever changes a file changes one of these, since the time
of a file's status (ctime) cannot be set. An entry is not kept in the index if a file was written
within the two seconds before it was looked at, since it may change again and look the same; if it
has a date in the future, since its findings depend on the clock; if it is broken, which may be a
matter of permissions.
"""

from __future__ import annotations

import gc
import os
import time
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from golfreg.leaderboard import index
from golfreg.leaderboard.index import Kept
from golfreg.leaderboard.lines import Line
from golfreg.leaderboard.places import find_entries, find_tracks

RACY_NANOSECONDS = 2_000_000_000
SOME_ENTRIES = 40
"""A smaller board is read each time, and leaves nothing in the cache."""
MANY_ENTRIES = 300
"""From how many unread entries on it is worth to start processes."""
_CLOCK_SLACK = timedelta(hours=1)
_LARGEST_CHUNK = 250


class Unreadable(NamedTuple):
    """A directory that is no valid entry, and why."""

    key: str
    message: str
    hint: str | None


class Listing(NamedTuple):
    """A leaderboard as found on disk, sorted by path. ``read``: how many entries the index did not have."""

    lines: list[Line]
    broken: list[Unreadable]
    read: int


class Outcome(NamedTuple):
    """What came of reading one entry: a text for the index, or what is wrong."""

    key: str
    text: str
    stable: bool
    """The index may keep it."""
    broken: Unreadable | None


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
        outcomes = _read(base, read, now)
        good = [outcome for outcome in outcomes if outcome.broken is None]
        new = dict(zip([o.key for o in good], index.of_texts([o.text for o in good]), strict=True))
        if indexed:
            elsewhere = {key: one for key, one in old.items() if track is not None and one.line.track != track}
            stable = {outcome.key: new[outcome.key] for outcome in good if outcome.stable}
            if stable or len(elsewhere) + len(kept) < len(old):
                # Texts, not values, go back: what is unchanged is not made again.
                index.save(base, (elsewhere | kept | stable).values())
        found = kept | new
        lines = [found[key].line for key, _ in directories if key in found]
    return Listing(lines, [outcome.broken for outcome in outcomes if outcome.broken is not None], len(read))


def _holds(kept: Kept, directory: str, last_date: str) -> bool:
    """Whether every file is as it was, and no date is in the future."""
    try:
        return kept.latest <= last_date and kept.state == digest_of(states(directory, kept.names))
    except (OSError, ValueError):
        return False


def states(directory: str, names: str) -> list[int]:
    """Inode, size, time of content, time of status and mode: of the directory and of these files in it."""
    found: list[int] = []
    for path in (directory, *[f"{directory}/{name}" for name in names.split("\n")]):
        status = os.lstat(path)
        found += (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_mode)
    return found


def digest_of(numbers: list[int]) -> str:
    """Of any whole numbers."""
    try:
        data = array("Q", numbers).tobytes()
    except OverflowError:
        # A time before 1970.
        data = repr(numbers).encode()
    return blake2b(data, digest_size=12).hexdigest()


def _last_date(now: datetime) -> str:
    """The last date that is not in the future: clocks differ by up to an hour, as the rules have it."""
    return f"{now + _CLOCK_SLACK:%Y-%m-%dT%H:%M:%SZ}"


def _read(base: str, keys: list[str], now: datetime) -> list[Outcome]:
    """Read these entries, each as if alone."""
    workers = min(_cores(), len(keys) // (MANY_ENTRIES // 2))
    if workers < 2:
        return read_some(base, keys, now) if keys else []
    from golfreg.leaderboard.workers import in_processes

    size = max(1, min(_LARGEST_CHUNK, len(keys) // (4 * workers)))
    chunks = [keys[start : start + size] for start in range(0, len(keys), size)]
    return in_processes(read_some, [(base, chunk, now) for chunk in chunks], workers)


def read_some(base: str, keys: list[str], now: datetime) -> list[Outcome]:
    """Read entries one after the other. What they have in common is read once."""
    from golfreg.config.quick_sections import remembering

    with remembering():
        return [_read_one(f"{base}/{key}", key, now) for key in keys]


def _read_one(directory: str, key: str, now: datetime) -> Outcome:
    from golfreg.api.errors import GolfregError
    from golfreg.config.strict import shown
    from golfreg.leaderboard.entries import read_entry
    from golfreg.leaderboard.lines import line_of

    started = time.time_ns()
    try:
        names = _names(directory)
        files = states(directory, names)
    except OSError:
        names, files = "", []
    try:
        entry = read_entry(Path(directory))
    except GolfregError as error:
        return Outcome(key, "", False, Unreadable(shown(key, 200), error.message, error.hint))
    line = line_of(entry, now)
    latest = max([f"{line.date}T00:00:00Z", *(record.run.date for record in entry.records.values())])
    runs = len(entry.records) + len(entry.imported_runs)
    stable = (
        names.count("seed_") == runs
        and ("imported.toml" in names) == (entry.imported is not None)
        and max(files[2::5] + files[3::5]) < started - RACY_NANOSECONDS
        and latest <= _last_date(now)
    )
    return Outcome(key, index.to_text(names, digest_of(files), latest, line), stable, None)


def _names(directory: str) -> str:
    """The files that are read, as ``Kept`` has them."""
    names = ["entry.toml", "runs", *(f"runs/{name}" for name in sorted(os.listdir(f"{directory}/runs")))]
    if os.path.lexists(f"{directory}/imported.toml"):
        names.append("imported.toml")
    return "\n".join(names)


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
