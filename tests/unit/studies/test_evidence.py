"""Intervals cover what they say, and the verdict follows the rule in both directions."""

import math

import numpy as np
import pytest

from golfreg.api.errors import InputError
from golfreg.studies.evidence import FALLS, OPEN, STANDS, Estimate, held_against, over_documents, over_seeds, rule_text


def test_one_seed_has_no_interval_and_decides_nothing():
    estimate = over_seeds([5.0])
    assert (estimate.value, estimate.low, estimate.high) == (5.0, None, None)
    assert "three or more" in estimate.why
    assert held_against(estimate, 1.0) == OPEN


def test_the_interval_over_seeds_is_students():
    estimate = over_seeds([1.0, 2.0, 3.0])
    assert estimate.value == 2.0
    assert estimate.high - estimate.value == pytest.approx(4.302653 * 1.0 / math.sqrt(3))


@pytest.mark.parametrize(
    ("low", "high", "word"), [(0.41, 0.9, STANDS), (-0.2, 0.39, FALLS), (0.3, 0.5, OPEN), (-9.0, -1.0, FALLS)]
)
def test_the_whole_interval_must_lie_on_one_side_of_half_the_published_figure(low, high, word):
    assert held_against(Estimate((low + high) / 2, low, high, 3), 0.8) == word


def test_a_bootstrap_of_documents_covers_the_true_difference():
    draw = np.random.default_rng(1)
    covered = 0
    for _ in range(20):
        sizes = draw.integers(100, 3000, 300)
        nats = sizes * (0.001 * math.log(2) + draw.normal(0, 0.002, 300))
        estimate = over_documents([nats], sizes)
        covered += estimate.low <= 1.0 <= estimate.high
    assert covered >= 17


def test_a_bit_in_a_thousand_bytes_is_one_mbpb():
    assert over_documents([np.full(50, math.log(2))], np.full(50, 1000)).value == pytest.approx(1.0)


def test_models_that_disagree_widen_the_interval():
    sizes = np.full(50, 1000)
    gain, loss = np.full(50, math.log(2)), np.full(50, -math.log(2))
    estimate = over_documents([gain, loss], sizes)
    assert (estimate.value, estimate.low, estimate.high) == (0, pytest.approx(-1), pytest.approx(1))
    agreed = over_documents([gain, gain], sizes)
    assert agreed.low == pytest.approx(agreed.high) == pytest.approx(1)


def test_the_same_documents_give_the_same_interval():
    nats, sizes = np.random.default_rng(0).normal(0, 1, 100), np.full(100, 500)
    assert over_documents([nats], sizes) == over_documents([nats], sizes)


def test_few_documents_have_no_interval():
    estimate = over_documents([np.ones(3)], np.full(3, 100))
    assert estimate.low is None
    assert "3 documents" in estimate.why


def test_other_documents_are_refused():
    with pytest.raises(InputError, match="different documents"):
        over_documents([np.ones(30), np.ones(31)], np.full(30, 100))


def test_the_rule_says_half_of_the_published_figure():
    assert "above 0.4 mBPB, half of the published 0.8" in rule_text("the gain", 0.8, "mBPB", "")
    assert "above 1.63, half of the published 3.26" in rule_text("it", 3.26, "", "")
