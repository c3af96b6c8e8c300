"""Rules over the files of a record folder. What they find is kept with the imported entry.

One rule is one function and one code; its title stands in ``rules.imported_rules.FOLDER_TITLES``.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, date, datetime, timedelta

from golfreg.config.imported import KeptFinding
from golfreg.config.strict import shown
from golfreg.leaderboard.challenge.folder import RecordFolder
from golfreg.rules.findings import Level, Problem
from golfreg.rules.imported_rules import FOLDER_TITLES

FIRST_DAY = date(2026, 3, 17)
"""The earliest date of a public record folder."""
DAYS_APART = 3
MAX_MESSAGE = 400
_Check = Callable[[RecordFolder], Iterator[Problem]]
_RULES: dict[str, _Check] = {}


def folder_rule(code: str) -> Callable[[_Check], _Check]:
    """Register a function as the rule ``code``."""

    def register(check: _Check) -> _Check:
        assert code in FOLDER_TITLES, code
        assert code not in _RULES, code
        _RULES[code] = check
        return check

    return register


def folder_codes() -> list[str]:
    """The codes of all rules here, sorted."""
    return sorted(_RULES)


def kept_findings(folder: RecordFolder, codes: Iterable[str] | None = None) -> list[KeptFinding]:
    """Every problem of a folder's files, by code; what is in order is not kept. ``codes``: default all."""
    return [
        KeptFinding(
            code=code,
            level=str(problem.level),
            message=shown(problem.message, MAX_MESSAGE),
            where=shown(problem.where, 200) if problem.where else "",
        )
        for code in (folder_codes() if codes is None else codes)
        for problem in _RULES[code](folder)
    ]


@folder_rule("GR601")
def files(folder: RecordFolder) -> Iterator[Problem]:
    """A missing README is for a person to look at."""
    for code, message, where in folder.problems:
        if code == "GR601":
            yield Problem(message, where)
    if not folder.submission:
        yield Problem("there is no submission.json")
    if not folder.code.script:
        yield Problem("there is no training script")
    if not folder.logs:
        yield Problem("there is no log of a run", level=Level.WARN)
    if folder.claims is None:
        yield Problem("there is no README.md that can be read", level=Level.WARN)


@folder_rule("GR602")
def fields(folder: RecordFolder) -> Iterator[Problem]:
    """Read all the same, as far as it can be."""
    for oddity in folder.declared.oddities:
        yield Problem(oddity, folder.submission, Level.WARN)


@folder_rule("GR603")
def script(folder: RecordFolder) -> Iterator[Problem]:
    """Nothing is run. WARN: only a newer Python than this one can tell."""
    for problem in folder.code.problems:
        yield Problem(problem, shown(folder.code.script))
    for problem in folder.code.unchecked:
        yield Problem(problem, shown(folder.code.script), Level.WARN)


@folder_rule("GR604")
def plain_files(folder: RecordFolder) -> Iterator[Problem]:
    """No links, nothing that leads out of the folder."""
    for code, message, where in folder.problems:
        if code == "GR604":
            yield Problem(message, where)


@folder_rule("GR605")
def copies(folder: RecordFolder) -> Iterator[Problem]:
    """One run in two logs of the folder. Copies between folders are found while many are imported."""
    same: dict[tuple[object, ...], list[str]] = defaultdict(list)
    for log in folder.logs:
        if log.metrics:
            same[(log.metrics, log.train_seconds, log.steps, log.total_bytes)].append(log.name)
    for names in same.values():
        if len(names) > 1:
            yield Problem(f"one run in {len(names)} logs: {', '.join(map(shown, sorted(names)))}", level=Level.WARN)


@folder_rule("GR606")
def readme(folder: RecordFolder) -> Iterator[Problem]:
    """Rounded to four places or more."""
    score = folder.declared.bits_per_byte
    if folder.claims is not None and score is not None and not folder.claims.mentions(score):
        yield Problem(f"the declared {score:g} does not stand in it", "README.md", Level.WARN)


@folder_rule("GR643")
def configuration(folder: RecordFolder) -> Iterator[Problem]:
    """Settings as echoed, and parameters; WARN where only the bytes of the code differ."""
    logs = [one.log for one in folder.seeds if one.log is not None]
    if len(logs) < 2:
        return
    first = logs[0]
    for log in logs[1:]:
        names = sorted(
            name for name in first.settings.keys() & log.settings.keys() if first.settings[name] != log.settings[name]
        )
        if names:
            said = ", ".join(f"{n} {shown(first.settings[n], 30)} and {shown(log.settings[n], 30)}" for n in names[:5])
            more = f" and {len(names) - 5} more" if len(names) > 5 else ""
            yield Problem(f"not the settings of {shown(first.name)}: {said}{more}", shown(log.name))
        elif None not in (first.parameters, log.parameters) and first.parameters != log.parameters:
            yield Problem(
                f"{log.parameters:,} parameters; {shown(first.name)} has {first.parameters:,}", shown(log.name)
            )
        elif None not in (first.code_bytes, log.code_bytes) and first.code_bytes != log.code_bytes:
            said = f"{log.code_bytes:,} bytes of code; {shown(first.name)} has {first.code_bytes:,}"
            yield Problem(said, shown(log.name), Level.WARN)


@folder_rule("GR644")
def seeds(folder: RecordFolder) -> Iterator[Problem]:
    """One that says another seed than its name is another run, or the seed was never set."""
    for one in folder.seeds:
        log = one.log
        if log is not None and log.seed is not None and log.seed != one.run.seed:
            yield Problem(f"the log says seed {log.seed}, not {one.run.seed}", shown(log.name))


@folder_rule("GR645")
def last_score(folder: RecordFolder) -> Iterator[Problem]:
    """An earlier one may be meant; a person should look why."""
    for one in folder.seeds:
        if one.log is not None and one.metric is not None and one.metric != one.log.metrics[-1]:
            last = one.log.metrics[-1]
            said = f"it is `{one.metric.tag}` with {one.metric.bits_per_byte:g}; the log ends with `{last.tag}`"
            yield Problem(f"{said} with {last.bits_per_byte:g}", shown(one.log.name), Level.WARN)


@folder_rule("GR646")
def calibration(folder: RecordFolder) -> Iterator[Problem]:
    """Calibration text that the model wrote after training: accepted by the challenge, but it is time."""
    for one in folder.seeds:
        if one.log is not None and one.log.generated_seconds:
            said = f"{one.log.generated_seconds:.1f} s of making calibration text with the model, after training"
            yield Problem(said, shown(one.log.name), Level.WARN)


@folder_rule("GR651")
def dates(folder: RecordFolder) -> Iterator[Problem]:
    """Not before the challenge, not in the future, within three days of the folder's name."""
    if not folder.declared.day:
        return
    day = date.fromisoformat(folder.declared.day)
    if not FIRST_DAY <= day <= datetime.now(UTC).date() + timedelta(days=1):
        yield Problem(f"{day} is before the challenge, or in the future", folder.submission, Level.WARN)
    try:
        named = date.fromisoformat(folder.day)
    except ValueError:
        return
    if abs((day - named).days) > DAYS_APART:
        yield Problem(f"{day} declared, {named} in the folder's name", folder.submission, Level.WARN)
