"""GR6xx: what an imported submission says of itself, held against its logs and against what was recomputed.

The rules of this module and of ``imported_*_rules.py`` need the kept figures alone, so they are
applied anew whenever an entry is read. What only the folder's files can tell is found while it is
imported (``golfreg.leaderboard.challenge.folder_rules``) and kept as findings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache

from golfreg.config.imported import Imported, ImportedRun
from golfreg.rules.figures import Figures, SeedResult
from golfreg.rules.findings import Finding, Level, Problem
from golfreg.rules.register import Register, Rule
from golfreg.rules.ruleset import Ruleset


@dataclass(frozen=True)
class Submission:
    """What the rules look at. ``runs``: by the name that findings give them."""

    imported: Imported
    runs: Mapping[str, ImportedRun]
    ruleset: Ruleset

    @property
    def scores(self) -> dict[str, float]:
        """Bits per byte of each run that has a score, from its best provenance."""
        found = {where: run.bits_per_byte.best for where, run in self.runs.items()}
        return {where: score for where, score in found.items() if score is not None}


ImportedCheck = Callable[[Submission], Iterator[Problem]]


imported_rule: Register[ImportedCheck] = Register()
"""Registers a function as a rule over kept figures."""


FOLDER_TITLES = {
    "GR601": "submission.json, README, script and a log are there, and can be read",
    "GR602": "submission.json has every field, each of its type",
    "GR603": "the script is not empty and compiles, unpacked too",
    "GR604": "the folder holds plain files only",
    "GR605": "no log or script is another one's copy",
    "GR606": "the README has the declared score",
    "GR643": "every log echoes the same settings",
    "GR644": "a log's seed is its name's",
    "GR645": "the declared score is the last one of its log",
    "GR646": "calibration used training data on the clock, or none",
    "GR651": "the date is a day of the challenge, and the folder's",
}
"""What only a folder's files can tell; found at import and kept. The functions are ``challenge.folder_rules``'."""


@cache
def all_imported_rules() -> tuple[Rule[ImportedCheck], ...]:
    """Every rule over kept figures, by code."""
    from golfreg.rules import (  # noqa: F401
        imported_score_rules,
        imported_seed_rules,
        imported_size_rules,
        imported_time_rules,
    )

    return imported_rule.in_order()


def imported_result(where: str, run: ImportedRun) -> SeedResult | None:
    """One seed, each figure from its best provenance; None without a score."""
    score = run.bits_per_byte.best
    if score is None:
        return None
    train, calibrate = run.train_seconds.best, run.calibrate_seconds.best
    return SeedResult(
        where=where,
        seed=run.seed,
        bits_per_byte=score,
        nats_per_token=run.nats_per_token.best,
        total_bytes=run.total_bytes.best,
        train_seconds=None if train is None else train + (calibrate or 0.0),
        score_seconds=run.score_seconds.best,
    )


def check_imported(
    imported: Imported, runs: Mapping[str, ImportedRun], ruleset: Ruleset, declared: Figures | None = None
) -> list[Finding]:
    """The findings of every rule over the kept figures, and those kept from the import, by code.

    ``declared``: of ``entry.toml``; it must repeat the headline that was imported.
    """
    submission = Submission(imported, runs, ruleset)
    found = [Finding(f.code, Level(f.level), f.message, f.where) for f in imported.findings]
    for one in all_imported_rules():
        problems = [Finding(one.code, p.level, p.message, p.where) for p in one.check(submission)]
        found += problems or [Finding(one.code, Level.PASS, one.title)]
    headline = imported.headline.bits_per_byte.declared
    if declared is not None and headline is not None and abs(declared.bits_per_byte_mean - headline) > 1e-9:
        message = f"entry.toml declares {declared.bits_per_byte_mean:.6f}; the submission said {headline:.6f}"
        found.append(Finding("GR632", Level.FAIL, message, "entry.toml"))
    return sorted(found, key=lambda finding: finding.code)


def agrees(declared: float, measured: float) -> bool:
    """Equal but for rounding or cutting at the declared number's last place (at least four places)."""
    written = repr(declared)
    places = 12 if "e" in written else len(written.partition(".")[2])
    return abs(declared - measured) <= 1.001 * 10.0 ** -max(4, min(8, places))
