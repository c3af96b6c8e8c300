"""A change as the Markdown comment under a pull request.

What others wrote stands in code spans, which GitHub shows as they are: no Markdown, HTML, link, mention or
reference in them is live. (An escaped ``\\@name`` would be: mentions are looked for after Markdown is rendered.)
"""

from __future__ import annotations

from collections.abc import Sequence

from golfreg.leaderboard.diff import Change, Difference
from golfreg.leaderboard.diff_render import COLUMNS, RIGHT, all_findings, cells, summary
from golfreg.rules.findings import Finding, Level

MARKER = "<!-- golfreg leaderboard diff -->"
"""The first line: the workflow finds its own comment by it."""
MAX_CHARACTERS = 65_536
"""GitHub takes no longer comment."""
MOST_MOVED = 10
"""A new record moves all others by one: the first of them say so."""
_CELL, _MESSAGE, _MOST = 120, 400, 512
_SHOWN = {"`": "'", "|": "¦", "\\": "⧵"}


def code(text: str, limit: int = _CELL) -> str:
    """Text as a code span of one line that nothing in it can end, also inside a table."""
    plain = "".join(_SHOWN.get(c, c) if c.isprintable() else f"⧵u{ord(c):04x}" for c in text).strip()
    plain = plain if len(plain) <= limit else plain[: limit - 1] + "…"
    return f"`{plain}`" if plain else "-"


def comment(difference: Difference) -> str:
    """The comment: at most ``MAX_CHARACTERS``, so of very many entries and findings the first of each."""
    found = [finding for finding in all_findings(difference) if finding.level is not Level.PASS]
    most = _MOST
    while True:
        text = _comment(difference, found, most)
        if len(text.encode("utf-16-le")) // 2 <= MAX_CHARACTERS:
            return text
        most //= 2


def _comment(difference: Difference, found: list[Finding], most: int) -> str:
    parts = [MARKER, f"## Leaderboard: {'a rule is broken' if difference.failed else 'every rule is kept'}"]
    parts.append(f"{summary(difference)}; {_who(difference)}")
    if difference.changes:
        parts.append(_table(COLUMNS, [_row(change) for change in difference.changes[:most]], RIGHT))
        parts.append(_left_out(len(difference.changes), most, "entries"))
    kept = [change for change in difference.changes if change.after is not None]
    verdicts = [f"- {_verdict(change)}" for change in kept[:most]]
    if verdicts:
        parts.append("### Against the record")
        parts.append("\n".join(verdicts))
        parts.append(_left_out(len(kept), most, "entries"))
    if found:
        parts.append("### Findings")
        rows = [(str(f.level), f.code, code(f.where), code(f.message, _MESSAGE)) for f in found[:most]]
        parts.append(_table(("level", "code", "where", "finding"), rows))
        parts.append(_left_out(len(found), most, "findings"))
    if difference.moved:
        parts.append("### Other ranks")
        first = min(most, MOST_MOVED)
        ranks = [(code(moved.entry), f"{moved.before} → {moved.after}") for moved in difference.moved[:first]]
        parts.append(_table(("entry", "rank"), ranks, ("rank",)))
        parts.append(_left_out(len(difference.moved), first, "entries"))
    parts.append(_footer(difference))
    return "\n\n".join(part for part in parts if part) + "\n"


def _who(difference: Difference) -> str:
    return f"looked at as a {'maintainer' if difference.maintainer else 'competitor'}'s change."


def _row(change: Change) -> tuple[str, ...]:
    """The key is others' text; the rest is numbers and words of ours."""
    key, *rest = cells(change)
    return code(key), *rest


def _verdict(change: Change) -> str:
    """What the entry is, and how it compares. The sentence of a verdict is made of numbers and words of ours."""
    assert change.after is not None
    facts = change.after.entry.facts
    reason = f" ({code(facts.reason)})" if facts.reason else ""
    name = f"{code(change.key)} by {code(facts.author)}{reason}"
    if change.after.rank is None:
        return f"{name}: it has no rank, so it is held against nothing."
    if change.record is None:
        return f"{name}: its track has no other score to hold it against."
    verdict, record = change.verdict, code(change.record)
    if verdict is None:
        return f"{name} against {record}: the ruleset asks for no test, or scores by seed are not known."
    sizes = f"{len(verdict.candidate.scores)} and {len(verdict.record.scores)} scores"
    return f"{name} against {record} ({sizes}): {verdict.sentence()}."


def _footer(difference: Difference) -> str:
    behind = (
        "The leaderboard has changed since this branch left its base: after a rebase, ranks may be others. "
        if difference.behind
        else ""
    )
    return (
        f"{behind}Recomputed from the records at {code(difference.head[:12])}, compared with "
        f"{code(difference.base[:12])}. Codes: docs/rules.md; what happens next: docs/pull_requests.md."
    )


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str] = ()) -> str:
    lines = [columns, ["---:" if column in right else "---" for column in columns], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _left_out(count: int, most: int, what: str) -> str:
    return f"… and {count - most} more {what}: `golfreg leaderboard diff --json` shows all." if count > most else ""
