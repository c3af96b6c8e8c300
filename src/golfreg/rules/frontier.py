"""Replays who was the record when: claims in the order they were made, each against the record before it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum

from golfreg.rules.claims import Claim
from golfreg.rules.ruleset import RuleSignificance
from golfreg.rules.significance import Verdict, judge


class Outcome(StrEnum):
    """What a claim came to on its day."""

    FIRST = "first"
    RECORD = "record"
    NOT_LOWER = "not lower"
    NOT_SIGNIFICANT = "not significant"
    NOT_DECIDED = "not decided"


@dataclass(frozen=True)
class Step:
    """One claim. ``before``: the record that it was held against. ``until``: the claim that took its place."""

    claim: Claim
    outcome: Outcome
    before: Claim | None = None
    verdict: Verdict | None = None
    until: Claim | None = None

    @property
    def was_record(self) -> bool:
        return self.outcome in (Outcome.FIRST, Outcome.RECORD)


def verdict_between(candidate: Claim, record: Claim, rule: RuleSignificance) -> Verdict:
    """The ruleset's test, with reproductions pooled if it says so."""
    if rule.pool_reproductions:
        return judge(candidate.pooled, record.pooled, rule)
    return judge(candidate.sample, record.sample, rule)


def replay(claims: Iterable[Claim], rule: RuleSignificance | None) -> list[Step]:
    """Every claim in order. ``rule`` None: a lower mean is enough.

    A claim that no test can decide (one seed) does not become the record.
    """
    steps: list[Step] = []
    record: int | None = None
    for claim in sorted(claims, key=lambda one: one.place):
        if record is None:
            steps.append(Step(claim, Outcome.FIRST))
            record = 0
            continue
        before = steps[record].claim
        verdict = verdict_between(claim, before, rule) if rule else None
        lower = claim.mean < before.mean if verdict is None else verdict.gain_bits_per_byte > 0
        steps.append(Step(claim, _outcome(lower, verdict), before, verdict))
        if steps[-1].outcome is Outcome.RECORD:
            steps[record] = replace(steps[record], until=claim)
            record = len(steps) - 1
    return steps


def _outcome(lower: bool, verdict: Verdict | None) -> Outcome:
    if not lower:
        return Outcome.NOT_LOWER
    if verdict is None or verdict.significant:
        return Outcome.RECORD
    return Outcome.NOT_DECIDED if verdict.significant is None else Outcome.NOT_SIGNIFICANT
