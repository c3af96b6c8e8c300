import numpy as np
import pytest

from golfreg.api import InputError
from golfreg.rules.power import MAX_SEEDS, chance, seeds_needed
from golfreg.rules.ruleset import load_ruleset

README = load_ruleset("parameter-golf").significance
FRONTIER = load_ruleset("parameter-golf-frontier").significance


@pytest.mark.parametrize(("seeds", "record_seeds", "gain"), [(3, 3, 0.0005), (5, 3, 0.0003), (4, 1, 0.0004)])
@pytest.mark.parametrize("rule", [README, FRONTIER], ids=["one-sample", "welch"])
def test_the_chance_is_what_simulated_runs_give(rule, seeds, record_seeds, gain):
    from scipy import stats

    generator = np.random.default_rng(5)
    ours = generator.normal(-gain, 0.0005, (20_000, seeds))
    theirs = generator.normal(0.0, 0.0005, (20_000, record_seeds))
    if rule.test == "welch" and record_seeds > 1:
        p = stats.ttest_ind(ours, theirs, axis=1, equal_var=False, alternative="less").pvalue
    else:
        p = stats.ttest_1samp(ours, 0.0, axis=1, alternative="less").pvalue
    simulated = float((p < rule.p_value).mean())
    assert chance(gain, 0.0005, seeds, record_seeds, rule, 0.0) == pytest.approx(simulated, abs=0.02)


def test_the_fewest_seeds_that_reach_the_wanted_chance():
    found = seeds_needed(0.003, 0.0005, README, margin=0.005 / 2.583, least=3)
    assert found.seeds == 6
    assert list(found.chances) == [3, 4, 5, 6]
    assert found.chances[5] < 0.8 <= found.chances[6]


def test_a_gain_within_the_margin_is_never_shown():
    found = seeds_needed(0.001, 0.0005, README, margin=0.00194)
    assert (found.seeds, found.chances) == (None, {})
    assert "not above the margin" in found.why


def test_more_seeds_do_not_make_up_for_a_scattered_record():
    found = seeds_needed(0.0002, 0.0005, FRONTIER, record_seeds=2, power=0.9)
    assert found.seeds is None
    assert len(found.chances) == MAX_SEEDS - 1
    assert "more seeds of the record would help" in found.why


def test_without_spread_any_gain_over_the_margin_is_shown():
    assert seeds_needed(0.003, 0.0, FRONTIER).seeds == 2
    assert chance(0.001, 0.0, 3, 3, README, 0.002) == 0.0


@pytest.mark.parametrize("gain", [1e-12, 1e-3, 1.0, 1e6])
@pytest.mark.parametrize("std", [1e-15, 1e-4, 1.0, 1e6])
def test_every_chance_is_a_probability(gain, std):
    for rule in (README, FRONTIER):
        for seeds in (2, 3, 30, 1000):
            assert 0.0 <= chance(gain, std, seeds, 3, rule, 0.0) <= 1.0


@pytest.mark.parametrize(
    "wrong", [{"gain": float("nan")}, {"std": -1.0}, {"std": float("inf")}, {"power": 1.0}, {"record_seeds": 0}]
)
def test_values_that_mean_nothing_are_refused(wrong):
    values = {"gain": 0.001, "std": 0.0005, "rule": README} | wrong
    with pytest.raises(InputError):
        seeds_needed(**values)
