"""What a change to a leaderboard does: new and changed entries, ranks before and after, findings, significance.

Both sides are read from commits: the one that the change left its base at, and its head. The head may be
anyone's: it is data (see ``git`` and ``diff_files``), and no code of it is run.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from golfreg.api.errors import ConfigError
from golfreg.leaderboard.claims import board_findings, claim_of
from golfreg.leaderboard.diff_files import Entries, Tree, place_of, read_entries
from golfreg.leaderboard.diff_rules import MAX_CHANGED_FILES, Proposal, check_change
from golfreg.leaderboard.git import Changed, Leaf, Repository
from golfreg.leaderboard.rank import Row, rank
from golfreg.rules.findings import Finding, Level
from golfreg.rules.frontier import verdict_between
from golfreg.rules.ruleset import Ruleset
from golfreg.rules.significance import Verdict

DEFAULT_BASES = ("origin/main", "main", "origin/master", "master")
TAKEN_BACK = frozenset({"withdrawn", "reverted", "invalid"})


@dataclass(frozen=True)
class Change:
    """One entry that is new, changed, deleted or broken. ``findings``: of the entry and of what is done to it.

    ``record``: the key of what led its track before the change, with the ``verdict`` against it; None where
    nothing did, or where the entry has no rank or no new score.
    """

    key: str
    kind: str
    before: Row | None
    after: Row | None
    findings: list[Finding]
    record: str | None = None
    verdict: Verdict | None = None


@dataclass(frozen=True)
class Moved:
    """An entry that is not touched, whose rank is another."""

    entry: str
    before: int
    after: int


@dataclass(frozen=True)
class Difference:
    """A whole change. ``findings``: those of no single entry. ``failed``: whether it should not be merged as it is.

    ``base``, ``head``: commits; ``base`` is where they parted. ``behind``: whether the leaderboard has changed on
    the base branch since, so that ranks may be others after the merge.
    """

    base: str
    head: str
    behind: bool
    maintainer: bool
    changes: list[Change]
    moved: list[Moved]
    findings: list[Finding]
    failed: bool


def parse_range(text: str | None, repository: Repository) -> tuple[str, str]:
    """``BASE..HEAD``, ``BASE...HEAD`` or ``BASE`` as two names; without a text the first of ``DEFAULT_BASES``."""
    if text is None:
        base = next((name for name in DEFAULT_BASES if repository.has(name)), None)
        if base is None:
            raise ConfigError("the repository has no branch `main`", "name the base: golfreg leaderboard diff BASE")
        return base, "HEAD"
    base, dots, head = text.partition("..")
    if not dots:
        return text, "HEAD"
    return base or "HEAD", head.removeprefix(".") or "HEAD"


def compare(
    repository: Repository,
    base: str,
    head: str,
    *,
    root: str = "leaderboard",
    maintainer: bool = False,
    ruleset: Ruleset | None = None,
    now: datetime | None = None,
) -> Difference:
    """What ``head`` changes since it left ``base`` (names of commits). ``ruleset``: judges its track's entries.

    InputError if the commits cannot be read or compared.
    """
    now = now or datetime.now(UTC)
    tip, end = repository.commit(base), repository.commit(head)
    start = repository.merge_base(tip, end)
    files = repository.changes(start, end)
    behind = tip != start and any(_inside(file, root) for file in repository.changes(start, tip))
    nothing = Entries({}, {})
    if len(files) > MAX_CHANGED_FILES:
        findings = check_change(Proposal(root, maintainer, files, [], {}, nothing, nothing))
        findings = [finding for finding in findings if finding.code == "GR812"]
        return Difference(start, end, behind, maintainer, [], [], findings, True)
    places = [place for file in files if (place := place_of(root, file.path)) is not None]
    if not any(_inside(file, root) for file in files):
        return Difference(start, end, behind, maintainer, [], [], [], False)
    old, new = (Tree(root, repository.tree(commit, root)) for commit in (start, end))
    with tempfile.TemporaryDirectory(prefix="golfreg-diff-") as scratch:
        before = read_entries(repository, old, None, Path(scratch, "before"))
        after = read_entries(repository, new, {place.key for place in places}, Path(scratch, "after"))
    before, after = _judged_by(before, ruleset), _judged_by(after, ruleset)
    proposal = Proposal(root, maintainer, files, [leaf.path for leaf in new.leaves], _sizes(new.leaves), before, after)
    return _difference(proposal, start, end, behind, now)


def _difference(proposal: Proposal, start: str, end: str, behind: bool, now: datetime) -> Difference:
    before = proposal.before.entries
    touched = sorted({place.key for _, place in proposal.placed()})
    untouched = {key: entry for key, entry in before.items() if key not in touched}
    left = [*untouched.values(), *proposal.after.entries.values()]
    old_rows, new_rows = _by_key(rank(list(before.values()), now)), _by_key(rank(left, now))
    done, old_board, new_board = check_change(proposal), board_findings(before.values()), board_findings(left)
    changes = []
    for key in touched:
        new = new_rows.get(key)
        of_entry = [] if new is None else [*new.findings, *new_board[key]]
        record = _record(old_rows.values(), key, new)
        changes.append(
            Change(
                key,
                _kind(proposal, key),
                old_rows.get(key),
                new,
                [finding for finding in done if _is_of(finding, key)]
                + [f for f in of_entry if f.level is not Level.PASS],
                None if record is None else record.entry.key,
                None if record is None or new is None else _verdict(new, record),
            )
        )
    others = [finding for finding in done if not any(_is_of(finding, key) for key in touched)]
    others += [
        replace(finding, where="/".join(filter(None, (key, finding.where))))
        for key in untouched
        for finding in new_board[key]
        if finding.level is not Level.PASS and finding not in old_board[key]
    ]
    moved = [
        Moved(key, old_rows[key].rank or 0, row.rank)
        for key, row in new_rows.items()
        if key in untouched and row.rank is not None and row.rank != old_rows[key].rank
    ]
    failed = any(finding.level is Level.FAIL for finding in [*done, *others]) or any(
        _breaks(change, proposal.maintainer) for change in changes
    )
    return Difference(start, end, behind, proposal.maintainer, changes, moved, others, failed)


def _is_of(finding: Finding, key: str) -> bool:
    return finding.where == key or finding.where.startswith(f"{key}/")


def _kind(proposal: Proposal, key: str) -> str:
    if key in proposal.gone:
        return "deleted"
    if key in proposal.after.broken:
        return "broken"
    known = key in proposal.before.entries or key in proposal.before.broken
    return "changed" if known else "new"


def _record(rows: Iterable[Row], key: str, new: Row | None) -> Row | None:
    """What led the track before, other than the entry itself; None if there is nothing to hold against it."""
    if new is None or new.rank is None:
        return None
    ranked = (row for row in rows if row.entry.facts.track == new.entry.facts.track and row.entry.key != key)
    return min((row for row in ranked if row.rank is not None), key=lambda row: row.rank or 0, default=None)


def _verdict(new: Row, record: Row) -> Verdict | None:
    rule = new.entry.ruleset.significance
    return None if rule is None else verdict_between(claim_of(new.entry), claim_of(record.entry), rule)


def _breaks(change: Change, maintainer: bool) -> bool:
    """Whether a broken rule stands in the way. Not where the entry's status already says that it is no claim.

    What an import found in others' folders is for a maintainer to weigh.
    """
    if change.after is None:
        return False
    facts = change.after.entry.facts
    taken_back = facts.status in TAKEN_BACK and (maintainer or change.kind == "changed")
    kept = maintainer and change.after.entry.imported is not None
    broken = any(finding.level is Level.FAIL for finding in change.findings)
    return broken and not taken_back and not kept


def _judged_by(read: Entries, ruleset: Ruleset | None) -> Entries:
    if ruleset is None:
        return read
    return Entries(
        {
            key: replace(entry, ruleset=ruleset) if entry.facts.track == ruleset.track else entry
            for key, entry in read.entries.items()
        },
        read.broken,
    )


def _by_key(tracks: dict[str, list[Row]]) -> dict[str, Row]:
    return {row.entry.key: row for rows in tracks.values() for row in rows}


def _inside(file: Changed, root: str) -> bool:
    return file.path == root.encode() or file.path.startswith(f"{root}/".encode())


def _sizes(leaves: Iterable[Leaf]) -> dict[str, int]:
    return {leaf.object: leaf.size for leaf in leaves}
