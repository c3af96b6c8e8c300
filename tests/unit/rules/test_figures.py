import math
import statistics

import pytest

from golfreg.rules.figures import bits_per_byte, mean, nats_per_token, recompute, sample_std
from golfreg.testing.records import changed, example_record


def test_scores_are_recomputed_from_nats_tokens_and_bytes_alone():
    record = changed(example_record(), "score", nats=math.log(2) * 900, tokens=300, bytes=450, bits_per_byte=0.0)
    assert bits_per_byte(record) == pytest.approx(2.0, rel=1e-15)
    assert nats_per_token(record) == pytest.approx(3 * math.log(2), rel=1e-15)


def test_mean_and_deviation_are_those_of_a_sample():
    values = [1.0611, 1.0609, 1.0618, 1.0600]
    assert mean(values) == pytest.approx(statistics.fmean(values), rel=1e-15)
    assert sample_std(values) == pytest.approx(statistics.stdev(values), rel=1e-12)
    assert sample_std([1.0]) is None


def test_figures_take_the_largest_artifact_and_sort_the_seeds():
    big = changed(example_record(3, bits_per_byte=1.5), "sizes", total_bytes=930_000)
    figures = recompute([big, example_record(1, bits_per_byte=1.0)])
    assert (figures.bytes_max, figures.seeds) == (930_000, (1, 3))
    assert figures.bits_per_byte_mean == pytest.approx(1.25)


def test_the_largest_scores_that_a_record_may_hold_do_not_overflow():
    worst = changed(example_record(1), "score", nats=1e18, tokens=1, bytes=1)
    figures = recompute([worst, worst, example_record(2)])
    assert math.isfinite(figures.bits_per_byte_mean)
    assert figures.bits_per_byte_std is not None
    assert math.isfinite(figures.bits_per_byte_std)
