"""Totals by the challenge's definition, and the same by document."""

from __future__ import annotations

import math

import numpy as np
import pytest

from golfreg.api.errors import InputError
from golfreg.score.bpb import Tally, bits_per_byte


def test_a_uniform_guess_over_bytes_is_eight_bits_per_byte() -> None:
    assert bits_per_byte(100 * math.log(256), 100) == pytest.approx(8.0, rel=1e-15)


def test_a_text_without_bytes_has_no_score() -> None:
    with pytest.raises(InputError, match="no bytes"):
        bits_per_byte(1.0, 0)


def test_documents_begin_at_bos_and_add_up_to_the_total() -> None:
    tokens = np.array([1, 5, 6, 1, 7, 1, 8, 9])
    tally = Tally(tokens, bos_id=1)
    tally.add(np.arange(1, 4), np.array([0.5, 0.25, 4.0]), np.array([2, 3, 0]))
    tally.add(np.arange(4, 8), np.array([1.0, 8.0, 2.0, 3.0]), np.array([4, 0, 5, 6]))
    documents = tally.documents()
    assert documents["nats"].tolist() == [0.75, 5.0, 13.0]
    assert documents["bytes"].tolist() == [5, 4, 11]
    assert documents["tokens"].tolist() == [2, 2, 3]
    score = tally.score()
    assert (score.nats, score.bytes, score.tokens, score.documents) == (18.75, 20, 7, 3)
    assert score.nats_per_token == 18.75 / 7
    assert score.bits_per_byte == 18.75 / math.log(2) / 20


@pytest.mark.parametrize(("bos_id", "tokens"), [(None, [1, 5, 6, 1]), (3, [1, 5, 6, 1])])
def test_a_stream_without_bos_is_one_document(bos_id: int | None, tokens: list[int]) -> None:
    tally = Tally(np.array(tokens), bos_id)
    tally.add(np.arange(1, 4), np.ones(3), np.ones(3, np.int64))
    assert tally.documents()["tokens"].tolist() == [3]


def test_text_before_the_first_bos_is_a_document() -> None:
    tally = Tally(np.array([5, 6, 1, 7]), bos_id=1)
    tally.add(np.arange(1, 4), np.ones(3), np.ones(3, np.int64))
    assert tally.documents()["tokens"].tolist() == [1, 2]


@pytest.mark.parametrize("positions", [[2, 3], [1, 3], [1, 1], [0, 1]])
def test_a_target_can_be_neither_skipped_nor_counted_twice(positions: list[int]) -> None:
    tally = Tally(np.array([1, 5, 6, 1]), 1)
    with pytest.raises(AssertionError, match="once each"):
        tally.add(np.array(positions), np.ones(2), np.ones(2, np.int64))


def test_sums_keep_float64_over_many_small_batches() -> None:
    tally = Tally(np.ones(100_001, np.int64), bos_id=None)
    for start in range(1, 100_001, 1000):
        tally.add(np.arange(start, start + 1000), np.full(1000, 0.1), np.ones(1000, np.int64))
    assert tally.score().nats == pytest.approx(10_000.0, rel=1e-11)


def test_the_standard_error_is_that_of_documents_drawn_anew():
    draw = np.random.default_rng(0)
    lengths = draw.integers(20, 400, 300)
    tokens = np.concatenate([np.r_[1, np.full(n, 5)] for n in lengths])
    tally = Tally(tokens, bos_id=1)
    rate = np.repeat(draw.gamma(9.0, 0.2, 300), lengths + 1)[1:]
    nbytes = np.where(tokens[1:] == 1, 0, draw.integers(1, 6, len(tokens) - 1))
    tally.add(np.arange(1, len(tokens)), rate * draw.gamma(1.0, 1.0, len(rate)), nbytes)
    found = tally.documents()
    drawn = draw.integers(0, 300, (2000, 300))
    again = found["nats"][drawn].sum(1) / math.log(2) / found["bytes"][drawn].sum(1)
    assert tally.standard_error() == pytest.approx(again.std(), rel=0.05)


@pytest.mark.parametrize("tokens", [[1, 5, 6], [1, 5, 6, 1]])
def test_one_document_has_no_standard_error(tokens):
    tally = Tally(np.array(tokens), bos_id=1)
    tally.add(np.arange(1, len(tokens)), np.ones(len(tokens) - 1), (np.array(tokens[1:]) != 1).astype(np.int64))
    assert tally.standard_error() is None
