"""GR8xx: what a change to a leaderboard may do. One rule is one function, one code, one line of ``docs/rules.md``.

A change is made by a competitor or by a maintainer; most rules are stricter with the first. What is looked at was
read from two commits; nothing of the change is run.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from golfreg.leaderboard.diff_files import MAX_FILE_BYTES, Entries, Place, name_of, place_of
from golfreg.leaderboard.entries import Entry
from golfreg.leaderboard.git import PLAIN, SUBMODULE, SYMLINK, Changed
from golfreg.rules.findings import Finding, Level, Problem
from golfreg.rules.lifecycle import FROZEN, UNRANKED, allowed_transition
from golfreg.rules.register import Register, Rule

JUDGED = FROZEN | {"reproduced"}
"""Statuses of an entry that others than its author have looked at: it keeps its content."""
MAINTAINERS_FACTS = ("status", "reason", "reproductions")
"""What a maintainer may change of such an entry."""
MAX_CHANGED_FILES = 2_000


@dataclass(frozen=True)
class Proposal:
    """A change. ``files``: all that differ, also outside ``root``. ``paths``: of the leaderboard after it.

    ``before``: the leaderboard's entries, of every track that is touched. ``after``: the entries of which a file
    differs. ``sizes``: bytes of the new files, by object.
    """

    root: str
    maintainer: bool
    files: Sequence[Changed]
    paths: Sequence[bytes]
    sizes: Mapping[str, int]
    before: Entries
    after: Entries

    def inside(self) -> Iterator[Changed]:
        """Changed files at or under the leaderboard's directory."""
        root = self.root.encode()
        return (file for file in self.files if file.path == root or file.path.startswith(root + b"/"))

    def placed(self) -> Iterator[tuple[Changed, Place]]:
        """Changed files of entries."""
        for file in self.inside():
            place = place_of(self.root, file.path)
            if place is not None:
                yield file, place

    def pairs(self) -> Iterator[tuple[Entry, Entry]]:
        """Entries that can be read before and after."""
        for key, entry in self.after.entries.items():
            if key in self.before.entries:
                yield self.before.entries[key], entry

    def new(self) -> Iterator[Entry]:
        """Entries that were not there."""
        for key, entry in self.after.entries.items():
            if key not in self.before.entries and key not in self.before.broken:
                yield entry

    @property
    def gone(self) -> list[str]:
        """Keys of entries of which nothing is left."""
        touched = {place.key for _, place in self.placed()}
        left = self.after.entries.keys() | self.after.broken.keys()
        return sorted(key for key in touched - left if key in self.before.entries or key in self.before.broken)


Check = Callable[[Proposal], Iterator[Problem]]


rule: Register[Check] = Register()
"""Registers a function as a rule over a change."""


def change_rules() -> tuple[Rule[Check], ...]:
    """Every rule, by code."""
    return rule.in_order()


def check_change(proposal: Proposal) -> list[Finding]:
    """What is wrong with a change, by code; nothing where every rule is kept.

    ``where``: an entry's key, with the file; or the path of a file that is no entry's.
    """
    return [
        Finding(one.code, problem.level, problem.message, problem.where)
        for one in change_rules()
        for problem in one.check(proposal)
    ]


@rule("GR801", "no entry is deleted")
def entries_stay(proposal: Proposal) -> Iterator[Problem]:
    """Its author withdraws it, a maintainer reverts it. WARN: a maintainer deletes what nobody has judged yet."""
    for key in proposal.gone:
        old = proposal.before.entries.get(key)
        judged = old is not None and old.facts.status in JUDGED
        level = Level.WARN if proposal.maintainer and not judged else Level.FAIL
        instead = '`status = "withdrawn"` takes a claim back'
        if old is not None and old.facts.status in FROZEN:
            instead = f"it is `{old.facts.status}`, so history: a maintainer may change its status"
        yield Problem(f"the entry is deleted or renamed; {instead}", key, level)


