"""GR5xx: where a record comes from: ruleset, date, version, machine."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import cache, lru_cache

from golfreg.api.errors import GolfregError
from golfreg.config.record import DATE_FORMAT
from golfreg.rules.findings import Evidence, Level, Problem, rule
from golfreg.rules.ruleset import Ruleset, load_ruleset

CLOCK_SLACK = timedelta(hours=1)
_VERSION = re.compile(r"(\d{1,9})\.(\d{1,9})(?:\.(\d{1,9}))?([a-z.+].*)?")


@rule("GR501", "every record is of this track, made under this ruleset or one of the same limits")
def ruleset(evidence: Evidence) -> Iterator[Problem]:
    """A record made under other limits is no evidence under these."""
    for where, record in evidence.records.items():
        if record.run.ruleset != evidence.ruleset.name and not _same_limits(record.run.ruleset, evidence.ruleset):
            yield Problem(f"made under ruleset `{record.run.ruleset}`, not `{evidence.ruleset.name}`", where)
        elif record.run.track != evidence.ruleset.track:
            yield Problem(f"track `{record.run.track}`; the ruleset's is `{evidence.ruleset.track}`", where)


@rule("GR502", "no date is in the future, and no entry is older than its runs")
def dates(evidence: Evidence) -> Iterator[Problem]:
    """But for an hour, since clocks differ."""
    latest = _latest(evidence.now)
    for where, record in evidence.records.items():
        if record.run.date > latest:
            yield Problem(f"{record.run.date} is in the future", where)
        if evidence.entry_date is not None and record.run.date[:10] > evidence.entry_date:
            yield Problem(f"{record.run.date} is later than the entry's {evidence.entry_date}", where)
    if evidence.entry_date is not None and evidence.entry_date > latest[:10]:
        yield Problem(f"{evidence.entry_date} is in the future", "entry.toml")


@rule("GR503", "the version of golfreg is known")
def version(evidence: Evidence) -> Iterator[Problem]:
    """A number that can be read (FAIL), and none that is newer than this golfreg (WARN)."""
    here = _installed_version()
    ours = _numbers(here)
    for where, record in evidence.records.items():
        theirs = _numbers(record.run.golfreg)
        if theirs is None:
            yield Problem(f"golfreg `{record.run.golfreg}` is no version", where)
        elif ours is not None and theirs > ours:
            yield Problem(f"made by golfreg {record.run.golfreg}, newer than this {here}", where, Level.WARN)


@rule("GR504", "the machine is the track's")
def hardware(evidence: Evidence) -> Iterator[Problem]:
    """Number and kind of GPUs, and no more CPU cores than the ruleset says."""
    allowed = evidence.ruleset.hardware
    for where, record in evidence.records.items():
        machine = record.hardware
        if allowed.gpus is not None and machine.gpus != allowed.gpus:
            yield Problem(f"{machine.gpus} GPUs; the track has {allowed.gpus}", where)
        elif allowed.gpus and allowed.gpu.lower() not in machine.gpu.lower():
            yield Problem(f"`{machine.gpu}`; the track has {allowed.gpu}", where)
        if allowed.cores and machine.cores > allowed.cores:
            yield Problem(f"{machine.cores} CPU cores; the track has {allowed.cores}", where, Level.WARN)


@lru_cache(maxsize=1)
def _latest(now: datetime) -> str:
    return f"{now + CLOCK_SLACK:{DATE_FORMAT}}"


@cache
def _same_limits(name: str, ruleset: Ruleset) -> bool:
    try:
        other = load_ruleset(name)
    except GolfregError:
        return False
    return (other.track, other.limits) == (ruleset.track, ruleset.limits)


@cache
def _installed_version() -> str:
    from importlib.metadata import version

    return version("golfreg")


@lru_cache(maxsize=256)
def _numbers(text: str) -> tuple[int, int, int] | None:
    match = _VERSION.fullmatch(text)
    return (int(match[1]), int(match[2]), int(match[3] or 0)) if match else None
