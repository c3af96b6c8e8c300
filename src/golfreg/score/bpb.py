"""Bits per byte, by the definition of the Parameter Golf challenge.

``bpb = (nats / tokens) / ln 2 * tokens / bytes`` over every token of the validation stream but the
first, which nothing predicts. Special tokens have no bytes, but what it cost to predict them
counts. Source: README and ``train_gpt.py`` of openai/parameter-golf (``eval_val``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from golfreg.api.errors import InputError


def bits_per_byte(nats: float, nbytes: int) -> float:
    """Nats of a text and its bytes as bits per byte."""
    if nbytes <= 0:
        raise InputError(
            "the validation tokens that were scored stand for no bytes", "is it all special tokens, or one token long?"
        )
    return nats / math.log(2.0) / nbytes


class Tally:
    """Nats, bytes and tokens, in all and by document, added up in float64 in stream order.

    A document starts at each ``bos_id`` of the stream; what comes before the first is one too.
    A target belongs to the document that it is a token of, so a document's first token (BOS,
    predicted from the end of the document before) counts there.
    """

    def __init__(self, tokens: np.ndarray, bos_id: int | None) -> None:
        starts = np.flatnonzero(tokens == bos_id) if bos_id is not None else np.zeros(0, np.int64)
        if not len(starts) or starts[0] != 0:
            starts = np.concatenate([np.zeros(1, np.int64), starts])
        self._starts = starts
        self.nats = np.zeros(len(starts), np.float64)
        self.nbytes = np.zeros(len(starts), np.int64)
        self.tokens = np.zeros(len(starts), np.int64)
        self.targets_scored = 0

    def add(self, positions: np.ndarray, nats: np.ndarray, nbytes: np.ndarray) -> None:
        """Add targets by their position in the stream (1 is the first that can be one).

        Positions must go up by one from call to call: a target cannot be skipped or counted twice.
        """
        first = self.targets_scored + 1
        if not np.array_equal(positions, np.arange(first, first + len(positions))):
            raise AssertionError("targets were not scored once each, in order")
        if not len(positions):
            return
        document = np.searchsorted(self._starts, positions, side="right") - 1
        low, high = int(document[0]), int(document[-1]) + 1
        within = document - low
        self.nats[low:high] += np.bincount(within, nats.astype(np.float64), high - low)
        self.nbytes[low:high] += np.bincount(within, nbytes, high - low).astype(np.int64)
        self.tokens[low:high] += np.bincount(within, minlength=high - low)
        self.targets_scored += len(positions)

    def score(self) -> Score:
        """The totals. Sums of documents, so the table of documents adds up to them exactly."""
        nats = float(self.nats.sum())
        nbytes = int(self.nbytes.sum())
        tokens = int(self.tokens.sum())
        return Score(nats, tokens, nbytes, nats / max(tokens, 1), bits_per_byte(nats, nbytes), len(self.nats))

    def standard_error(self) -> float | None:
        """Of the bits per byte, over documents taken as drawn independently; None for fewer than two with bytes.

        That of a ratio of sums: Cochran, Sampling Techniques (1977), equation 6.4.
        """
        kept = self.nbytes > 0
        nats, nbytes = self.nats[kept], self.nbytes[kept].astype(np.float64)
        if len(nats) < 2:
            return None
        left = nats - nats.sum() / nbytes.sum() * nbytes
        variance = float((left**2).sum()) * len(nats) / (len(nats) - 1)
        return math.sqrt(variance) / math.log(2.0) / float(nbytes.sum())

    def documents(self) -> dict[str, np.ndarray]:
        """Per document: ``nats`` float64, ``bytes`` int64, ``tokens`` int64, in stream order."""
        return {"nats": self.nats, "bytes": self.nbytes, "tokens": self.tokens}


@dataclass(frozen=True)
class Score:
    """Totals over the validation stream. ``tokens`` are targets."""

    nats: float
    tokens: int
    bytes: int
    nats_per_token: float
    bits_per_byte: float
    documents: int
