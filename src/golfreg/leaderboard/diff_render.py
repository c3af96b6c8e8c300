"""A change as cells for a terminal, and as plain values for JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from golfreg.config.record import to_table
from golfreg.leaderboard.diff import Change, Difference
from golfreg.leaderboard.rank import Row
from golfreg.leaderboard.render import finding_values, score_text
from golfreg.leaderboard.significance import verdict_values
from golfreg.rules.findings import Finding, Level
from golfreg.rules.significance import p_text

COLUMNS = ("entry", "change", "status", "bits per byte", "bytes", "seeds", "rank", "gain", "p", "findings")
RIGHT = ("bits per byte", "bytes", "seeds", "rank", "gain", "p")
FINDING_COLUMNS = ("level", "code", "where", "finding")
_LEVELS = (Level.FAIL, Level.WARN, Level.PASS)


def cells(change: Change) -> tuple[str, ...]:
    """One row of ``COLUMNS``: what differs is shown as before → after."""
    rows = (change.before, change.after)
    verdict = change.verdict
    return (
        change.key,
        change.kind,
        _both(*(None if row is None else row.entry.facts.status for row in rows)),
        _both(*(None if row is None else _score(row) for row in rows)),
        _both(*(None if row is None else _bytes(row) for row in rows)),
        _both(*(None if row is None else str(len(row.figures.seeds)) for row in rows)),
        _both(*(None if row is None else _rank(row) for row in rows)),
        "-" if verdict is None else f"{verdict.gain_bits_per_byte:+.5f}",
        "-" if verdict is None or verdict.p is None else p_text(verdict.p),
        counted(change.findings),
    )


def counted(findings: list[Finding]) -> str:
    """``none``, or how many of each level."""
    counts = {level: sum(finding.level is level for finding in findings) for level in (Level.FAIL, Level.WARN)}
    return ", ".join(f"{count} {level}" for level, count in counts.items() if count) or "none"


def all_findings(difference: Difference) -> list[Finding]:
    """Worst first; ``where`` of those of one entry begins with its key."""
    found = list(difference.findings)
    for change in difference.changes:
        for finding in change.findings:
            inside = finding.where == change.key or finding.where.startswith(f"{change.key}/")
            where = finding.where if inside else "/".join(filter(None, (change.key, finding.where)))
            found.append(Finding(finding.code, finding.level, finding.message, where))
    return sorted(found, key=lambda finding: _LEVELS.index(finding.level))


def summary(difference: Difference) -> str:
    """``entries: 1 new, 2 changed; 1 FAIL, 0 WARN``."""
    kinds = [change.kind for change in difference.changes]
    said = "entries: " + (", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds)) or "none")
    levels = [finding.level for finding in all_findings(difference)]
    return f"{said}; {levels.count(Level.FAIL)} FAIL, {levels.count(Level.WARN)} WARN"


def values(difference: Difference) -> dict[str, Any]:
    """Everything, in full precision."""
    return {
        "base": difference.base,
        "head": difference.head,
        "base_has_moved": difference.behind,
        "maintainer": difference.maintainer,
        "failed": difference.failed,
        "changes": [_change_values(change) for change in difference.changes],
        "moved": [asdict(moved) for moved in difference.moved],
        "findings": finding_values(difference.findings),
    }


def _change_values(change: Change) -> dict[str, Any]:
    verdict = change.verdict
    return {
        "entry": change.key,
        "change": change.kind,
        "before": _row_values(change.before),
        "after": _row_values(change.after),
        "findings": finding_values(change.findings),
        "record": change.record,
        "significance": None if verdict is None else verdict_values(verdict),
    }


def _row_values(row: Row | None) -> dict[str, Any] | None:
    if row is None:
        return None
    facts = row.entry.facts
    return {
        "rank": row.rank,
        "author": facts.author,
        "status": facts.status,
        "reason": facts.reason,
        "ruleset": row.entry.ruleset.name,
        "date": facts.date,
        **to_table(row.figures),
        "declared": to_table(facts.declared),
    }


def _both(before: str | None, after: str | None) -> str:
    if before is None or after is None or before == after:
        return after or before or "-"
    return f"{before} → {after}"


def _score(row: Row) -> str:
    return score_text(row.figures.bits_per_byte_mean, row.figures.bits_per_byte_std)


def _bytes(row: Row) -> str:
    return "?" if row.figures.bytes_max is None else f"{row.figures.bytes_max:,}"


def _rank(row: Row) -> str:
    return "-" if row.rank is None else str(row.rank)
