import threading

import numpy as np
import pytest

from golfreg.train.prefetch import Prefetch


class Tokens:
    """Tokens that are their own position; notes what is read, and by which thread."""

    def __init__(self):
        self.asked, self.threads = [], set()

    def read(self, position, tokens):
        self.asked.append((position, tokens))
        self.threads.add(threading.current_thread())
        wide = np.arange(position, position + tokens + 1)
        return wide[:-1].reshape(-1, 2), wide[1:].reshape(-1, 2)


def test_batches_come_as_asked_and_those_of_the_next_step_are_read_before():
    source = Tokens()
    batches = Prefetch(source.read, "cpu")
    for inputs, targets in batches.get([(0, 4), (4, 4)], [(8, 4), (12, 4)]):
        assert targets.tolist() == [value + 1 for value in inputs.tolist()]
    found = [inputs.tolist() for inputs, _ in batches.get([(8, 4), (12, 4)], [])]
    batches.close()
    assert found == [[8, 9, 10, 11], [12, 13, 14, 15]]
    assert source.asked == [(0, 4), (4, 4), (8, 4), (12, 4)]
    assert threading.main_thread() not in source.threads


def test_a_guess_that_was_wrong_is_read_again_as_it_should_be():
    source = Tokens()
    batches = Prefetch(source.read, "cpu")
    list(batches.get([(0, 4)], [(4, 4)]))
    (inputs, _), = batches.get([(4, 8)], [])  # fmt: skip
    assert inputs.tolist() == list(range(4, 12))
    assert not batches._pending
    batches.close()


def test_an_error_while_reading_is_raised_where_the_batch_is_asked_for():
    def broken(position, tokens):
        raise OSError("the shard is gone")

    batches = Prefetch(broken, "cpu")
    with pytest.raises(OSError, match="the shard is gone"):
        list(batches.get([(0, 4)], []))
    batches.close()