@rule("GR802", "no file of an entry is deleted")
def files_stay(proposal: Proposal) -> Iterator[Problem]:
    """Seeds that were claimed stay, the unlucky ones too."""
    for file, place in proposal.placed():
        if not file.new_mode and place.key not in proposal.gone:
            yield Problem("the file is deleted", f"{place.key}/{place.name}")


@rule("GR803", "an entry that was judged keeps its content")
def judged_stay(proposal: Proposal) -> Iterator[Problem]:
    """A maintainer changes its status, reason and reproductions, and nothing else.

    A competitor may withdraw what was reproduced: which change of status is whose, GR806 says.
    """
    judged = {key: e.facts.status for key, e in proposal.before.entries.items() if e.facts.status in JUDGED}
    for file, place in proposal.placed():
        if place.key in judged and file.new_mode and (place.name != "entry.toml" or not file.old_mode):
            what = "changed in" if file.old_mode else "added to"
            yield Problem(f"{what} an entry that is {judged[place.key]}", f"{place.key}/{place.name}")
    for old, new in proposal.pairs():
        if old.key in judged:
            decided = ("status", "reason") if old.facts.status != new.facts.status else ()
            free = MAINTAINERS_FACTS if proposal.maintainer else decided
            was, now = vars(old.facts), vars(new.facts)
            different = [name for name in now if now[name] != was[name] and name not in free]
            if different:
                said = f"the entry is {judged[old.key]}, and {', '.join(different)} changed"
                yield Problem(said, f"{old.key}/entry.toml")


@rule("GR804", "a change touches only files that entries have")
def only_entries(proposal: Proposal) -> Iterator[Problem]:
    """Code and entries are changed apart: whoever looks at one need not look for the other."""
    inside = set(proposal.inside())
    if not inside:
        return
    for file in proposal.files:
        if file not in inside:
            level = Level.WARN if proposal.maintainer else Level.FAIL
            yield Problem(f"lies outside `{proposal.root}/`", name_of(file.path), level)
        elif file.new_mode and place_of(proposal.root, file.path) is None:
            yield Problem("no file of an entry: see docs/leaderboard.md for those it may have", name_of(file.path))


@rule("GR805", "every file is small")
def small(proposal: Proposal) -> Iterator[Problem]:
    """Of an entry's files each kind has a limit; nothing else under the leaderboard is larger than the largest."""
    for file in proposal.inside():
        place = place_of(proposal.root, file.path)
        limit = MAX_FILE_BYTES if place is None else place.max_bytes
        size = proposal.sizes.get(file.new_object, 0)
        if file.new_mode and size > limit:
            yield Problem(f"{size:,} bytes; it may have {limit:,}", _where(proposal, file.path))


@rule("GR806", "each status is set by whom it is for, after one that it may follow")
def status(proposal: Proposal) -> Iterator[Problem]:
    """See ``golfreg.rules.lifecycle``."""
    for key, new in proposal.after.entries.items():
        old = proposal.before.entries.get(key)
        before = None if old is None else old.facts.status
        answer = allowed_transition(before, new.facts.status, maintainer=proposal.maintainer)
        if not answer.allowed:
            yield Problem(answer.why, f"{key}/entry.toml")


@rule("GR807", "every file is a plain file")
def plain(proposal: Proposal) -> Iterator[Problem]:
    """No symbolic link, no submodule, nothing executable."""
    kinds = {SYMLINK: "a symbolic link", SUBMODULE: "a submodule"}
    for file in proposal.inside():
        if file.new_mode not in (0, PLAIN):
            kind = kinds.get(file.new_mode, f"of mode {file.new_mode:o}: executable, or not as git writes files")
            yield Problem(f"is {kind}", _where(proposal, file.path))


