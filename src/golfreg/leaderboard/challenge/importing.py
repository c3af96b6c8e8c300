"""``leaderboard import``: record folders, and lone submission files, become entries of facts.

No sentence, code or log of a folder is kept: figures with where they come from, names, links, and
what was found. Everything is read and checked before the first entry is written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from golfreg.api.errors import GolfregError, InputError
from golfreg.config.imported import Imported, ImportedRun, KeptFinding, Source, imported_to_toml
from golfreg.config.strict import shown
from golfreg.leaderboard.challenge import tolerant
from golfreg.leaderboard.challenge.board import TableRow, row_of
from golfreg.leaderboard.challenge.entry_readme import imported_readme
from golfreg.leaderboard.challenge.files import MAX_JSON_BYTES, RecordFiles
from golfreg.leaderboard.challenge.folder import NON_RECORD, RECORD, RecordFolder, is_challenge_folder, read_folder
from golfreg.leaderboard.challenge.folder_rules import kept_findings
from golfreg.leaderboard.challenge.submission import declared_of
from golfreg.leaderboard.challenge.supplement import Supplement, Supplements
from golfreg.leaderboard.entries import Entry, EntryFacts, entry_to_toml
from golfreg.leaderboard.reading import read_board
from golfreg.leaderboard.writing import write_directory
from golfreg.rules.figures import Figures
from golfreg.rules.ruleset import load_ruleset

REPOSITORY = "https://github.com/openai/parameter-golf"
MAX_FOLDERS = 5_000


@dataclass(frozen=True, kw_only=True)
class Options:
    """``url_base``: the address of the repository. ``table``: rows of its leaderboard. ``track``: of all folders."""

    track: str | None = None
    url_base: str = REPOSITORY
    commit: str = ""
    table: Sequence[TableRow] = ()
    supplements: Supplements = field(default_factory=Supplements)


@dataclass(frozen=True)
class Refused:
    """A folder or file that cannot become an entry."""

    source: str
    message: str
    hint: str | None


@dataclass(frozen=True)
class Import:
    """What becomes of the given paths. Nothing is written yet."""

    entries: list[Entry]
    refused: list[Refused]


def plan_import(paths: Sequence[Path], options: Options, into: Path) -> Import:
    """Read everything, make the entries. InputError: a path where there is nothing to import."""
    folders, refused = _read_all(paths)
    entries: list[Entry] = []
    keys: set[str] = set()
    copies = _copies(folders)
    for folder in folders:
        try:
            entry = _entry(folder, options, copies.get(folder.path, []), keys)
        except GolfregError as error:
            refused.append(Refused(shown(folder.name, 200), error.message, error.hint))
            continue
        keys.add(entry.key)
        entries.append(entry)
    return Import(_with_lineage(entries, into), refused)


def write_import(planned: Import, into: Path) -> list[Path]:
    """Write every entry, each whole. InputError, before anything is written, if one of them is there already."""
    targets = [into / entry.key for entry in planned.entries]
    for target in targets:
        if target.exists():
            raise InputError(f"`{target}` is there already", "nothing is overwritten: import into another directory")
    for entry, target in zip(planned.entries, targets, strict=True):
        write_directory(target, entry_files(entry))
    return targets


def entry_files(entry: Entry) -> dict[str, str]:
    """The text of each file of an imported entry."""
    assert entry.imported is not None
    return {
        "entry.toml": entry_to_toml(entry.facts),
        "imported.toml": imported_to_toml(entry.imported),
        "README.md": imported_readme(entry),
        **{name: imported_to_toml(run) for name, run in entry.imported_runs.items()},
    }


def _read_all(paths: Sequence[Path]) -> tuple[list[RecordFolder], list[Refused]]:
    """Record folders in the order of their names; lone files as folders with nothing else in them."""
    found: list[RecordFolder] = []
    refused: list[Refused] = []
    for path in paths:
        if path.is_file():
            found += _lone_files(path)
            continue
        if not path.is_dir():
            raise InputError(f"there is nothing to import at `{path}`", "give a record folder or a submission.json")
        below = [path] if is_challenge_folder(path) else _folders_below(path)
        if not below:
            raise InputError(
                f"`{path}` holds no record folder", "one has a submission.json, a train*.py or a train*.log"
            )
        for one in below:
            try:
                found.append(read_folder(one))
            except GolfregError as error:
                refused.append(Refused(shown(one.name, 200), error.message, error.hint))
    return found, refused


def _folders_below(path: Path) -> list[Path]:
    """Record folders one or two levels down, and directories there that hold files but are none."""
    found = []
    for one in sorted(path.iterdir()):
        if one.is_dir() and not one.is_symlink() and not one.name.startswith("."):
            inner = [two for two in sorted(one.iterdir()) if two.is_dir() and not two.is_symlink()]
            found += [one] if is_challenge_folder(one) else [two for two in inner if _is_record(two)]
    if len(found) > MAX_FOLDERS:
        raise InputError(f"`{path}` holds over {MAX_FOLDERS:,} record folders", "import it in parts")
    return found


def _is_record(path: Path) -> bool:
    return is_challenge_folder(path) or re.match(r"\d{4}-\d\d-\d\d[_-]", path.name) is not None


def _lone_files(path: Path) -> list[RecordFolder]:
    """A submission.json, or a JSON list of such objects, each with its ``folder``."""
    if path.stat().st_size > MAX_JSON_BYTES:
        raise InputError(f"`{path}` has over {MAX_JSON_BYTES:,} bytes", "is it the right file?")
    try:
        value, odd = tolerant.parse_json(path.read_bytes())
        several = isinstance(value, list) and all(isinstance(one, dict) for one in value)
        objects: list[Any] = value if several else [value]
        return [_lone_file(path, one, odd) for one in objects]
    except InputError as error:
        raise InputError(f"`{path}` {error.message}", error.hint) from error


def _lone_file(path: Path, value: Any, odd: list[str]) -> RecordFolder:
    declared = declared_of(value, odd)
    name, _ = tolerant.text(value.get("folder"))
    at = Path(name) if name and ".." not in Path(name).parts else path.absolute().parent
    return RecordFolder(at, RecordFiles(path.parent, {}), path.name, declared)


def _copies(folders: Sequence[RecordFolder]) -> dict[Path, list[KeptFinding]]:
    """Scripts and logs that an earlier folder of the same import has, to the byte."""
    owner: dict[str, tuple[Path, str]] = {}
    found: dict[Path, list[KeptFinding]] = {}
    for folder in folders:
        for digest, name in [
            (folder.code.digest, folder.code.script),
            *((log.digest, log.name) for log in folder.logs),
        ]:
            if not digest:
                continue
            first, first_name = owner.setdefault(digest, (folder.path, name))
            if first != folder.path:
                message = (
                    f"{shown(name)} is {shown(first_name)} of {shown(tolerant.printable(first.name))}, to the byte"
                )
                found.setdefault(folder.path, []).append(KeptFinding(code="GR605", level="WARN", message=message))
    return found


def _entry(folder: RecordFolder, options: Options, copies: Sequence[KeptFinding], taken: set[str]) -> Entry:
    declared, runs = folder.declared, folder.runs
    more = options.supplements.folders.get(folder.path.name, Supplement())
    row = row_of(list(options.table), folder.path.name, more.pull_request)
    track = folder.track if row is None else RECORD if row.record else NON_RECORD
    ruleset = load_ruleset(options.track or track)
    imported = _imported(folder, options, more, row, copies)
    day = declared.day or folder.day
    if not day:
        raise InputError("has no date, and its name none", "name the folder YYYY-MM-DD_name, or add `date`")
    headline = imported.headline.bits_per_byte
    score = headline.declared if headline.declared is not None else headline.log
    if not score:
        raise InputError("has no score: neither submission.json nor a log says one", "there is nothing to compare")
    status = more.status or ("support" if declared.support else "accepted" if row else "claimed")
    facts = EntryFacts(
        name=_name(folder, day, ruleset.track, taken),
        author=declared.author or declared.github or "unknown",
        track=ruleset.track,
        ruleset=ruleset.name,
        date=day,
        status=status,
        reason=more.reason,
        techniques=more.techniques,
        reproductions=more.reproductions,
        declared=Figures(
            bits_per_byte_mean=score,
            bits_per_byte_std=declared.bits_per_byte_std,
            nats_per_token_mean=declared.nats_per_token,
            bytes_max=_largest(folder, runs),
            seeds=tuple(sorted({one.run.seed for one in folder.seeds})),
        ),
    )
    return Entry(f"{facts.track}/{facts.date}_{facts.name}", facts, ruleset, {}, imported, runs)


def _imported(
    folder: RecordFolder, options: Options, more: Supplement, row: TableRow | None, copies: Sequence[KeptFinding]
) -> Imported:
    place = f"{folder.path.absolute().parent.name}/{folder.path.name}" if folder.files.sizes else folder.path.name
    pull = more.pull_request or (row.pulls[0] if row and row.pulls else None)
    if folder.files.sizes:
        url = f"{options.url_base}/tree/{options.commit or 'main'}/records/{quote(place)}"
    else:
        url = f"{options.url_base}/pull/{pull}" if pull else options.url_base
    imported = folder.imported(
        Source(
            url=url[:480],
            folder=tolerant.printable(place)[:300],
            pull_request=pull,
            commit=options.commit if folder.files.sizes else "",
            published_bits_per_byte=row.score if row else more.published_bits_per_byte,
            based_on=tuple(one for one in more.based_on or folder.declared.based_on if one != pull),
        )
    )
    described = replace(
        imported.described,
        tokenizer=more.tokenizer or imported.described.tokenizer,
        architecture=more.architecture,
        quantizer=more.quantizer,
        codec=more.codec,
    )
    findings = kept_findings(folder) if folder.files.sizes else kept_findings(folder, ("GR602", "GR651"))
    kept = sorted([*findings, *copies], key=lambda finding: finding.code)
    return replace(imported, described=described, findings=tuple(kept))


def _largest(folder: RecordFolder, runs: Mapping[str, ImportedRun]) -> int | None:
    """The largest artifact as declared; a mean is none."""
    sizes = [run.total_bytes.declared for run in runs.values() if run.total_bytes.declared is not None]
    if folder.declared.total_bytes is not None and not folder.declared.mean_total:
        sizes.append(folder.declared.total_bytes)
    return max(sizes, default=None)


def _name(folder: RecordFolder, day: str, track: str, taken: set[str]) -> str:
    """A slug of the folder's name without its day; a number is added where another entry has it."""
    said = folder.path.name.removeprefix(folder.day)
    if not folder.files.sizes and not folder.day:
        said = folder.declared.title or said
    slug = re.sub(r"[^a-z0-9]+", "-", said.lower()).strip("-")[:56].strip("-") or "record"
    name, count = slug, 2
    while f"{track}/{day}_{name}" in taken:
        name, count = f"{slug}-{count}", count + 1
    return name


def _with_lineage(entries: list[Entry], into: Path) -> list[Entry]:
    """``based_on`` of the pull requests that have an entry here or there, and are not later."""
    around = list(entries)
    if into.is_dir():
        around += read_board(into).entries
    by_pull: dict[int, Entry] = {}
    for entry in around:
        if entry.imported is not None and entry.imported.source.pull_request is not None:
            by_pull.setdefault(entry.imported.source.pull_request, entry)
    linked = []
    for entry in entries:
        assert entry.imported is not None
        bases = [by_pull[pull] for pull in entry.imported.source.based_on if pull in by_pull]
        names = [base.key for base in bases if base.key != entry.key and base.facts.date <= entry.facts.date]
        linked.append(replace(entry, facts=replace(entry.facts, based_on=tuple(dict.fromkeys(names)))))
    return linked
