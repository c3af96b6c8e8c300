"""``leaderboard add``: finished runs become an entry. The directory appears whole or not at all."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from golfreg.api.errors import AnswerIsNo, ConfigError, InputError
from golfreg.config.record import RunRecord, read_record, record_to_toml
from golfreg.leaderboard.entries import MAX_SEEDS, NAME, Entry, EntryFacts, entry_to_toml
from golfreg.leaderboard.render import escape, markdown_table, score_text
from golfreg.leaderboard.writing import write_directory
from golfreg.rules.figures import recompute
from golfreg.rules.findings import Level
from golfreg.rules.ruleset import load_ruleset

_CHUNK = 1 << 20


@dataclass(frozen=True)
class Added:
    """The new entry and where it stands."""

    directory: Path
    entry: Entry


def add(
    run_dirs: Sequence[Path],
    root: Path,
    *,
    author: str,
    name: str | None = None,
    based_on: Sequence[str] = (),
    techniques: Sequence[str] = (),
    allow_findings: bool = False,
    now: datetime | None = None,
) -> Added:
    """Write ``root/<track>/<date>_<name>`` from the records of ``run_dirs``, one for each seed.

    Raises InputError for a run that is unfinished or whose artifact is not the recorded one, and for
    runs that do not belong together; AnswerIsNo where a rule is broken, unless ``allow_findings``.
    """
    now = now or datetime.now(UTC)
    records = _collect(run_dirs)
    first = records[min(records)]
    for record in records.values():
        if record.run.ruleset != first.run.ruleset:
            raise InputError(
                f"the runs are of ruleset `{first.run.ruleset}` and of `{record.run.ruleset}`",
                "an entry has runs of one ruleset: add them apart",
            )
    ruleset = load_ruleset(first.run.ruleset)
    facts = EntryFacts(
        name=_name(name, first),
        author=author,
        track=ruleset.track,
        ruleset=ruleset.name,
        date=f"{now:%Y-%m-%d}",
        status="claimed",
        based_on=tuple(based_on),
        techniques=tuple(techniques),
        declared=recompute(list(records.values())),
    )
    key = f"{facts.track}/{facts.date}_{facts.name}"
    entry = Entry(key, facts, ruleset, {f"runs/seed_{seed}.toml": records[seed] for seed in sorted(records)})
    failed = [finding for finding in entry.findings(now) if finding.level is Level.FAIL]
    if failed and not allow_findings:
        said = "; ".join(f"{f.code} {f.where + ': ' if f.where else ''}{f.message}" for f in failed)
        raise AnswerIsNo(f"the entry breaks the rules: {said}", "`--allow-findings` adds it without a rank")
    return Added(_write(root, entry), entry)


def readme(entry: Entry) -> str:
    """The entry's README: the figures for people, and how to look closer."""
    facts, figures = entry.facts, entry.facts.declared
    rows = [
        (
            str(record.run.seed),
            f"{record.score.bits_per_byte:.6f}",
            f"{record.sizes.total_bytes:,}",
            f"{record.times.train_seconds + record.times.calibrate_seconds:.1f}",
            f"{record.times.score_seconds:.1f}",
            str(record.train.steps),
        )
        for record in entry.records.values()
    ]
    columns = ("seed", "bits per byte", "bytes", "training s", "scoring s", "steps")
    components = next(iter(entry.records.values())).components
    parts = (components.architecture.name, components.quantizer.name, components.codec.name, components.corpus.name)
    return (
        f"# {escape(facts.name)}\n\n"
        f"{escape(facts.author)}, {facts.date}, track {escape(facts.track)}, ruleset {escape(facts.ruleset)}.\n\n"
        f"**{score_text(figures.bits_per_byte_mean, figures.bits_per_byte_std)} bits per byte**, "
        f"{figures.bytes_max or 0:,} bytes at most.\n\n"
        f"Architecture, quantizer, codec, corpus: {', '.join(map(escape, parts))}.\n\n"
        f"{markdown_table(columns, rows, columns)}\n"
        "`runs/` holds the record of each seed, with every setting. "
        "`golfreg leaderboard check` recomputes what `entry.toml` declares.\n"
    )


def _collect(run_dirs: Sequence[Path]) -> dict[int, RunRecord]:
    """The records by seed, each with its artifact looked at."""
    if not 1 <= len(run_dirs) <= MAX_SEEDS:
        raise ConfigError(f"an entry has 1 to {MAX_SEEDS} runs; {len(run_dirs)} were given")
    records: dict[int, RunRecord] = {}
    places: dict[int, Path] = {}
    for run_dir in run_dirs:
        record = finished(run_dir)
        seed = record.run.seed
        if seed in records:
            raise InputError(f"`{places[seed]}` and `{run_dir}` are both of seed {seed}", "an entry has each seed once")
        records[seed], places[seed] = record, run_dir
    return records


def finished(run_dir: Path) -> RunRecord:
    """The record of a finished run. InputError for another, and where the artifact is not the recorded one."""
    path = run_dir / "record.toml"
    if not path.exists():
        if (run_dir / "plan.toml").exists():
            raise InputError(f"run `{run_dir}` is not finished", f"finish it: golfreg run --resume {run_dir}")
        raise InputError(f"`{run_dir}` is no run directory: it has no record.toml", "`golfreg run` makes one")
    record = read_record(path)
    artifact = run_dir / "artifact.golfreg"
    try:
        size = artifact.stat().st_size
        if size != record.artifact.bytes or _sha256(artifact) != record.artifact.sha256:
            raise InputError(f"`{artifact}` is not the artifact that `{path}` records", "run it again")
    except OSError as error:
        raise InputError(f"`{artifact}`: {error.strerror}", "an entry needs the artifact that was scored") from error
    return record


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _name(name: str | None, record: RunRecord) -> str:
    """The given name, or one made of the components'."""
    if name is None:
        parts = (record.components.architecture.name, record.components.quantizer.name, record.components.codec.name)
        return re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")[:60].strip("-") or "run"
    if not NAME.fullmatch(name):
        raise ConfigError(f"`--name {name}` is no name", "lower-case letters, digits and `-`, at most 60")
    return name


def _write(root: Path, entry: Entry) -> Path:
    target = root / entry.key
    if target.exists():
        raise InputError(f"`{target}` is there already", "nothing is overwritten: choose another `--name`")
    write_directory(
        target,
        {
            "entry.toml": entry_to_toml(entry.facts),
            "README.md": readme(entry),
            **{name: record_to_toml(record) for name, record in entry.records.items()},
        },
    )
    return target
