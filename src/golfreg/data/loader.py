"""Batches of training tokens, in order. Shape letters: B windows, T tokens of a window."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from golfreg.api.errors import ConfigError, InputError
from golfreg.data.shards import TokenStream


class Loader:
    """Reads a token stream from ``position``, over shard boundaries, and from its start again at its end.

    A batch is ``batch_tokens`` inputs in B = batch_tokens / sequence_length windows side by side;
    the target of each input is the token after it. ``position`` counts the inputs handed out since
    the very start: it is the whole state, and a loader made with it goes on from there.
    """

    def __init__(
        self, shards: Iterable[Path | str], batch_tokens: int, sequence_length: int, position: int = 0
    ) -> None:
        if sequence_length < 1 or batch_tokens < 1 or batch_tokens % sequence_length:
            raise ConfigError(
                f"a batch of {batch_tokens} tokens is not a whole number of windows of {sequence_length}",
                hint="make `train.batch_tokens` a multiple of `train.sequence_length`",
            )
        if position < 0:
            raise ConfigError(f"the position {position} in the training tokens is negative")
        self._stream = TokenStream(shards)
        self._shape = (batch_tokens // sequence_length, sequence_length)
        self.position = position
        if len(self._stream) < batch_tokens + 1:
            raise InputError(
                f"the corpus has {len(self._stream):,} training tokens; one batch needs {batch_tokens + 1:,}",
                hint="use a larger corpus or smaller `train.batch_tokens`",
            )

    def next(self) -> tuple[np.ndarray, np.ndarray]:
        """The next batch: (inputs_BT, targets_BT), int64."""
        total, count = len(self._stream), self._shape[0] * self._shape[1]
        start = self.position % total
        tokens = self._stream.read(start, min(start + count + 1, total))
        if len(tokens) <= count:
            tokens = np.concatenate([tokens, self._stream.read(0, count + 1 - len(tokens))])
        wide = tokens.astype(np.int64)
        self.position += count
        return wide[:-1].reshape(self._shape), wide[1:].reshape(self._shape)
