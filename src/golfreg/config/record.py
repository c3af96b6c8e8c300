"""The record of a run: what was run, on what, what it cost and what it scored, as TOML.

One fact a line, sections and keys in the order of the dataclasses below, tables that are keyed by
a name sorted by it: two records differ where a diff says so. Fill a ``RunRecord``, write
``record_to_toml(record)``; ``read_record(path)`` takes any file and returns a valid record or
raises ``InputError``. Sizes are bytes, times seconds, losses nats.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from golfreg.api.errors import InputError
from golfreg.config import quick, strict

if TYPE_CHECKING:
    from golfreg.config.plan import Chosen

RECORD_SCHEMA = 1
MAX_RECORD_BYTES = 256 * 1024

_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,99}")
_HEX = re.compile(r"[0-9a-f]{8,128}")
_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
DATE_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, kw_only=True)
class RunFacts:
    """``name``: a slug. ``date``: when the record was made, UTC, as in 2026-05-01T12:00:00Z."""

    name: str
    date: str
    golfreg: str
    """Version of golfreg."""
    track: str
    ruleset: str
    seed: int
    spec_digest: str

    def __post_init__(self) -> None:
        for key in ("name", "track", "ruleset"):
            strict.text_matching(getattr(self, key), _NAME, key, "lower-case letters, digits, `.`, `_` and `-`")
        strict.text_matching(self.date, _DATE, "date", "a time in UTC, as in 2026-05-01T12:00:00Z")
        try:
            datetime.fromisoformat(self.date)
        except ValueError as error:
            raise InputError(f"date {self.date} does not exist") from error
        strict.text_matching(self.spec_digest, _HEX, "spec_digest", "a hexadecimal digest")


@dataclass(frozen=True, kw_only=True)
class ComponentFacts:
    """One component, and the distribution that it came from."""

    name: str
    distribution: str
    version: str

    @classmethod
    def of(cls, chosen: Chosen) -> ComponentFacts:
        return cls(name=chosen.name, distribution=chosen.distribution, version=chosen.version)


@dataclass(frozen=True, kw_only=True)
class Components:
    """``mixers``: by name, those that the architecture used."""

    architecture: ComponentFacts
    quantizer: ComponentFacts
    codec: ComponentFacts
    corpus: ComponentFacts
    mixers: dict[str, ComponentFacts] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class KernelFacts:
    """The kernel that was chosen for an op, and why."""

    kernel: str
    reason: str
    distribution: str
    version: str


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Bytes of the artifact. ``by_role``: of the coded weights, adding up to ``weight_bytes``."""

    code_bytes: int
    weight_bytes: int
    header_bytes: int
    total_bytes: int
    cap_bytes: int
    headroom_bytes: int
    """``cap_bytes - total_bytes``; negative over the cap."""
    by_role: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for key in ("code_bytes", "weight_bytes", "header_bytes", "total_bytes", "cap_bytes"):
            if getattr(self, key) < 0:
                raise InputError(f"{key} is negative")
        if any(size < 0 for size in self.by_role.values()):
            raise InputError("by_role has a negative size")


@dataclass(frozen=True, kw_only=True)
class Times(strict.NotNegative):
    """Wall-clock seconds of each stage; a stage that was not needed took 0."""

    data_seconds: float
    train_seconds: float
    calibrate_seconds: float
    quantize_seconds: float
    pack_seconds: float
    score_seconds: float


@dataclass(frozen=True, kw_only=True)
class TrainFacts(strict.NotNegative):
    """``final_loss``: training loss of the last step, nats per token."""

    steps: int
    tokens: int
    parameters: int
    final_loss: float
    interruptions: int = 0
    """How often training was resumed from a checkpoint."""
    processes: int = 1
    """That trained together, each on a GPU of its own where there was one."""


@dataclass(frozen=True, kw_only=True)
class ScoreFacts:
    """The score. ``nats``: sum over ``tokens`` targets, which decode to ``bytes`` bytes."""

    nats: float
    tokens: int
    bytes: int
    nats_per_token: float
    bits_per_byte: float
    documents: int
    windows: str
    """``fixed`` or ``sliding:STRIDE``."""
    sequence_length: int
    documents_mode: str
    """``isolated`` or ``stream``."""
    isolation: str
    """How the network was cut off while scoring: ``namespace``, ``sockets`` or ``none``."""
    probes: int
    """Positions at which causality was probed."""
    standard_error: float | None = None
    """Of the bits per byte, over documents; None: not known, as for a single document."""

    def __post_init__(self) -> None:
        strict.not_negative(self)
        if self.tokens == 0 or self.bytes == 0:
            raise InputError("a score has at least one token and one byte")


