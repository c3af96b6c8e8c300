"""One-sided t tests on bits per byte: is the candidate lower than the record, by more than a margin?

Both compare means; the p value is the chance of a gain at least this large if the true gain were
the margin. Where no p value can be had (one seed, no spread), the result says why: nothing is NaN.
The formulas are Student's and Welch's (B. L. Welch, Biometrika 34, 1947; degrees of freedom after
Welch and Satterthwaite); the distribution functions are SciPy's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from golfreg.rules.figures import mean, sample_std

NO_SPREAD = 1e-12
"""Relative to the mean: a smaller standard deviation is rounding."""
LARGEST_T = 1e12


@dataclass(frozen=True, kw_only=True)
class TTest:
    """The outcome of one test. ``why``: why there is no ``p``; empty where there is.

    ``gain``: the record's mean less the candidate's, without the margin, in the unit of the samples.
    """

    gain: float
    t: float | None = None
    df: float | None = None
    p: float | None = None
    why: str = ""


def one_sample(candidate: Sequence[float], record_mean: float, margin: float = 0.0) -> TTest:
    """Student's t test of the candidate's seeds against the number ``record_mean - margin``."""
    gain = record_mean - mean(candidate)
    std = sample_std(candidate)
    if std is None:
        return TTest(gain=gain, why="the candidate has one score only: a test needs their spread")
    if std <= NO_SPREAD * abs(mean(candidate)):
        return TTest(gain=gain, why="all seeds of the candidate have one score: there is no spread to test with")
    return _outcome(gain, margin, std / math.sqrt(len(candidate)), len(candidate) - 1.0)


def welch(candidate: Sequence[float], record: Sequence[float], margin: float = 0.0) -> TTest:
    """Welch's t test of two samples, whose variances may differ."""
    gain = mean(record) - mean(candidate)
    stds = sample_std(candidate), sample_std(record)
    for std, which in zip(stds, ("candidate", "record"), strict=True):
        if std is None:
            return TTest(gain=gain, why=f"the {which} has one score only: a test needs their spread")
    ours, theirs = (std or 0.0 for std in stds)
    error = math.hypot(ours / math.sqrt(len(candidate)), theirs / math.sqrt(len(record)))
    if error <= NO_SPREAD * abs(mean(record)):
        return TTest(gain=gain, why="all seeds of either have one score: there is no spread to test with")
    share = (ours / error) ** 2 / len(candidate)
    df = 1 / (share**2 / (len(candidate) - 1) + (1 - share) ** 2 / (len(record) - 1))
    return _outcome(gain, margin, error, df)


def p_value(t: float, df: float) -> float:
    """Chance of Student's t at or below ``t``, so small for a candidate that is lower."""
    from scipy.special import stdtr

    return float(stdtr(df, t))


def _outcome(gain: float, margin: float, error: float, df: float) -> TTest:
    """``t`` is negative where the gain is above the margin, as for a lower score."""
    t = max(-LARGEST_T, min(LARGEST_T, (margin - gain) / error))
    return TTest(gain=gain, t=t, df=df, p=p_value(t, df))
