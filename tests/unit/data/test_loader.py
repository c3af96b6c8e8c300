"""The loader hands out the token stream in order, for ever, from any position."""

import numpy as np
import pytest

from golfreg.api import ConfigError, InputError
from golfreg.data.loader import Loader
from golfreg.data.writer import ShardWriter


@pytest.fixture
def shards(tmp_path):
    writer = ShardWriter(tmp_path, "train", shard_tokens=37)
    writer.append(np.arange(101))
    writer.close()
    return writer.paths


def test_targets_are_the_next_tokens_and_batches_follow_each_other(shards):
    loader = Loader(shards, batch_tokens=12, sequence_length=4)
    inputs_BT, targets_BT = loader.next()
    assert inputs_BT.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    assert np.array_equal(targets_BT, inputs_BT + 1)
    assert inputs_BT.dtype == targets_BT.dtype == np.int64
    assert loader.next()[0][0, 0] == 12
    assert loader.position == 24


def test_the_stream_wraps_around_and_crosses_shards(shards):
    loader = Loader(shards, batch_tokens=12, sequence_length=4)
    for step in range(40):
        inputs_BT, targets_BT = loader.next()
        expected = np.arange(step * 12, step * 12 + 13) % 101
        assert np.array_equal(inputs_BT.ravel(), expected[:-1])
        assert np.array_equal(targets_BT.ravel(), expected[1:])


def test_a_loader_made_at_a_position_goes_on_from_there(shards):
    first = Loader(shards, 20, 5)
    for _ in range(7):
        first.next()
    second = Loader(shards, 20, 5, position=first.position)
    for _ in range(7):
        for a, b in zip(first.next(), second.next(), strict=True):
            assert np.array_equal(a, b)


def test_a_corpus_of_one_batch_is_enough_and_a_shorter_one_is_an_error(shards):
    assert Loader(shards, 100, 100).next()[1][0, -1] == 100
    with pytest.raises(InputError, match="has 101 training tokens; one batch needs 102"):
        Loader(shards, 101, 101)
    with pytest.raises(InputError, match="has 0 training tokens"):
        Loader([], 4, 4)


@pytest.mark.parametrize(("batch", "length", "position"), [(10, 4, 0), (0, 4, 0), (4, 0, 0), (4, 4, -1)])
def test_a_batch_that_is_no_whole_number_of_windows_is_an_error(shards, batch, length, position):
    with pytest.raises(ConfigError):
        Loader(shards, batch, length, position)


def test_shuffled_windows_are_all_seen_once_an_epoch_in_an_order_of_the_seed(shards):
    loader = Loader(shards, batch_tokens=8, sequence_length=4, seed=1)
    epochs = [np.concatenate([loader.next()[0] for _ in range(12)])[:, 0].tolist() for _ in range(2)]
    for starts in epochs:
        assert len(set(starts)) == 24
        assert sorted(starts) != starts
        assert {start % 4 for start in starts} == {starts[0] % 4}
    assert epochs[0] != epochs[1]
    other = Loader(shards, batch_tokens=8, sequence_length=4, seed=2)
    assert np.concatenate([other.next()[0] for _ in range(12)])[:, 0].tolist() != epochs[0]


def test_a_shuffled_loader_made_at_a_position_goes_on_from_there(shards):
    first = Loader(shards, 20, 5, seed=3)
    for _ in range(7):
        first.next()
    second = Loader(shards, 20, 5, position=first.position, seed=3)
    for _ in range(9):
        inputs_BT, targets_BT = first.next()
        assert np.array_equal(targets_BT, inputs_BT + 1)
        assert np.array_equal(inputs_BT, second.next()[0])
