import math

import pytest

from golfreg.rules.statistics import one_sample, p_value, welch

# Per-seed bits per byte of record folders of github.com/openai/parameter-golf: submission.json of main at 4908dc46f,
# and, for #1529, whose folder is not on main, the submission.json of the pull request.
PR_1493 = (1.08079, 1.08103, 1.08118)
PR_1514 = (1.07928348, 1.07996676, 1.08024795)
PR_1529 = (1.07506048, 1.07645101, 1.07585093)
PR_1736 = (1.06610, 1.06473, 1.06563)
PR_1769 = (1.06356801, 1.06413130, 1.06466993, 1.06509678, 1.06516558)


@pytest.mark.parametrize(
    ("candidate", "record", "t", "df", "p", "printed"),
    [
        (PR_1514, PR_1493, -3.7889616, 2.6140147, 0.02041677, "0.020"),
        (PR_1529, PR_1514, -8.1869387, 3.6110247, 0.000929035, "0.001"),
        (PR_1769, PR_1736, -1.9092738, 4.2279825, 0.06250171, "0.063"),
    ],
)
def test_the_p_values_of_the_challenges_readme_come_out_of_its_seeds(candidate, record, t, df, p, printed):
    # t, df and p: scipy.stats.ttest_ind(candidate, record, equal_var=False, alternative="less"), SciPy 1.17.1.
    found = welch(candidate, record)
    assert (found.t, found.df, found.p) == pytest.approx((t, df, p), rel=1e-6)
    assert f"{found.p:.3f}" == printed
    assert found.why == ""


def test_the_tests_are_scipys():
    from scipy import stats

    for margin in (0.0, 0.0005):
        ours = welch(PR_1769, PR_1736, margin)
        theirs = stats.ttest_ind([x + margin for x in PR_1769], PR_1736, equal_var=False, alternative="less")
        assert (ours.t, ours.df, ours.p) == pytest.approx((theirs.statistic, theirs.df, theirs.pvalue), rel=1e-9)
        ours = one_sample(PR_1769, 1.066, margin)
        theirs = stats.ttest_1samp(PR_1769, 1.066 - margin, alternative="less")
        assert (ours.t, ours.df, ours.p) == pytest.approx((theirs.statistic, 4, theirs.pvalue), rel=1e-9)


def test_a_margin_makes_it_harder_and_does_not_change_the_gain():
    easy, hard = one_sample(PR_1514, 1.081), one_sample(PR_1514, 1.081, 0.002)
    assert easy.gain == hard.gain == pytest.approx(1.081 - 1.07983273)
    assert easy.p < 0.05 < 0.5 < hard.p


def test_one_seed_has_no_p_value_and_says_so():
    for found, who in (
        (one_sample((1.1,), 1.2), "candidate"),
        (welch((1.1,), (1.2, 1.3)), "candidate"),
        (welch((1.1, 1.0), (1.2,)), "record"),
    ):
        assert (found.t, found.df, found.p) == (None, None, None)
        assert f"the {who} has one score only" in found.why


def test_scores_without_spread_have_no_p_value_and_say_so():
    for found in (one_sample((1.1, 1.1, 1.1), 1.2), welch((1.1, 1.1, 1.1), (1.2, 1.2))):
        assert found.p is None
        assert "no spread" in found.why


def test_spread_on_one_side_is_enough_for_welch():
    found = welch((1.1, 1.1, 1.1), (1.2, 1.3))
    assert found.df == pytest.approx(1.0)
    assert 0 < found.p < 0.5


@pytest.mark.parametrize("scale", [1e-150, 1e-9, 1.0, 1e9, 1e18])
def test_no_magnitude_gives_nan_or_overflow(scale):
    for found in (
        welch((1 * scale, 2 * scale), (3 * scale, 3.5 * scale)),
        one_sample((1 * scale, 2 * scale), 3 * scale),
        welch((1.0, 1.0 + 1e-15), (1e18, 1e18)),
    ):
        numbers = [found.gain, *(n for n in (found.t, found.df, found.p) if n is not None)]
        assert all(map(math.isfinite, numbers))


def test_the_p_value_is_of_the_lower_tail():
    assert p_value(0.0, 3.0) == pytest.approx(0.5)
    assert p_value(-100.0, 3.0) < 1e-5
    assert p_value(100.0, 3.0) > 1 - 1e-5
