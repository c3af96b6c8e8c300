"""Facts about record folders that no file in them states: pull requests, what it is made of, a status.

[folders.2026-03-17_LoRA_TTT]
pull_request = 77
tokenizer = "SP1024"
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from golfreg.config import strict
from golfreg.leaderboard.entries import Reproduction

SUPPLEMENT_SCHEMA = 1
MAX_SUPPLEMENT_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Supplement:
    """Of one folder; empty: not said. ``based_on``: numbers of pull requests.

    ``published_bits_per_byte``: in the challenge's table, where that is not given apart.
    """

    pull_request: int | None = None
    tokenizer: str = ""
    architecture: str = ""
    quantizer: str = ""
    codec: str = ""
    status: str = ""
    reason: str = ""
    based_on: tuple[int, ...] = ()
    techniques: tuple[str, ...] = ()
    published_bits_per_byte: float | None = None
    reproductions: tuple[Reproduction, ...] = ()

    def __post_init__(self) -> None:
        strict.not_negative(self)


@dataclass(frozen=True, kw_only=True)
class Supplements:
    """By the folder's name."""

    folders: dict[str, Supplement] = field(default_factory=dict)


def read_supplements(path: Path) -> Supplements:
    """Read and validate the file. InputError names the key."""
    where = f"facts `{path}`"
    table = strict.parse_toml(strict.read_text(path, "facts", MAX_SUPPLEMENT_BYTES), where)
    strict.take_schema(table, SUPPLEMENT_SCHEMA, where)
    return strict.build(Supplements, table, f"{where}:")