@rule("GR808", "every name is plain text, and no two are alike")
def names(proposal: Proposal) -> Iterator[Problem]:
    """On a disk that ignores case, or that normalizes Unicode, two alike names are one file."""
    changed = {file.path: file for file in proposal.inside() if file.new_mode}
    alike = Counter(_folded(path) for path in proposal.paths)
    for path in changed:
        parts = path.split(b"/")
        text = path.decode("utf-8", "replace")
        if not text.isprintable() or "\ufffd" in text:
            yield Problem("the name is not printable UTF-8", _where(proposal, path))
        elif any(part in (b"", b".", b"..") or part.lower() == b".git" for part in parts) or "\\" in text:
            yield Problem("the name leads out of its directory", _where(proposal, path))
        elif alike[_folded(path)] > 1:
            yield Problem("another file's name differs in case only, or not at all", _where(proposal, path))


@rule("GR809", "a new entry is not dated before what its track already had")
def in_order(proposal: Proposal) -> Iterator[Problem]:
    """An earlier date would make it look as if it had come first."""
    latest: dict[str, Entry] = {}
    for entry in proposal.before.entries.values():
        if entry.facts.status not in UNRANKED:
            track = entry.facts.track
            latest[track] = max(latest.get(track, entry), entry, key=lambda entry: entry.facts.date)
    level = Level.WARN if proposal.maintainer else Level.FAIL
    for entry in proposal.new():
        last = latest.get(entry.facts.track)
        if last is not None and entry.facts.date < last.facts.date:
            yield Problem(f"dated {entry.facts.date}; `{last.key}` was there before", entry.key, level)


@rule("GR810", "every entry that is new or changed can be read")
def readable(proposal: Proposal) -> Iterator[Problem]:
    """Strictly: unknown keys and wrong types included."""
    for key, broken in proposal.after.broken.items():
        yield Problem(f"{broken.message}{f' ({broken.hint})' if broken.hint else ''}", key)


@rule("GR811", "a claim is changed by its author only")
def own_claim(proposal: Proposal) -> Iterator[Problem]:
    """Who that is, a person sees: a name in a file proves nothing."""
    for key in {place.key: None for _, place in proposal.placed()}:
        old = proposal.before.entries.get(key)
        known = old is not None or key in proposal.before.broken
        if known and key not in proposal.gone and not proposal.maintainer:
            author = f" of {old.facts.author}" if old is not None else ""
            yield Problem(f"changes an entry{author}: is the pull request by the same person?", key, Level.WARN)


@rule("GR812", "a change is small enough to be looked at")
def few(proposal: Proposal) -> Iterator[Problem]:
    """Whoever changes more does it in parts."""
    if len(proposal.files) > MAX_CHANGED_FILES:
        yield Problem(f"{len(proposal.files):,} files are changed; {MAX_CHANGED_FILES:,} are the most")


@rule("GR813", "only a maintainer adds an imported entry")
def no_import(proposal: Proposal) -> Iterator[Problem]:
    """Its figures come from others' logs, and fewer of them can be recomputed."""
    if proposal.maintainer:
        return
    for file, place in proposal.placed():
        if place.name == "imported.toml" and file.new_mode:
            yield Problem("an imported entry, or a change of one", f"{place.key}/{place.name}")


@rule("GR814", "reproductions are entered by a maintainer, or by who made them")
def reproductions(proposal: Proposal) -> Iterator[Problem]:
    """They count as evidence: a person looks at their source."""
    if proposal.maintainer:
        return
    for key, new in proposal.after.entries.items():
        old = proposal.before.entries.get(key)
        had = old.facts.reproductions if old is not None else ()
        for one in new.facts.reproductions:
            if one not in had:
                yield Problem(f"says that {one.by} reproduced it: look at the source", f"{key}/entry.toml", Level.WARN)


def _where(proposal: Proposal, path: bytes) -> str:
    place = place_of(proposal.root, path)
    return name_of(path) if place is None else f"{place.key}/{place.name}"


def _folded(path: bytes) -> str:
    return unicodedata.normalize("NFKC", path.decode("utf-8", "surrogateescape")).casefold()
