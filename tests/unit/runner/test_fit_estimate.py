"""What would fit, estimated from shapes."""

import pytest

from golfreg.runner.fit_estimate import Estimate, Rung, entropy, gaussian, laplace


@pytest.mark.parametrize(("bits", "clip_std", "expected"), [(4, 4.0, 2.87), (6, 8.0, 4.00), (8, 13.0, 5.34)])
def test_the_entropy_of_gaussian_codes_is_that_of_the_quantizers_table(bits, clip_std, expected):
    highest = 2 ** (bits - 1) - 1
    assert abs(entropy(clip_std / highest, highest, gaussian) - expected) < 0.02
    assert entropy(clip_std / highest, highest, laplace) < entropy(clip_std / highest, highest, gaussian)


def test_a_step_half_as_large_takes_one_bit_more():
    for below in (gaussian, laplace):
        assert abs(entropy(0.05, 400, below) - entropy(0.1, 400, below) - 1) < 0.01


@pytest.mark.parametrize(
    ("cap", "words"),
    [(50, "not even 3 bits fit"), (150, "3 bits, clip 2.5 everywhere fit; the cap leaves 3.50 bits a code"),
     (1000, "too small for the cap: about 200 of 1,000 bytes")],
)  # fmt: skip
def test_the_verdict_is_a_sentence(cap, words):
    rungs = [Rung(3, 2.5, (2.3, 2.2), (100, 90)), Rung(4, 4.0, (2.9, 2.8), (200, 180))]
    assert words in Estimate(cap, 10, 100, 4, 4, 3.5, rungs).verdict()
