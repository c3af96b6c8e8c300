"""GR7xx: rules over a whole leaderboard: duplicates, lineage, life cycle, significance, reproductions.

As for one entry: one rule, one function, one code, one test, one line of ``docs/rules.md``. A rule
yields the key of the entry that a problem is charged to.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache, cached_property

from golfreg.rules.claims import Claim
from golfreg.rules.figures import mean
from golfreg.rules.findings import Finding, Level, Problem
from golfreg.rules.frontier import verdict_between
from golfreg.rules.lifecycle import RECORDS, UNRANKED
from golfreg.rules.register import Register, Rule

ENTRY = "entry.toml"
LEAST_DECIMALS = 6
"""Rounder scores of two runs may agree by chance."""
_CODE = re.compile(r"(GR\d{3})\b")
_KEY = re.compile(r"[a-z0-9][a-z0-9_.-]{0,99}/\d{4}-\d\d-\d\d_[a-z0-9-]{1,60}")


@dataclass(frozen=True)
class Claims:
    """The claims of a leaderboard, by key, and every finding's code."""

    by_key: Mapping[str, Claim]
    codes: frozenset[str]

    @cached_property
    def in_order(self) -> list[Claim]:
        return sorted(self.by_key.values(), key=lambda claim: claim.place)


BoardCheck = Callable[[Claims], Iterator[tuple[str, Problem]]]


board_rule: Register[BoardCheck] = Register()
"""Registers a function as a rule over a whole leaderboard."""


@cache
def all_board_rules() -> tuple[Rule[BoardCheck], ...]:
    """Every rule over a whole leaderboard, by code."""
    return board_rule.in_order()


def check_board(claims: Sequence[Claim]) -> dict[str, list[Finding]]:
    """By entry's key, the findings of every rule; a rule that an entry keeps gives one PASS."""
    from golfreg.rules.codes import all_codes

    board = Claims({claim.key: claim for claim in claims}, frozenset(all_codes()))
    found: dict[str, list[Finding]] = {key: [] for key in board.by_key}
    for one in all_board_rules():
        problems: dict[str, list[Finding]] = defaultdict(list)
        for key, problem in one.check(board):
            problems[key].append(Finding(one.code, problem.level, problem.message, problem.where))
        kept = [Finding(one.code, Level.PASS, one.title)]
        for key, findings in found.items():
            findings += problems.get(key, kept)
    return found


@board_rule("GR701", "no run stands in two entries")
def duplicates(board: Claims) -> Iterator[tuple[str, Problem]]:
    """The same artifact, or the same score to the last digit. Charged to the later entry.

    WARN where one of the two takes part in no ranking, as a withdrawn claim that is made again,
    and where scores are known as printed and not from a record.
    """
    artifacts: dict[str, Claim] = {}
    scores: dict[tuple[float, float | None], Claim] = {}
    for claim in board.in_order:
        others: dict[str, tuple[Claim, str, bool]] = {}
        for digest in claim.artifacts:
            other = artifacts.setdefault(digest, claim)
            if other is not claim:
                others[other.key] = (other, "an artifact", True)
        for result in claim.results:
            if round(result.bits_per_byte, LEAST_DECIMALS - 1) == result.bits_per_byte:
                continue
            other = scores.setdefault((result.bits_per_byte, result.nats_per_token), claim)
            if other is not claim:
                others.setdefault(other.key, (other, f"the score of {result.where}", claim.exact and other.exact))
        for other, what, certain in others.values():
            ranked = claim.status not in UNRANKED and other.status not in UNRANKED
            level = Level.FAIL if ranked and certain else Level.WARN
            yield claim.key, Problem(f"{what} is that of {other.key}", level=level)


@board_rule("GR702", "the entries that it builds on exist and are not later")
def lineage(board: Claims) -> Iterator[tuple[str, Problem]]:
    """``based_on`` names entries of this leaderboard."""
    for claim in board.by_key.values():
        for name in claim.based_on:
            base = board.by_key.get(name)
            if base is None:
                yield claim.key, Problem(f"there is no valid entry {name}", ENTRY)
            elif base.date > claim.date:
                yield claim.key, Problem(f"{name} is of {base.date}, later than {claim.date}", ENTRY)


@board_rule("GR703", "no entries build on each other in a circle")
def circles(board: Claims) -> Iterator[tuple[str, Problem]]:
    """Entries whose bases are settled are taken away until none is left but those in circles."""
    edges = {(claim.key, base) for claim in board.by_key.values() for base in claim.based_on if base in board.by_key}
    left = _trim(_trim(edges), reverse=True)
    for key in sorted({key for key, _ in left}):
        through = min(base for one, base in left if one == key) if len(left) < 1000 else "others"
        yield key, Problem(f"builds on {through}, which builds on it or on a circle of others", ENTRY)


