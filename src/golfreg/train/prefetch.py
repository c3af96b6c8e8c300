"""Micro-batches, read in a thread while the one before is trained on.

N tokens of a micro-batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain

import numpy as np
import torch
from torch import Tensor

Key = tuple[int, int]
"""Position of a micro-batch in the training tokens, and its tokens."""
Read = Callable[[int, int], tuple[np.ndarray, np.ndarray]]

_AHEAD = 2
"""Micro-batches that are read before they are asked for."""


class Prefetch:
    """Gives micro-batches on ``device``, each read by ``read(*key)``; on a GPU they pass through pinned memory."""

    def __init__(self, read: Read, device: str) -> None:
        self.read, self.device = read, device
        self._pool = ThreadPoolExecutor(1, "batches")
        self._pending: dict[Key, Future[tuple[Tensor, Tensor]]] = {}

    def get(self, keys: Sequence[Key], then: Sequence[Key]) -> Iterator[tuple[Tensor, Tensor]]:
        """(inputs_N, targets_N) of each of ``keys``. ``then``: what is likely to be asked for next."""
        wanted = [*keys, *then]
        for i, key in enumerate(keys):
            for soon in chain((key,), wanted[i + 1 : i + 1 + _AHEAD]):
                if soon not in self._pending:
                    self._pending[soon] = self._pool.submit(self._load, soon)
            inputs_N, targets_N = self._pending.pop(key).result()
            if self.device == "cuda":
                inputs_N = inputs_N.to("cuda", non_blocking=True)
                targets_N = targets_N.to("cuda", non_blocking=True)
            yield inputs_N, targets_N
        for key in self._pending.keys() - set(then):
            self._pending.pop(key).cancel()

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _load(self, key: Key) -> tuple[Tensor, Tensor]:
        inputs_N, targets_N = (torch.from_numpy(np.ascontiguousarray(a).reshape(-1)) for a in self.read(*key))
        if self.device == "cuda":
            inputs_N, targets_N = inputs_N.pin_memory(), targets_N.pin_memory()
        return inputs_N, targets_N
