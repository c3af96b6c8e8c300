"""The chronological frontier of a track: who was the record when, under any ruleset of the track."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from golfreg.leaderboard.check import under
from golfreg.leaderboard.claims import claim_of
from golfreg.leaderboard.entries import Entry
from golfreg.leaderboard.render import score_text
from golfreg.leaderboard.significance import sample_values
from golfreg.rules.findings import Level
from golfreg.rules.frontier import Step, replay
from golfreg.rules.lifecycle import RECORDS, UNRANKED
from golfreg.rules.ruleset import Ruleset, load_ruleset
from golfreg.rules.significance import p_text

COLUMNS = ("date", "entry", "bits per byte", "seeds", "held against", "gain", "p", "outcome", "until", "status")
RIGHT = ("bits per byte", "seeds", "gain", "p")


@dataclass(frozen=True)
class Frontier:
    """``steps``: in order. ``left_out``: entries that take no part, and why. ``failing``: those that do
    though they fail a rule, since a maintainer accepted them or it was asked for."""

    ruleset: Ruleset
    steps: list[Step]
    left_out: dict[str, str]
    failing: dict[str, str]


def frontier(
    entries: Iterable[Entry], ruleset: str, allow_findings: bool = False, now: datetime | None = None
) -> Frontier:
    """Replay the entries of the ruleset's track.

    An entry that fails a rule takes part if a maintainer accepted it, which is history, or with ``allow_findings``.
    """
    part, left_out, failing = [], {}, {}
    for entry in under(list(entries), ruleset):
        failed = sorted({f.code for f in entry.findings(now) if f.level is Level.FAIL})
        if entry.facts.status in UNRANKED:
            left_out[entry.key] = f"its status is {entry.facts.status}"
        elif failed and not allow_findings and entry.facts.status not in RECORDS:
            left_out[entry.key] = f"fails {', '.join(failed)}"
        else:
            part.append(claim_of(entry))
            if failed:
                failing[entry.key] = ", ".join(failed)
    rules = load_ruleset(ruleset)
    return Frontier(rules, replay(part, rules.significance), left_out, failing)


def cells(step: Step) -> tuple[str, ...]:
    """One row of ``COLUMNS``."""
    verdict, sample = step.verdict, step.claim.sample
    p = "" if verdict is None else "cannot be computed" if verdict.p is None else p_text(verdict.p)
    return (
        step.claim.date,
        step.claim.key.partition("_")[2],
        score_text(sample.mean, sample.std),
        str(len(step.claim.results)),
        "" if step.before is None else step.before.key.partition("_")[2],
        "" if step.before is None else f"{_gain(step):+.5f}",
        p,
        str(step.outcome),
        "" if not step.was_record else "now" if step.until is None else step.until.date,
        step.claim.status,
    )


def reasons(steps: Iterable[Step]) -> dict[str, list[str]]:
    """Why a p value could not be computed, and for which entries."""
    found: dict[str, list[str]] = {}
    for step in steps:
        if step.verdict is not None and step.verdict.why:
            found.setdefault(step.verdict.why, []).append(step.claim.key)
    return found


def frontier_values(found: Frontier) -> dict[str, Any]:
    """Everything, in full precision."""
    return {
        "ruleset": found.ruleset.name,
        "track": found.ruleset.track,
        "steps": [_values(step) for step in found.steps],
        "left_out": found.left_out,
        "failing": found.failing,
    }


def _gain(step: Step) -> float:
    if step.verdict is not None:
        return step.verdict.gain_bits_per_byte
    return step.before.mean - step.claim.mean if step.before else 0.0


def _values(step: Step) -> dict[str, Any]:
    verdict = step.verdict
    return {
        "entry": step.claim.key,
        "date": step.claim.date,
        "status": step.claim.status,
        **sample_values(step.claim.sample),
        "reproduced_scores": [score for again in step.claim.reproductions for score in again.scores],
        "held_against": step.before.key if step.before else None,
        "gain_bits_per_byte": _gain(step) if step.before else None,
        "gain_nats_per_token": verdict.gain_nats_per_token if verdict else None,
        "margin_bits_per_byte": verdict.margin_bits_per_byte if verdict else None,
        "test": verdict.test if verdict else None,
        "t": verdict.t if verdict else None,
        "df": verdict.df if verdict else None,
        "p": verdict.p if verdict else None,
        "why": verdict.why if verdict else "",
        "outcome": str(step.outcome),
        "superseded_by": step.until.key if step.until else None,
        "superseded_on": step.until.date if step.until else None,
    }
