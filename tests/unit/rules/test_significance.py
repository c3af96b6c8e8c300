from dataclasses import replace

import pytest

from golfreg.rules.figures import SeedResult
from golfreg.rules.ruleset import load_ruleset
from golfreg.rules.significance import Sample, judge, p_text, sample_of

README = load_ruleset("parameter-golf").significance
FRONTIER = load_ruleset("parameter-golf-frontier").significance
PR_1493 = Sample((1.08079, 1.08103, 1.08118), 2.583)
PR_1514 = Sample((1.07928348, 1.07996676, 1.08024795), 2.583)


def test_one_pair_passes_the_frontier_rule_and_fails_the_readmes():
    found = judge(PR_1514, PR_1493, FRONTIER)
    assert (found.test, found.significant, found.margin_bits_per_byte) == ("welch", True, 0.0)
    assert found.sentence() == (
        "beats the record: a gain of +0.00117 bits per byte (+0.0030 nats per token), p = 0.020 < 0.25"
        " (one-sided Welch test)"
    )
    found = judge(PR_1514, PR_1493, README)
    assert (found.test, found.significant) == ("one-sample", False)
    assert found.margin_bits_per_byte == pytest.approx(0.005 / 2.583)
    assert found.sentence().startswith("does not beat the record: a gain of +0.00117 bits per byte")


def test_across_tokenizers_the_margin_is_the_larger_of_both_conversions():
    small = Sample((1.09, 1.091, 1.092), 1.689)
    for candidate, record in ((small, PR_1493), (replace(PR_1493), small)):
        found = judge(candidate, record, README)
        assert found.margin_bits_per_byte == pytest.approx(0.005 / 1.689)
        assert found.gain_nats_per_token == pytest.approx(found.gain_bits_per_byte * 1.689)


def test_a_margin_without_nats_per_token_is_not_decided():
    bare = [Sample(one.scores) for one in (PR_1514, PR_1493)]
    found = judge(*bare, README)
    assert (found.p, found.significant, found.gain_nats_per_token) == (None, None, None)
    assert found.sentence().startswith("not decided: a gain of +0.00117 bits per byte, but neither says its nats")
    assert judge(*bare, FRONTIER).significant is True
    assert judge(PR_1514, bare[1], README).margin_bits_per_byte == pytest.approx(0.005 / 2.583)


def test_a_record_of_one_seed_is_held_as_a_number():
    found = judge(PR_1514, Sample((1.0810,), 2.583), FRONTIER)
    assert (found.test, found.significant) == ("one-sample", True)


def test_a_candidate_of_one_seed_is_not_decided():
    for rule in (FRONTIER, README):
        found = judge(Sample((1.0,), 2.583), PR_1493, rule)
        assert (found.significant, found.t, found.p) == (None, None, None)
        assert "the candidate has one score only" in found.sentence()


def test_a_sample_takes_the_median_ratio_of_the_seeds_that_have_both_units():
    def seed(number, bpb, nats):
        return SeedResult(where="r", seed=number, bits_per_byte=bpb, nats_per_token=nats)

    # The first seed of #1334 has the loss of another log.
    results = [seed(42, 1.08938974, 3.07421378), seed(314, 1.08982552, 2.50771838), seed(999, 1.08993367, 2.50796723)]
    sample = sample_of(results, reproduced=(1.09250,))
    assert sample.nats_per_bit == pytest.approx(2.301, abs=1e-3)
    assert sample.scores == (1.08938974, 1.08982552, 1.08993367, 1.09250)
    assert sample_of([seed(1, 1.1, None)]).nats_per_bit is None


def test_small_p_values_keep_their_magnitude():
    assert [p_text(p) for p in (0.25, 0.0205, 0.00092, 3e-7)] == ["0.250", "0.021", "0.001", "3.0e-07"]
