"""What the rules over a whole leaderboard look at: one claim for each entry, wherever it was read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from golfreg.rules.figures import SeedResult
from golfreg.rules.ruleset import Ruleset
from golfreg.rules.significance import Sample, sample_of


@dataclass(frozen=True)
class Again:
    """Runs of the same configuration by someone else. ``scores``: bits per byte, one or more."""

    by: str
    date: str
    scores: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One entry. ``key``: ``track/date_name``. ``mean``: bits per byte, as declared where it has no seeds.

    ``order``: decides between entries of one day, as a pull request's number does. ``exact``: its
    scores have every digit, so that two runs with one score are one run.
    """

    key: str
    track: str
    author: str
    date: str
    ruleset: Ruleset
    status: str
    mean: float
    results: tuple[SeedResult, ...] = ()
    order: int = 0
    reason: str = ""
    based_on: tuple[str, ...] = ()
    reproductions: tuple[Again, ...] = ()
    artifacts: tuple[str, ...] = ()
    """SHA-256 of each seed's artifact, where they are known."""
    exact: bool = True

    @property
    def place(self) -> tuple[str, int, str]:
        """Sorts claims by when they were made."""
        return (self.date, self.order, self.key)

    @cached_property
    def sample(self) -> Sample:
        """Its own seeds."""
        return sample_of(self.results) if self.results else Sample((self.mean,))

    @cached_property
    def pooled(self) -> Sample:
        """Its own seeds, and those of the reproductions."""
        again = tuple(score for one in self.reproductions for score in one.scores)
        return Sample((*self.sample.scores, *again), self.sample.nats_per_bit)
