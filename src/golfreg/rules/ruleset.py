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
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,99}")


@dataclass(frozen=True, kw_only=True)
class RuleLimits:
    """Bytes of the whole artifact; seconds of training with calibration, and of scoring."""

    cap_bytes: int
    train_seconds: float
    score_seconds: float

    def __post_init__(self) -> None:
        if min(self.cap_bytes, self.train_seconds, self.score_seconds) <= 0:
            raise InputError("a limit is above 0")


@dataclass(frozen=True, kw_only=True)
class RuleHardware:
    """``cores``: CPU cores, 0: any. ``gpu``: text that the GPU's name holds; empty: any."""

    gpus: int
    gpu: str = ""
    cores: int = 0

    def __post_init__(self) -> None:
        strict.not_negative(self)


@dataclass(frozen=True, kw_only=True)
class RuleData:
    """What may be trained and scored on; an empty list or 0 leaves it open.

    ``fingerprints``: of the corpus. ``validation_source_bytes``: text that is scored, so that no
    part of it is left out under any tokenizer.
    """

    corpora: tuple[str, ...] = ()
    fingerprints: tuple[str, ...] = ()
    validation_source_bytes: int = 0

    def __post_init__(self) -> None:
        strict.not_negative(self)


@dataclass(frozen=True, kw_only=True)
class RuleScore:
    """Window kinds (``fixed``, ``sliding``) and document modes (``isolated``, ``stream``) that are allowed."""

    windows: tuple[str, ...]
    documents: tuple[str, ...]

    def __post_init__(self) -> None:
        for values, known in ((self.windows, ("fixed", "sliding")), (self.documents, ("isolated", "stream"))):
            for value in values:
                if value not in known:
                    raise InputError(f"{strict.shown(value)} is none of {', '.join(known)}")


@dataclass(frozen=True, kw_only=True)
class RuleSeeds:
    """``required``: distinct seeds that an entry needs."""

    required: int

    def __post_init__(self) -> None:
        if self.required < 1:
            raise InputError("an entry needs at least one seed")


@dataclass(frozen=True, kw_only=True)
class RuleSignificance:
    """By how much, and how surely, a new record beats the last. Margin in nats per token."""

    margin_nats_per_token: float
    p_value: float

    def __post_init__(self) -> None:
        if self.margin_nats_per_token < 0 or not 0 < self.p_value < 1:
            raise InputError("the margin is at least 0 and the p value between 0 and 1")


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
    significance: RuleSignificance | None = None

    def __post_init__(self) -> None:
        for key in ("name", "track"):
            strict.text_matching(getattr(self, key), _NAME, key, "lower-case letters, digits, `.`, `_` and `-`")

    def as_limits(self) -> Limits:
        """The limits as a plan holds them."""
        from golfreg.config.plan import Limits

        return Limits(self.limits.cap_bytes, self.limits.train_seconds, self.limits.score_seconds)


def list_rulesets() -> list[str]:
    """Names of the rulesets, sorted."""
    return sorted(path.stem for path in RULESETS_DIR.glob("*.toml"))


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