@board_rule("GR704", "the status has the grounds that it needs")
def grounds(board: Claims) -> Iterator[tuple[str, Problem]]:
    """``invalid``: a code; ``reproduced``: a reproduction; others that take a rank away: a reason."""
    for claim in board.by_key.values():
        if claim.status == "invalid":
            said = _CODE.match(claim.reason)
            if said is None or said[1] not in board.codes:
                yield claim.key, Problem("it is invalid, but its reason does not begin with a finding's code", ENTRY)
        elif claim.status == "reproduced" and not claim.reproductions:
            yield claim.key, Problem("it is reproduced, but lists no reproduction", ENTRY)
        elif claim.status in ("withdrawn", "reverted") and not claim.reason.strip():
            yield claim.key, Problem(f"it is {claim.status}, but gives no reason", ENTRY, Level.WARN)
        elif claim.status == "support" and not claim.based_on:
            yield claim.key, Problem("it is support, but `based_on` names no entry", ENTRY, Level.WARN)


@board_rule("GR705", "a superseded entry names the later and lower one that took its place")
def superseded(board: Claims) -> Iterator[tuple[str, Problem]]:
    """Its reason holds that entry's key; without one, WARN."""
    for claim in board.by_key.values():
        if claim.status != "superseded":
            continue
        named = _KEY.findall(claim.reason)
        if not named:
            yield claim.key, Problem("its reason does not name the entry that superseded it", ENTRY, Level.WARN)
        for name in named:
            other = board.by_key.get(name)
            if other is None:
                yield claim.key, Problem(f"there is no valid entry {name}", ENTRY)
            elif other.place <= claim.place or other.mean >= claim.mean or other.track != claim.track:
                yield claim.key, Problem(f"{name} is not a later and lower entry of its track", ENTRY)


@board_rule("GR706", "an accepted entry beat the record of its day by its ruleset's test")
def significant(board: Claims) -> Iterator[tuple[str, Problem]]:
    """The record of its day: the lowest entry before it that was accepted. WARN: maintainers decide."""
    records: dict[str, Claim] = {}
    for claim in board.in_order:
        if claim.status not in RECORDS:
            continue
        record = records.get(claim.track)
        rule = claim.ruleset.significance
        if record is not None and rule is not None:
            verdict = verdict_between(claim, record, rule)
            if not verdict.significant:
                yield claim.key, Problem(f"against {record.key}: {verdict.sentence()}", ENTRY, Level.WARN)
        if record is None or claim.mean < record.mean:
            records[claim.track] = claim


@board_rule("GR707", "runs by others agree with the claim")
def agreement(board: Claims) -> Iterator[tuple[str, Problem]]:
    """Worse by no more than the ruleset's tolerance, or three standard errors where that is more. WARN."""
    for claim in board.by_key.values():
        for again in claim.reproductions:
            allowed, worse = _tolerance(claim, again.scores), mean(again.scores) - claim.mean
            if worse > allowed:
                yield (
                    claim.key,
                    Problem(
                        f"the reproduction by {again.by} is {worse:.5f} bits per byte worse; {allowed:.5f} would pass",
                        ENTRY,
                        Level.WARN,
                    ),
                )


@board_rule("GR708", "reproductions are by others, and not older than the claim")
def by_others(board: Claims) -> Iterator[tuple[str, Problem]]:
    """One's own further seeds belong into ``runs`` (WARN)."""
    for claim in board.by_key.values():
        for again in claim.reproductions:
            if again.by.strip().casefold() == claim.author.strip().casefold():
                yield claim.key, Problem(f"the reproduction of {again.date} is the author's own", ENTRY, Level.WARN)
            if not _is_day(again.date) or again.date < claim.date:
                yield claim.key, Problem(f"a reproduction has the date {again.date}; it is of {claim.date}", ENTRY)


def _tolerance(claim: Claim, scores: Sequence[float]) -> float:
    """In bits per byte. Without a known ratio one nat per token is taken as one bit per byte: the widest reading."""
    tolerance = claim.ruleset.reproductions.tolerance_nats_per_token / (claim.sample.nats_per_bit or 1.0)
    std = claim.sample.std or 0.0
    return max(tolerance, 3 * std * math.sqrt(1 / len(claim.sample.scores) + 1 / len(scores)))


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _trim(edges: set[tuple[str, str]], reverse: bool = False) -> set[tuple[str, str]]:
    """Edges (from, to) without those that lead only to ends; ``reverse``: only from beginnings."""
    flip = {(b, a) for a, b in edges} if reverse else edges
    ahead: dict[str, set[str]] = defaultdict(set)
    behind: dict[str, set[str]] = defaultdict(set)
    for a, b in flip:
        ahead[a].add(b)
        behind[b].add(a)
    ends = [node for node in behind if node not in ahead]
    while ends:
        node = ends.pop()
        for a in behind.pop(node, ()):
            ahead[a].discard(node)
            if not ahead[a]:
                del ahead[a]
                ends.append(a)
    left = {(a, b) for a, targets in ahead.items() for b in targets}
    return {(b, a) for a, b in left} if reverse else left
