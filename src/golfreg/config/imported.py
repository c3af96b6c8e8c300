"""Entries taken over from elsewhere: what their authors declared, what their logs say, what was recomputed.

A challenge's record folder has no golfreg record. Each of its figures is kept with where it comes
from, so that a reader sees every disagreement. ``imported.toml`` holds what concerns the whole
folder, ``runs/seed_N.toml`` one seed each. One fact a line, in the order of the fields below; what
is unknown is left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from golfreg.api.errors import InputError
from golfreg.config import quick, strict
from golfreg.config.record import to_table

T = TypeVar("T")

IMPORTED_SCHEMA = 1
MAX_IMPORTED_BYTES = 256 * 1024
LEVELS = ("PASS", "WARN", "FAIL")
_CODE = re.compile(r"GR\d{3}")
_URL = re.compile(r"https://[A-Za-z0-9./_%#?=&:@+~-]{1,480}")


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One figure by provenance. ``recomputed``: by golfreg, from the folder's files."""

    declared: float | None = None
    log: float | None = None
    recomputed: float | None = None

    def __post_init__(self) -> None:
        strict.not_negative(self)

    @property
    def best(self) -> float | None:
        """Recomputed before logged before declared."""
        return next((value for value in (self.recomputed, self.log, self.declared) if value is not None), None)


@dataclass(frozen=True, kw_only=True)
class Count:
    """A whole number by provenance."""

    declared: int | None = None
    log: int | None = None
    recomputed: int | None = None

    def __post_init__(self) -> None:
        strict.not_negative(self)

    @property
    def best(self) -> int | None:
        """Recomputed before logged before declared."""
        return next((value for value in (self.recomputed, self.log, self.declared) if value is not None), None)


@dataclass(frozen=True, kw_only=True)
class ImportedRun:
    """One seed. ``log``: the log's name in the folder; empty where there is none."""

    seed: int
    log: str = ""
    bits_per_byte: Measure = field(default_factory=Measure)
    nats_per_token: Measure = field(default_factory=Measure)
    total_bytes: Count = field(default_factory=Count)
    model_bytes: Count = field(default_factory=Count)
    code_bytes: Count = field(default_factory=Count)
    train_seconds: Measure = field(default_factory=Measure)
    calibrate_seconds: Measure = field(default_factory=Measure)
    score_seconds: Measure = field(default_factory=Measure)
    steps: Count = field(default_factory=Count)
    milliseconds_per_step: Measure = field(default_factory=Measure)
    parameters: Count = field(default_factory=Count)


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where the folder is. ``pull_request``: its number, where one is known.

    ``based_on``: pull requests that it says it builds on. ``published_bits_per_byte``: the score in
    the challenge's own table, for a row that stands there.
    """

    url: str
    folder: str
    pull_request: int | None = None
    commit: str = ""
    published_bits_per_byte: float | None = None
    based_on: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        strict.not_negative(self)
        strict.text_matching(self.url, _URL, "url", "an https address")
        if not self.folder or len(self.folder) > 300:
            raise InputError("folder is empty or longer than 300 characters")


@dataclass(frozen=True, kw_only=True)
class Headline:
    """What the submission says of itself as a whole."""

    bits_per_byte: Measure = field(default_factory=Measure)
    bits_per_byte_std: Measure = field(default_factory=Measure)
    nats_per_token: Measure = field(default_factory=Measure)
    total_bytes: Count = field(default_factory=Count)
    code_bytes: Count = field(default_factory=Count)


@dataclass(frozen=True, kw_only=True)
class Described:
    """What is known in words, as declared; empty where nothing is."""

    title: str = ""
    github: str = ""
    tokenizer: str = ""
    architecture: str = ""
    quantizer: str = ""
    codec: str = ""
    hardware: str = ""

    def __post_init__(self) -> None:
        for one in fields(self):
            if len(getattr(self, one.name)) > 300:
                raise InputError(f"{one.name} is longer than 300 characters")


@dataclass(frozen=True, kw_only=True)
class KeptFinding:
    """What was found in the folder's files when it was imported: the files are not kept."""

    code: str
    level: str
    message: str
    where: str = ""

    def __post_init__(self) -> None:
        strict.text_matching(self.code, _CODE, "code", "a finding's code, as in GR601")
        if self.level not in LEVELS:
            raise InputError(f"level is {strict.shown(self.level)}; it must be one of {', '.join(LEVELS)}")


@dataclass(frozen=True, kw_only=True)
class Imported:
    """A whole folder.

    ``code_policy``: how the code in its totals was counted (``plain``, ``packed``, ``computed-packed``,
    ``indirect``); empty where that is not known. ``counted_code``: bytes of code by way of counting.
    ``findings``: what only the folder's files could tell; what the figures tell is found anew.
    """

    source: Source
    headline: Headline = field(default_factory=Headline)
    described: Described = field(default_factory=Described)
    code_policy: str = ""
    counted_code: dict[str, int] = field(default_factory=dict)
    findings: tuple[KeptFinding, ...] = ()

    def __post_init__(self) -> None:
        if any(count < 0 for count in self.counted_code.values()):
            raise InputError("counted_code has a negative size")


def imported_to_toml(facts: Imported | ImportedRun) -> str:
    """The text of ``imported.toml`` or of one of its runs."""
    import tomli_w

    text = tomli_w.dumps({"schema": IMPORTED_SCHEMA, **_without_empty(to_table(facts))})
    parse_imported(text, "the import", type(facts))
    return text


def parse_imported(text: str, where: str, cls: type[T]) -> T:
    """Validate a text as ``Imported`` or ``ImportedRun`` (``cls``). InputError names the key."""
    return quick.read(cls, IMPORTED_SCHEMA, text, where)


def _without_empty(table: dict[str, Any]) -> dict[str, Any]:
    """Without empty tables and texts: what is unknown is not written."""
    kept = {key: _without_empty(value) if isinstance(value, dict) else value for key, value in table.items()}
    return {key: value for key, value in kept.items() if value not in ({}, "", [])}
