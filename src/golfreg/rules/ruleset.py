"""Rulesets: what a track allows, as data with a version.

One file of ``rulesets/`` each, named by the ruleset. A rule that changes becomes a new file under
a new name; none is ever edited or deleted, so an old record is judged by the rule of its day.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from golfreg.api.errors import ConfigError, InputError, nearest
from golfreg.config import strict

if TYPE_CHECKING:
    from golfreg.config.plan import Limits

RULESET_SCHEMA = 1
RULESETS_DIR = Path(__file__).parent / "rulesets"
MAX_RULESET_BYTES = 64 * 1024
CODE_COUNTS = ("closure", "plain", "packed", "computed-packed", "indirect")
"""Ways of counting code. ``closure``: golfreg's own, the compressed sources that the artifact holds. ``plain``,
``packed``: the script as it was shipped, readable or self-extracting. ``computed-packed``: a readable script was
shipped, and what packing it would give was counted. ``indirect``: a stub was counted that runs another file."""
OWN_COUNTS = ("closure", "packed")
"""Those that golfreg's own artifacts are made for."""
TESTS = ("one-sample", "welch")
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,99}")


@dataclass(frozen=True, kw_only=True)
class RuleLimits:
    """Bytes of the whole artifact; seconds of training and of scoring.

    ``calibration_is_training``: whether calibration on training data is on the training clock.
    """

    cap_bytes: int
    train_seconds: float
    score_seconds: float
    calibration_is_training: bool = True

    def __post_init__(self) -> None:
        if min(self.cap_bytes, self.train_seconds, self.score_seconds) <= 0:
            raise InputError("a limit is above 0")


@dataclass(frozen=True, kw_only=True)
class RuleHardware:
    """``gpus``: None: any number. ``cores``: CPU cores, 0: any. ``gpu``: text that the GPU's name holds; empty: any."""

    gpus: int | None = None
    gpu: str = ""
    cores: int = 0

    def __post_init__(self) -> None:
        strict.not_negative(self)


@dataclass(frozen=True, kw_only=True)
class RuleData:
    """What may be trained and scored on; an empty list or 0 leaves it open.

    ``fingerprints``: of the corpus. ``validation_source_bytes``: text that is scored, so that no
    part of it is left out under any tokenizer. ``overlap_counted``: whether the corpus can repeat
    validation documents in its training text, so that a record must say that they were counted.
    """

    corpora: tuple[str, ...] = ()
    fingerprints: tuple[str, ...] = ()
    validation_source_bytes: int = 0
    overlap_counted: bool = False

    def __post_init__(self) -> None:
        strict.not_negative(self)


@dataclass(frozen=True, kw_only=True)
class RuleScore:
    """Window kinds (``fixed``, ``sliding``) and document modes (``isolated``, ``stream``) that are allowed."""

    windows: tuple[str, ...]
    documents: tuple[str, ...]

    def __post_init__(self) -> None:
        _known(self.windows, ("fixed", "sliding", "stateful"))
        _known(self.documents, ("isolated", "stream"))


@dataclass(frozen=True, kw_only=True)
class RuleCode:
    """``counted``: the ways of counting an artifact's code that the track takes, of ``CODE_COUNTS``.

    A run of golfreg counts in the first of them that golfreg has: ``closure`` or ``packed``.
    """

    counted: tuple[str, ...] = ("closure",)

    def __post_init__(self) -> None:
        _known(self.counted, CODE_COUNTS)
        if not self.counted:
            raise InputError("code is counted in at least one way")


@dataclass(frozen=True, kw_only=True)
class RuleSeeds:
    """``required``: distinct seeds that an entry needs."""

    required: int

    def __post_init__(self) -> None:
        if self.required < 1:
            raise InputError("an entry needs at least one seed")


@dataclass(frozen=True, kw_only=True)
class RuleSignificance:
    """By how much, and how surely, a new record beats the last. One-sided.

    ``test``: ``one-sample`` holds the seeds against the record's mean, ``welch`` two samples of
    unequal variance against each other. ``pool_reproductions``: runs by others count as seeds.
    """

    test: str
    margin_nats_per_token: float
    p_value: float
    pool_reproductions: bool = False

    def __post_init__(self) -> None:
        _known((self.test,), TESTS)
        if not 0 <= self.margin_nats_per_token <= 100 or not 0 < self.p_value < 1:
            raise InputError("the margin is at least 0, at most 100, and the p value between 0 and 1")


@dataclass(frozen=True, kw_only=True)
class RuleReproductions:
    """``tolerance_nats_per_token``: how much worse than the claim runs by others may be."""

    tolerance_nats_per_token: float = 0.005

    def __post_init__(self) -> None:
        strict.not_negative(self)


def _known(values: tuple[str, ...], known: tuple[str, ...]) -> None:
    for value in values:
        if value not in known:
            raise InputError(f"{strict.shown(value)} is none of {', '.join(known)}")


@dataclass(frozen=True, kw_only=True)
class Ruleset:
    """One ruleset. ``track``: the entries whose scores compare with each other."""

    name: str
    version: int
    track: str
    summary: str
    limits: RuleLimits
    hardware: RuleHardware
    score: RuleScore
    seeds: RuleSeeds
    data: RuleData = field(default_factory=RuleData)
    code: RuleCode = field(default_factory=RuleCode)
    significance: RuleSignificance | None = None
    """None: no test decides on a record."""
    reproductions: RuleReproductions = field(default_factory=RuleReproductions)

    def __post_init__(self) -> None:
        for key in ("name", "track"):
            strict.text_matching(getattr(self, key), _NAME, key, "lower-case letters, digits, `.`, `_` and `-`")

    def as_limits(self) -> Limits:
        """The limits as a plan holds them."""
        from golfreg.config.plan import Limits

        own = [way for way in self.code.counted if way in OWN_COUNTS] or [OWN_COUNTS[0]]
        return Limits(self.limits.cap_bytes, self.limits.train_seconds, self.limits.score_seconds, own[0])


def list_rulesets(track: str | None = None) -> list[str]:
    """Names of the rulesets, or of those of one track, sorted."""
    names = sorted(path.stem for path in RULESETS_DIR.glob("*.toml"))
    return [name for name in names if track is None or load_ruleset(name).track == track]


@cache
def load_ruleset(name: str) -> Ruleset:
    """The ruleset of that name. ConfigError for an unknown one, with the nearest name."""
    known = list_rulesets()
    if name not in known:
        raise ConfigError(f"there is no ruleset `{strict.shown(name)}`", nearest(name, known, "rulesets"))
    return read_ruleset(RULESETS_DIR / f"{name}.toml")


def read_ruleset(path: Path) -> Ruleset:
    """Read and validate a ruleset's file. InputError: unknown key (with the nearest), wrong type or value."""
    where = f"ruleset `{path}`"
    table = strict.parse_toml(strict.read_text(path, "ruleset", MAX_RULESET_BYTES), where)
    strict.take_schema(table, RULESET_SCHEMA, where)
    ruleset = strict.build(Ruleset, table, f"{where}:")
    if ruleset.name != path.stem:
        raise InputError(f"{where} says its name is `{ruleset.name}`", "the file is named by the ruleset")
    return ruleset
