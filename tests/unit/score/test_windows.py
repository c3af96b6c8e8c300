"""Every target is scored once, in order, whatever the windows."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from golfreg.api.errors import ConfigError
from golfreg.score.windows import Window, parse_windows


@given(tokens=st.integers(0, 300), length=st.integers(1, 40), stride=st.integers(0, 40), batch=st.integers(1, 200))
def test_every_target_is_scored_once_in_order(tokens: int, length: int, stride: int, batch: int) -> None:
    text = f"sliding:{min(stride, length)}" if stride else "fixed"
    windows = parse_windows(text, length)
    batches = list(windows.batches(tokens, batch))
    flat = [w for b in batches for w in b]
    assert [i for w in flat for i in range(w.scored, w.end)] == list(range(max(0, tokens - 1)))
    assert all(0 <= w.start <= w.scored < w.end and w.length <= length for w in flat)
    assert len(flat) == windows.count(tokens)
    for members in batches:
        assert len({w.length for w in members}) == 1
        assert len(members) == 1 or len(members) * members[0].length <= batch


def test_fixed_windows_lie_side_by_side_and_the_last_is_short() -> None:
    assert list(parse_windows("fixed", 4).over(11)) == [Window(0, 0, 4), Window(4, 4, 8), Window(8, 8, 10)]


def test_sliding_windows_score_their_last_stride_with_full_context() -> None:
    windows = list(parse_windows("sliding:2", 4).over(8))
    assert windows == [Window(0, 0, 4), Window(2, 4, 6), Window(3, 6, 7)]


def test_a_sliding_stride_of_the_whole_window_scores_each_window_whole() -> None:
    assert list(parse_windows("sliding:4", 4).over(9)) == list(parse_windows("fixed", 4).over(9))


@pytest.mark.parametrize(
    "text",
    ["", "fixed:", "fixed:4", "sliding", "sliding:", "sliding:0", "sliding:5", "sliding:-1", "sliding:x", "Fixed",
     "sliding:²", "sliding:1e1", "sliding:" + "9" * 5000, "fixed\x00", "stateful:", "stateful:-1"],
)  # fmt: skip
def test_a_windows_setting_that_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"score.windows") as caught:
        parse_windows(text, 4)
    assert "sliding:STRIDE" in (caught.value.hint or "")


def test_a_window_of_no_tokens_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"sequence_length is 0"):
        parse_windows("fixed", 0)


def test_a_context_that_would_not_fit_in_memory_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"score.windows") as caught:
        parse_windows("stateful:2000000", 4)
    assert "at most 1,048,576 tokens" in (caught.value.hint or "")


def test_stateful_windows_lie_side_by_side_and_say_their_context() -> None:
    assert list(parse_windows("stateful:7", 4).over(11)) == list(parse_windows("fixed", 4).over(11))
    texts = ("fixed", "sliding:2", "stateful", "stateful:7")
    assert tuple(str(parse_windows(text, 4)) for text in texts) == texts
