"""Findings: the outcome of every rule over the records of one entry.

One rule is one function, one code, one test and one line of ``docs/rules.md``. A rule yields what
is wrong; where it yields nothing, the finding is PASS. Codes: GR1xx size, GR2xx time, GR3xx score
and data, GR4xx seeds, GR5xx origin; elsewhere GR6xx imports, GR7xx the whole leaderboard.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from functools import cache

from golfreg.config.record import RunRecord
from golfreg.rules.figures import Figures
from golfreg.rules.register import Register, Rule
from golfreg.rules.ruleset import Ruleset


class Level(StrEnum):
    """FAIL: a rule is broken. WARN: a person should look."""

    PASS = "PASS"
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True)
class Finding:
    """``where``: the record or the part of it; empty where the whole entry is meant."""

    code: str
    level: Level
    message: str
    where: str = ""


@dataclass(frozen=True)
class Problem:
    """What a rule yields."""

    message: str
    where: str = ""
    level: Level = Level.FAIL


@dataclass(frozen=True)
class Evidence:
    """What rules look at. ``records``: by the name that findings give them; one or more."""

    records: Mapping[str, RunRecord]
    ruleset: Ruleset
    declared: Figures | None = None
    """What the entry says of itself; None before there is an entry."""
    entry_date: str | None = None
    """The entry's day, as in 2026-05-01; None before there is an entry."""
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    figures: Figures | None = None
    """What the records give, if that was computed already."""


Check = Callable[[Evidence], Iterator[Problem]]


rule: Register[Check] = Register()
"""Registers a function as a rule over the records of one entry."""


@cache
def all_rules() -> tuple[Rule[Check], ...]:
    """Every rule over the records of one entry, by code."""
    from golfreg.rules import origin_rules, score_rules, seed_rules, size_rules, time_rules  # noqa: F401

    return rule.in_order()


@cache
def _kept(code: str, title: str) -> Finding:
    """The PASS of a rule: the same for every entry."""
    return Finding(code, Level.PASS, title)


def check_all(evidence: Sequence[Evidence]) -> list[list[Finding]]:
    """The findings of every rule for each, by code; a rule that is kept gives one PASS. Rule by rule, as is quicker."""
    found: list[list[Finding]] = [[] for _ in evidence]
    for one in all_rules():
        for each, findings in zip(evidence, found, strict=True):
            problems = [Finding(one.code, p.level, p.message, p.where) for p in one.check(each)]
            findings += problems or [_kept(one.code, one.title)]
    return found


def check_records(
    records: Mapping[str, RunRecord],
    ruleset: Ruleset,
    declared: Figures | None = None,
    entry_date: str | None = None,
    now: datetime | None = None,
    figures: Figures | None = None,
) -> list[Finding]:
    """``check_all`` of these records under a ruleset. ``now``: the time to hold dates against, default the clock's."""
    return check_all([Evidence(records, ruleset, declared, entry_date, now or datetime.now(UTC), figures)])[0]


def worst(findings: list[Finding]) -> Level:
    """FAIL if any is, else WARN if any is, else PASS."""
    levels = {finding.level for finding in findings}
    return next(level for level in (Level.FAIL, Level.WARN, Level.PASS) if level in levels or level is Level.PASS)
