"""The figures of an entry: means and extremes over its seeds. Declared by the entry, recomputed here."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from golfreg.config import strict
from golfreg.config.record import RunRecord


@dataclass(frozen=True, kw_only=True)
class Figures:
    """``bits_per_byte_std``: of the sample (n - 1); None with one seed. ``bytes_max``: the largest artifact.

    Only an imported entry may lack what is optional here, or have no seeds.
    """

    bits_per_byte_mean: float
    bits_per_byte_std: float | None = None
    nats_per_token_mean: float | None = None
    bytes_max: int | None = None
    seeds: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        strict.not_negative(self)


@dataclass(frozen=True, kw_only=True)
class SeedResult:
    """What ranking, statistics and tables need of one seed, wherever it was read. None: not known."""

    where: str
    seed: int
    bits_per_byte: float
    nats_per_token: float | None = None
    total_bytes: int | None = None
    train_seconds: float | None = None
    """With calibration."""
    score_seconds: float | None = None
    standard_error: float | None = None
    """Of the bits per byte, over documents."""


def seed_result(where: str, record: RunRecord) -> SeedResult:
    """Of a golfreg record; scores recomputed."""
    return SeedResult(
        where=where,
        seed=record.run.seed,
        bits_per_byte=bits_per_byte(record),
        nats_per_token=nats_per_token(record),
        total_bytes=record.sizes.total_bytes,
        train_seconds=record.times.train_seconds + record.times.calibrate_seconds,
        score_seconds=record.times.score_seconds,
        standard_error=record.score.standard_error,
    )


def bits_per_byte(record: RunRecord) -> float:
    """Recomputed: nats / ln 2 / bytes."""
    return record.score.nats / math.log(2) / record.score.bytes


def nats_per_token(record: RunRecord) -> float:
    """Recomputed: nats / tokens."""
    return record.score.nats / record.score.tokens


def recompute(records: Sequence[RunRecord]) -> Figures:
    """The figures that these records give, from nats, tokens and bytes alone."""
    return figures_of([seed_result("", record) for record in records])


def figures_of(results: Sequence[SeedResult]) -> Figures:
    """The figures over one or more seeds; a figure that some seed lacks is None."""
    scores = [result.bits_per_byte for result in results]
    nats = [result.nats_per_token for result in results if result.nats_per_token is not None]
    sizes = [result.total_bytes for result in results if result.total_bytes is not None]
    return Figures(
        bits_per_byte_mean=mean(scores),
        bits_per_byte_std=sample_std(scores),
        nats_per_token_mean=mean(nats) if len(nats) == len(results) else None,
        bytes_max=max(sizes) if len(sizes) == len(results) else None,
        seeds=tuple(sorted(result.seed for result in results)),
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
