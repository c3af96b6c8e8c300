"""Batches of training tokens. Shape letters: B windows, T tokens of a window."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from golfreg.api.errors import ConfigError, InputError
from golfreg.data.shards import TokenStream


class Loader:
    """Windows of a token stream, over shard boundaries, from ``position`` on, without end.

    A batch is ``batch_tokens`` inputs in B = batch_tokens / sequence_length windows; the target of
    each input is the token after it. Without a ``seed`` windows follow each other as in the stream.
    With one each epoch has the windows in an order and from an offset of its own: neighbours in
    the stream are often one document, and a batch of them teaches less. ``position`` counts the
    inputs handed out since the very start: it is the whole state, and a loader made with it goes on
    from there.
    """

    def __init__(
        self,
        shards: Iterable[Path | str],
        batch_tokens: int,
        sequence_length: int,
        position: int = 0,
        seed: int | None = None,
    ) -> None:
        if sequence_length < 1 or batch_tokens < 1 or batch_tokens % sequence_length:
            raise ConfigError(
                f"a batch of {batch_tokens} tokens is not a whole number of windows of {sequence_length}",
                hint="make `train.batch_tokens` a multiple of `train.sequence_length`",
            )
        if position < 0 or (seed is not None and position % sequence_length):
            raise ConfigError(f"the position {position} in the training tokens is not one that a loader gave")
        self._stream = TokenStream(shards)
        self._shape = (batch_tokens // sequence_length, sequence_length)
        self._seed = seed
        self._epoch, self._starts = -1, np.zeros(0, np.int64)
        self.position = position
        if len(self._stream) < batch_tokens + 1:
            raise InputError(
                f"the corpus has {len(self._stream):,} training tokens; one batch needs {batch_tokens + 1:,}",
                hint="use a larger corpus or smaller `train.batch_tokens`",
            )

    def next(self) -> tuple[np.ndarray, np.ndarray]:
        """The next batch: (inputs_BT, targets_BT), int64."""
        rows, length = self._shape
        batch = self.read(self.position, rows * length)
        self.position += rows * length
        return batch

    def read(self, position: int, tokens: int) -> tuple[np.ndarray, np.ndarray]:
        """(inputs_BT, targets_BT) of so many tokens from a position on; ``self.position`` stays as it is."""
        length = self._shape[1]
        rows = tokens // length
        if self._seed is None:
            wide = self._from(position % len(self._stream), rows * length + 1)
            return wide[:-1].reshape(rows, length), wide[1:].reshape(rows, length)
        first = position // length
        windows = np.stack([self._from(self._start(first + row), length + 1) for row in range(rows)])
        return np.ascontiguousarray(windows[:, :-1]), np.ascontiguousarray(windows[:, 1:])

    def _from(self, start: int, count: int) -> np.ndarray:
        """``count`` tokens from ``start`` on, going on at the stream's start after its end."""
        tokens = self._stream.read(start, min(start + count, len(self._stream)))
        if len(tokens) < count:
            tokens = np.concatenate([tokens, self._stream.read(0, count - len(tokens))])
        return tokens.astype(np.int64)

    def _start(self, window: int) -> int:
        """Where the window of that number, counted over all epochs, starts in the stream."""
        length = self._shape[1]
        # One window less than fits, so that every offset below a window's length leaves the same number.
        count = max((len(self._stream) - 1) // length - 1, 1)
        epoch, index = divmod(window, count)
        if epoch != self._epoch:
            draw = np.random.Generator(np.random.PCG64([self._seed or 0, epoch]))
            self._starts = draw.permutation(count) * length + draw.integers(length)
            self._epoch = epoch
        return int(self._starts[index])
