"""A record folder of the Parameter Golf challenge: everything in it read, nothing run."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from golfreg.api.errors import InputError
from golfreg.config.imported import Count, Described, Headline, Imported, ImportedRun, Measure, Source
from golfreg.config.strict import shown
from golfreg.leaderboard.challenge import describe
from golfreg.leaderboard.challenge.code import Code, read_code
from golfreg.leaderboard.challenge.files import MAX_JSON_BYTES, MAX_TEXT_BYTES, RecordFiles, list_files
from golfreg.leaderboard.challenge.logs import LogFacts, read_log
from golfreg.leaderboard.challenge.readme import Claims, read_claims
from golfreg.leaderboard.challenge.runs import SeedRun, seed_runs
from golfreg.leaderboard.challenge.submission import Declared, read_submission
from golfreg.leaderboard.challenge.tolerant import printable
from golfreg.rules.figures import mean
from golfreg.rules.findings import Finding, Level
from golfreg.rules.imported_rules import check_imported
from golfreg.rules.ruleset import Ruleset, load_ruleset

MAX_LOGS = 100
NON_RECORD = "parameter-golf-non-record"
RECORD = "parameter-golf"
_SUBMISSION = re.compile(r"submission\w*\.json")
_LOG = re.compile(r"(?:.*/)?[^/]*\.(?:log|txt)")
_NO_LOG = re.compile(r"(?:.*/)?(?:requirements|setup|readme|license|notes?)[^/]*\.txt", re.IGNORECASE)
_SCRIPT = re.compile(r"train\w*\.py")
_DAY = re.compile(r"(\d{4}-\d\d-\d\d)[_-]")


@dataclass(frozen=True)
class RecordFolder:
    """What a folder holds. ``problems``: of files that cannot be read, by code (GR601, GR604)."""

    path: Path
    files: RecordFiles
    submission: str = ""
    declared: Declared = field(default_factory=Declared)
    logs: tuple[LogFacts, ...] = ()
    code: Code = field(default_factory=Code)
    claims: Claims | None = None
    problems: tuple[tuple[str, str, str], ...] = ()
    """Code, message, where."""

    @property
    def name(self) -> str:
        """The folder's name, printable."""
        return printable(self.path.name)

    @property
    def day(self) -> str:
        """The day in the folder's name, or empty."""
        match = _DAY.match(self.path.name)
        return match[1] if match else ""

    @cached_property
    def seeds(self) -> list[SeedRun]:
        """Each seed with its log."""
        return seed_runs(self.declared, self.logs)

    @property
    def runs(self) -> dict[str, ImportedRun]:
        """Each seed's figures, by the name of their file in an entry."""
        return {f"runs/seed_{one.run.seed}.toml": one.run for one in self.seeds}

    @property
    def _known_logs(self) -> list[LogFacts]:
        return [one.log for one in self.seeds if one.log is not None] + list(self.logs)

    @property
    def track(self) -> str:
        """By the directory that it lies in, else by what it says; the record track where nothing says."""
        said = f"{self.path.absolute().parent.name} {self.declared.track}".lower()
        return NON_RECORD if re.search(r"non[-_ ]?record|unlimited", said) else RECORD

    def imported(self, source: Source | None = None) -> Imported:
        """The folder as facts, without findings. ``source``: where it is; by default only its name."""
        declared, runs = self.declared, [one.run for one in self.seeds]
        scores = [run.bits_per_byte.log for run in runs if run.bits_per_byte.log is not None]
        unnamed = [log for log in self.logs if log.key is None and log.metrics]
        last = unnamed[0] if not runs and len(unnamed) == 1 else None
        logged = last.metrics[-1].bits_per_byte if last else None
        if scores and len(scores) == len(runs):
            logged = mean(scores)
        return Imported(
            source=source or Source(url="https://github.com/openai/parameter-golf", folder=self.name[:300]),
            headline=Headline(
                bits_per_byte=Measure(declared=declared.bits_per_byte, log=logged),
                bits_per_byte_std=Measure(declared=declared.bits_per_byte_std),
                nats_per_token=Measure(declared=declared.nats_per_token),
                total_bytes=Count(declared=declared.total_bytes, log=last.total_bytes if last else None),
                code_bytes=Count(declared=declared.code_bytes),
            ),
            described=Described(
                title=declared.title,
                github=declared.github,
                hardware=declared.hardware,
                tokenizer=describe.tokenizer(self._known_logs, declared),
            ),
            code_policy=describe.code_policy(self.code, self.logs, declared),
            counted_code=self.code.counted,
        )