@dataclass(frozen=True, kw_only=True)
class DataFacts(strict.NotNegative):
    """The corpus as it was tokenized."""

    corpus: str
    fingerprint: str
    tokenizer: str
    tokenizer_digest: str
    vocab_size: int
    train_tokens: int
    validation_tokens: int
    validation_documents: int
    validation_bytes: int
    """Decoded bytes, equal to the counted ones."""
    validation_source_bytes: int
    """Bytes of the text before the tokenizer normalized it."""
    licence: str
    shared_documents: int | None = None
    """Validation documents that are in the training text too, by their digests; None: not counted."""


@dataclass(frozen=True, kw_only=True)
class ArtifactFacts:
    """The artifact file."""

    sha256: str
    bytes: int

    def __post_init__(self) -> None:
        strict.not_negative(self)
        strict.text_matching(self.sha256, re.compile(r"[0-9a-f]{64}"), "sha256", "64 hexadecimal digits")


@dataclass(frozen=True, kw_only=True)
class Hardware(strict.NotNegative):
    """``gpu`` is empty where none was used."""

    cpu: str
    cores: int
    memory_bytes: int
    gpu: str = ""
    gpus: int = 0


@dataclass(frozen=True, kw_only=True)
class Environment:
    """Versions. ``packages``: of further distributions that matter for the run."""

    python: str
    os: str
    torch: str
    numpy: str
    triton: str = ""
    cuda: str = ""
    packages: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class FittedRole:
    """What ``--fit`` chose for a role. ``clip_std``: in standard deviations of a row."""

    bits: int
    clip_std: float

    def __post_init__(self) -> None:
        strict.not_negative(self)


@dataclass(frozen=True, kw_only=True)
class FitFacts:
    """What ``--fit`` chose for this run's weights. ``encodes``: artifacts that were coded to find it."""

    encodes: int
    roles: dict[str, FittedRole]

    def __post_init__(self) -> None:
        strict.not_negative(self)


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """One finished run. ``settings``: the whole spec as tables, so that it can be run again.

    ``fit``: what was chosen where the settings say ``fit``; it may differ by seed.
    """

    run: RunFacts
    components: Components
    score: ScoreFacts
    sizes: Sizes
    times: Times
    train: TrainFacts
    data: DataFacts
    artifact: ArtifactFacts
    hardware: Hardware
    environment: Environment
    kernels: dict[str, KernelFacts]
    """By op."""
    settings: dict[str, Any]
    fit: FitFacts | None = None


def record_to_toml(record: RunRecord) -> str:
    """The record's text. InputError if it holds what could not be read back (NaN, control characters)."""
    import tomli_w

    table = {"schema": RECORD_SCHEMA, **to_table(record)}
    text = tomli_w.dumps(table)
    parse_record(text, "the record")
    return text


def read_record(path: Path) -> RunRecord:
    """Read and validate a record. InputError: see the module ``golfreg.config.strict``."""
    return parse_record(strict.read_text(path, "record", MAX_RECORD_BYTES), f"record `{path}`")


def parse_record(text: str, where: str) -> RunRecord:
    """Validate a record's text. ``where`` begins each message."""
    return quick.read(RunRecord, RECORD_SCHEMA, text, where)


def parse_records(texts: Sequence[str]) -> list[RunRecord | None]:
    """The same for many, sooner. None: whether and why it is not valid says ``parse_record``."""
    return quick.read_many(RunRecord, RECORD_SCHEMA, texts)


def to_table(facts: Any) -> Any:
    """A dataclass of facts as tables: fields in order, None left out, tables keyed by name sorted."""
    if is_dataclass(facts):
        table = {f.name: to_table(getattr(facts, f.name)) for f in fields(facts)}
        for f in fields(facts):
            value = getattr(facts, f.name)
            if value is None:
                del table[f.name]
            elif isinstance(value, Mapping) and f.name != "settings":
                table[f.name] = dict(sorted(table[f.name].items()))
        return table
    if isinstance(facts, Mapping):
        return {key: to_table(value) for key, value in facts.items() if value is not None}
    if isinstance(facts, list | tuple):
        return [to_table(value) for value in facts]
    return facts
