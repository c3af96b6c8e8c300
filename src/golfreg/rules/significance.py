"""Does a candidate beat a record under a ruleset? The margin is in nats per token, the test in bits per byte.

Nats are per token and tokenizers differ, so the margin is converted by nats per token for one bit
per byte, which every entry has of its own (1.689 for a vocabulary of 1024, 2.583 for 8192 in the
challenge). Where the two entries differ, the smaller ratio counts: it asks for the larger gain.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from golfreg.rules.figures import SeedResult, mean, sample_std
from golfreg.rules.ruleset import RuleSignificance
from golfreg.rules.statistics import TTest, one_sample, welch


@dataclass(frozen=True)
class Sample:
    """``scores``: bits per byte, one or more. ``nats_per_bit``: nats per token for one bit per byte, if it is known."""

    scores: tuple[float, ...]
    nats_per_bit: float | None = None

    @property
    def mean(self) -> float:
        return mean(self.scores)

    @property
    def std(self) -> float | None:
        return sample_std(self.scores)


def sample_of(results: Sequence[SeedResult], reproduced: Sequence[float] = ()) -> Sample:
    """The seeds, and what others measured beside them. The ratio is the median over the seeds that have both units."""
    ratios = [r.nats_per_token / r.bits_per_byte for r in results if r.nats_per_token and r.bits_per_byte]
    ratio = statistics.median(ratios) if ratios else None
    return Sample((*(result.bits_per_byte for result in results), *reproduced), ratio)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """``significant``: None where no test can say. ``why``: then the reason; else empty.

    Gains are the record's mean less the candidate's. ``test``: the one that was made: a record of
    one seed has no spread, so that even where the ruleset says ``welch`` it is held as a number.
    """

    candidate: Sample
    record: Sample
    test: str
    gain_bits_per_byte: float
    gain_nats_per_token: float | None
    margin_nats_per_token: float
    margin_bits_per_byte: float | None
    threshold: float
    t: float | None
    df: float | None
    p: float | None
    significant: bool | None
    why: str

    def sentence(self) -> str:
        """The outcome in words."""
        nats = "" if self.gain_nats_per_token is None else f" ({self.gain_nats_per_token:+.4f} nats per token)"
        gain = f"a gain of {self.gain_bits_per_byte:+.5f} bits per byte{nats}"
        if self.p is None:
            return f"not decided: {gain}, but {self.why}"
        over = f" with a margin of {self.margin_bits_per_byte:.5f}" if self.margin_bits_per_byte else ""
        sign = "<" if self.significant else ">="
        name = {"welch": "one-sided Welch test", "one-sample": "one-sided one-sample t test"}[self.test]
        answer = "beats the record" if self.significant else "does not beat the record"
        return f"{answer}: {gain}{over}, p = {p_text(self.p)} {sign} {self.threshold:g} ({name})"


def judge(candidate: Sample, record: Sample, rule: RuleSignificance) -> Verdict:
    """Hold the candidate against the record."""
    ratios = [ratio for ratio in (candidate.nats_per_bit, record.nats_per_bit) if ratio is not None]
    ratio = min(ratios) if ratios else None
    margin = rule.margin_nats_per_token / ratio if ratio else None if rule.margin_nats_per_token else 0.0
    test = rule.test if len(record.scores) > 1 else "one-sample"
    if margin is None:
        outcome = TTest(
            gain=record.mean - candidate.mean,
            why="neither says its nats per token, so the margin cannot be converted to bits per byte",
        )
    elif test == "welch":
        outcome = welch(candidate.scores, record.scores, margin)
    else:
        outcome = one_sample(candidate.scores, record.mean, margin)
    return Verdict(
        candidate=candidate,
        record=record,
        test=test,
        gain_bits_per_byte=outcome.gain,
        gain_nats_per_token=outcome.gain * ratio if ratio else None,
        margin_nats_per_token=rule.margin_nats_per_token,
        margin_bits_per_byte=margin,
        threshold=rule.p_value,
        t=outcome.t,
        df=outcome.df,
        p=outcome.p,
        significant=None if outcome.p is None else outcome.p < rule.p_value,
        why=outcome.why,
    )


def p_text(p: float) -> str:
    """Three decimals, more where they would be 0."""
    return f"{p:.3f}" if p >= 0.0005 else f"{p:.1e}"
