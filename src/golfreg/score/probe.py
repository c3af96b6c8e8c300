"""Does the model use what it may not see? Tokens are replaced at secret places, and nothing that must not move may.

A forward pass is given whole windows, so it holds every target of the batch but the last of each
row. Three leaks are looked for, in real batches of the shape that scoring uses:

- *future*: everything from a random position of a row on is replaced; no earlier log-probability may move.
- *row*: half of the rows are replaced; nothing may move in the others.
- *document*: everything before a document's start in a row is replaced; nothing from that start on may move.

Rows and documents share a pass; only if something moves are they told apart. The places come from
the operating system's randomness, so they cannot be known beforehand.
This finds mistakes and shortcuts. Code that tells a probe from the real pass can fool it; the
nats of the probed batches are therefore kept and compared with those of the real pass.

B windows, T positions, D model width, V vocabulary.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import NoReturn

import numpy as np
import torch

from golfreg.api.errors import AnswerIsNo
from golfreg.score.evaluate import Scored, cut, target_nats
from golfreg.score.windows import Window, Windows

BATCHES = 2
MANY_BATCHES = 8
"""Two batches are probed of a stream that has this many, else one, so that probing costs less than scoring."""

FEW_ROWS = 16
"""A batch of fewer rows is probed for leaks between rows both ways: of 8, half drawn at random miss a leak from each
row into the one before it once in 70 times."""

TOLERANCE_NATS = {torch.float64: 1e-6, torch.float32: 1e-3}
HALF_TOLERANCE_NATS = 3e-2
"""Largest change of a log-probability that rounding may cause; in bfloat16 and float16 the shapes are equal but
kernels may add in another order."""

_LEAKS = {
    "future": (
        "looks ahead: replacing later tokens",
        "a prediction may use earlier tokens only: is a mask, shift or cumulative sum off by one?",
    ),
    "row": (
        "mixes windows of a batch: replacing other rows",
        "nothing may pass between rows: is there a norm, router or cache over the batch?",
    ),
    "document": (
        "crosses a document's start: replacing the documents before",
        'reset state and mask attention where a document starts, or score with `documents = "stream"`',
    ),
    "together": (
        "uses tokens that it may not see: replacing other rows and earlier documents together",
        "a prediction may use the earlier tokens of its document only",
    ),
}


@dataclass
class ProbeReport:
    """How many places were probed and what moved most, in nats. ``nats`` by batch: what scoring must find again."""

    positions: int = 0
    rows: int = 0
    documents: int = 0
    largest_move_nats: float = 0.0
    tolerance_nats: float = 0.0
    nats: dict[int, torch.Tensor] = field(default_factory=dict)


class Probe:
    """Probes one model over one stream. ``seed`` is for tests; else it is drawn from ``os.urandom``."""

    def __init__(self, scored: Scored, tokens: np.ndarray, bos_id: int | None, seed: int | None = None) -> None:
        self.scored = scored
        self.tokens = tokens
        self.bos_id = bos_id
        self.random = np.random.default_rng(int.from_bytes(os.urandom(16), "little") if seed is None else seed)
        self.report = ProbeReport()

    @torch.no_grad()
    def run(self, windows: Windows, batch_tokens: int, count: int, isolated: bool) -> ProbeReport:
        """Probe at least ``count`` positions (0: none at all). AnswerIsNo says what leaked, where and how much."""
        if count < 1 or self.scored.vocab_size < 2:
            return self.report
        batches = [
            (number, batch)
            for number, batch in enumerate(windows.batches(len(self.tokens), batch_tokens))
            if batch[0].length > 1
        ]
        order = self.random.permutation(len(batches)).tolist()
        # The first is one of the most rows: the stream's last batches may have a single one, where no row can leak.
        most = max((len(batch) for _, batch in batches), default=0)
        order.sort(key=lambda i: len(batches[i][1]) < most)
        picked = order[:1] + self.random.permutation(order[1:]).tolist()
        picked = picked[: min(BATCHES if len(batches) >= MANY_BATCHES else 1, count)]
        bos_id = self.bos_id if isolated else None
        if bos_id is not None and not any(_starts(cut(self.tokens, batches[i][1])[0], bos_id) for i in picked):
            # None of them has a document's start inside a window: one that has is probed too.
            found = (i for i in order if _starts(cut(self.tokens, batches[i][1])[0], bos_id))
            picked += [i for i in (next(found, None),) if i is not None]
        for i in picked:
            number, batch = batches[i]
            self._batch(number, batch, -(-count // len(picked)), bos_id)
        return self.report

    def _batch(self, number: int, batch: list[Window], share: int, bos_id: int | None) -> None:
        inputs, targets = cut(self.tokens, batch)
        real = self.scored.features(self.scored.put(inputs))
        self.report.tolerance_nats = self._tolerance(real)
        nats = [target_nats(v, self.scored.put(targets)[:, s]) for s, v in self.scored.slices(real)]
        self.report.nats[number] = torch.cat(nats, 1)
        rows, length = inputs.shape
        at_T = np.arange(length)
        none_BT = np.zeros(inputs.shape, bool)
        done = 0
        while done < share:
            after_BT = at_T >= self.random.integers(1, length, (rows, 1))
            self._compare(real, inputs, ~after_BT, batch, {"future": after_BT})
            done += rows
            self.report.positions += rows
        starts = _starts(inputs, bos_id) if bos_id is not None else {}
        kept_B = np.ones(rows, bool)
        kept_B[self.random.permutation(rows)[: rows // 2]] = False
        if starts and not kept_B[list(starts)].any():
            kept_B = ~kept_B
        for keep_B in (kept_B, ~kept_B) if 1 < rows < FEW_ROWS else (kept_B,):
            # A kept row is checked whole, or from one of its document starts on with what is before replaced.
            from_B = np.array([self.random.choice(starts[row]) if row in starts else 0 for row in range(rows)])
            before_BT = (at_T < from_B[:, None]) & keep_B[:, None]
            others_BT = none_BT | ~keep_B[:, None]
            self._compare(real, inputs, ~(before_BT | others_BT), batch, {"row": others_BT, "document": before_BT})
            self.report.rows += int(keep_B.sum()) if rows > 1 else 0
            self.report.documents += int((keep_B & (from_B > 0)).sum())

    def _tolerance(self, x_BTD: torch.Tensor) -> float:
        return max(tolerance(x_BTD.dtype), tolerance(self.scored.dtype))

    def _compare(
        self,
        real_BTD: torch.Tensor,
        inputs: np.ndarray,
        still_BT: np.ndarray,
        batch: list[Window],
        replaced: dict[str, np.ndarray],
    ) -> None:
        """Replace tokens where any of ``replaced`` says; log-probabilities where ``still_BT`` must not move."""
        vocab = self.scored.vocab_size
        # Each replaced token becomes another one for certain.
        other = (inputs.astype(np.int64) + self.random.integers(1, vocab, inputs.shape)) % vocab

        def move(replace_BT: np.ndarray) -> torch.Tensor:
            return self._moves(real_BTD, np.where(replace_BT, other, inputs), still_BT)

        move_BT = move(np.logical_or.reduce(list(replaced.values())))
        largest = float(move_BT.max())
        self.report.largest_move_nats = max(self.report.largest_move_nats, largest)
        if largest <= self._tolerance(real_BTD):
            return
        for leak, replace_BT in replaced.items():
            alone_BT = move(replace_BT)
            if float(alone_BT.max()) > self._tolerance(real_BTD):
                # A row that moves, but not when only its own tokens are replaced, has seen another row.
                row_BT = np.zeros_like(replace_BT)
                row_BT[int(alone_BT.argmax()) // alone_BT.shape[1]] = True
                own = float((move(replace_BT & row_BT) * torch.from_numpy(row_BT).to(alone_BT)).max())
                self._stop(leak if own > self._tolerance(real_BTD) else "row", batch, alone_BT)
        self._stop("together", batch, move_BT)

    def _moves(self, real_BTD: torch.Tensor, changed: np.ndarray, still_BT: np.ndarray) -> torch.Tensor:
        """Largest change of a log-probability at each position [B, T]; 0 where it may change."""
        still = torch.from_numpy(np.ascontiguousarray(still_BT)).to(self.scored.device)
        moved_BTD = self.scored.features(self.scored.put(changed))
        moves = []
        for (part, a_BTV), (_, b_BTV) in zip(self.scored.slices(real_BTD), self.scored.slices(moved_BTD), strict=True):
            move_BTV = torch.log_softmax(a_BTV, -1).sub_(torch.log_softmax(b_BTV, -1)).abs_()
            moves.append(move_BTV.amax(-1) * still[:, part])
        return torch.cat(moves, 1)

    def _stop(self, leak: str, batch: list[Window], move_BT: torch.Tensor) -> NoReturn:
        row, position = divmod(int(move_BT.argmax()), move_BT.shape[1])
        where = f"position {position} of a window (token {batch[row].start + position} of the validation stream)"
        how, hint = _LEAKS[leak]
        raise AnswerIsNo(
            f"{self.scored.name} {how} moved a log-probability at {where} by {float(move_BT.max()):.3g} nats", hint
        )


def _starts(inputs: np.ndarray, bos_id: int) -> dict[int, np.ndarray]:
    """Row to the positions of document starts inside it (one at position 0 has nothing before it)."""
    found = {row: np.flatnonzero(tokens[1:] == bos_id) + 1 for row, tokens in enumerate(inputs)}
    return {row: starts for row, starts in found.items() if len(starts)}


def tolerance(dtype: torch.dtype) -> float:
    """Largest move that is taken for rounding, by the dtype that the model computes in."""
    return TOLERANCE_NATS.get(dtype, HALF_TOLERANCE_NATS)


def same_answer(scored: Scored, report: ProbeReport, number: int, nats_BT: torch.Tensor) -> None:
    """AnswerIsNo if the real pass gives a probed batch other nats than the probe got (not for one that adapts)."""
    probed = report.nats.get(number)
    if probed is None or scored.adapts:
        return
    move = float((probed - nats_BT).abs().max())
    if move > report.tolerance_nats:
        raise AnswerIsNo(
            f"{scored.name} answers differently when it is scored than when it is probed: "
            f"batch {number} by {move:.3g} nats",
            "a model's output may depend on nothing but its tokens and weights; is dropout on, or a cache kept?",
        )
