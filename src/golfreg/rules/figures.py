"""The figures of an entry: means and extremes over its seeds. Declared by the entry, recomputed here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from golfreg.api.errors import InputError
from golfreg.config import strict
from golfreg.config.record import RunRecord


@dataclass(frozen=True, kw_only=True)
class Figures:
    """``bits_per_byte_std``: of the sample (n - 1); None with one seed. ``bytes_max``: the largest artifact."""

    bits_per_byte_mean: float
    bits_per_byte_std: float | None = None
    nats_per_token_mean: float
    bytes_max: int
    seeds: tuple[int, ...]

    def __post_init__(self) -> None:
        strict.not_negative(self)
        if not self.seeds:
            raise InputError("seeds is empty; an entry has at least one")


def bits_per_byte(record: RunRecord) -> float:
    """Recomputed: nats / ln 2 / bytes."""
    return record.score.nats / math.log(2) / record.score.bytes


def nats_per_token(record: RunRecord) -> float:
    """Recomputed: nats / tokens."""
    return record.score.nats / record.score.tokens


def recompute(records: Sequence[RunRecord]) -> Figures:
    """The figures that these records give, from nats, tokens and bytes alone."""
    scores = [bits_per_byte(record) for record in records]
    return Figures(
        bits_per_byte_mean=mean(scores),
        bits_per_byte_std=sample_std(scores),
        nats_per_token_mean=mean([nats_per_token(record) for record in records]),
        bytes_max=max(record.sizes.total_bytes for record in records),
        seeds=tuple(sorted(record.run.seed for record in records)),
    )


def mean(values: Sequence[float]) -> float:
    """Arithmetic mean, exactly rounded sum."""
    return math.fsum(values) / len(values)


def sample_std(values: Sequence[float]) -> float | None:
    """Standard deviation with n - 1 degrees of freedom; None for fewer than two values."""
    if len(values) < 2:
        return None
    centre = mean(values)
    return math.sqrt(math.fsum((value - centre) ** 2 for value in values) / (len(values) - 1))