def is_challenge_folder(path: Path) -> bool:
    """Whether a directory looks like a record folder: a submission, a training script or a training log."""
    try:
        if not path.is_dir() or (path / "entry.toml").exists():
            return False
        names = [entry.name for entry in path.iterdir() if entry.is_file() or entry.is_symlink()]
    except (OSError, ValueError):
        return False
    return any(
        _SUBMISSION.fullmatch(name) or _SCRIPT.fullmatch(name) or re.fullmatch(r"train\w*\.(?:log|txt)", name)
        for name in names
    )


def read_folder(path: Path) -> RecordFolder:
    """Everything in a record folder. InputError only where there is no such directory."""
    if not path.is_dir():
        raise InputError(f"there is no record folder at `{path}`", "it holds submission.json, a script and logs")
    files = list_files(path)
    folder = RecordFolder(path, files, problems=tuple(("GR604", problem, "") for problem in files.problems))
    problems = list(folder.problems)
    names = sorted((name for name in files.sizes if _SUBMISSION.fullmatch(name)), key=lambda name: (len(name), name))
    declared = Declared()
    if names:
        try:
            declared = read_submission(files.read(names[0], MAX_JSON_BYTES))
        except InputError as error:
            problems.append(("GR601", _without_name(error.message, names[0]), names[0]))
    logs = _logs(files, problems)
    logged = next((log.code_bytes for log in logs if log.code_bytes), None)
    code = read_code(files, declared.code_bytes or logged)
    folder = replace(
        folder,
        submission=names[0] if names else "",
        declared=_score_in_place_of_loss(declared, logs),
        logs=tuple(logs),
        code=code,
        claims=_claims(files, problems),
    )
    return replace(folder, problems=tuple(problems))


def check_folder(path: Path, ruleset: Ruleset | None = None) -> list[Finding]:
    """The findings of every rule for record folders, by code. ``ruleset``: default its track's."""
    folder = read_folder(path)
    return folder_findings(folder, ruleset or load_ruleset(folder.track))


def folder_findings(folder: RecordFolder, ruleset: Ruleset) -> list[Finding]:
    """The same of a folder that was read."""
    from golfreg.leaderboard.challenge.folder_rules import kept_findings
    from golfreg.rules.imported_rules import FOLDER_TITLES

    kept = kept_findings(folder)
    facts = replace(folder.imported(), findings=tuple(kept))
    found = check_imported(facts, folder.runs, ruleset)
    missing = FOLDER_TITLES.keys() - {finding.code for finding in kept}
    found += [Finding(code, Level.PASS, FOLDER_TITLES[code]) for code in missing]
    return sorted(found, key=lambda finding: finding.code)


def _logs(files: RecordFiles, problems: list[tuple[str, str, str]]) -> list[LogFacts]:
    """Every log that says anything about a run."""
    names = [name for name in files.sizes if _LOG.fullmatch(name) and not _NO_LOG.fullmatch(name)]
    if len(names) > MAX_LOGS:
        problems.append(("GR601", f"{len(names):,} logs: the first {MAX_LOGS} are read", ""))
    logs = []
    for name in names[:MAX_LOGS]:
        try:
            log = read_log(name, files.read(name, MAX_TEXT_BYTES))
        except InputError as error:
            problems.append(("GR601", error.message, shown(name)))
            continue
        if log.metrics or log.total_bytes or log.train_seconds:
            logs.append(log)
    return logs


def _claims(files: RecordFiles, problems: list[tuple[str, str, str]]) -> Claims | None:
    name = next((name for name in files.sizes if name.lower() == "readme.md"), None)
    if name is None:
        return None
    try:
        return read_claims(files.read(name, MAX_TEXT_BYTES))
    except InputError as error:
        problems.append(("GR601", error.message, name))
        return None


def _score_in_place_of_loss(declared: Declared, logs: list[LogFacts]) -> Declared:
    """Where there is no score, but a loss that the logs give as bits per byte: it is the score."""
    loss = declared.nats_per_token
    if declared.bits_per_byte is not None or loss is None:
        return declared
    if any(abs(metric.bits_per_byte - loss) < 0.01 for log in logs for metric in log.metrics):
        note = "`val_loss` holds the score in bits per byte"
        return replace(declared, bits_per_byte=loss, nats_per_token=None, oddities=(*declared.oddities, note))
    return declared


def _without_name(message: str, name: str) -> str:
    return message.removeprefix(f"`{shown(name)}` ")
