"""Does the model use what it may not see? Tokens are replaced at secret places, and nothing that must not move may.

A forward pass is given whole windows, so it holds every target of the batch but the last of each
row. Three leaks are looked for, in real batches of the shape that scoring uses:

- *future*: in each row everything from a random position on is replaced; no earlier log-probability may move.
- *row*: half of the rows are replaced; nothing may move in the others.
- *document*: in each row everything before a document's start is replaced; nothing from that start on may move.

The places come from the operating system's randomness, so they cannot be known beforehand.
This finds mistakes and shortcuts. Code that tells a probe from the real pass can fool it; the
nats of the probed batches are therefore kept and compared with those of the real pass.

B windows, T positions, D model width, V vocabulary.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field

import numpy as np
import torch

from golfreg.api.errors import AnswerIsNo
from golfreg.score.evaluate import Scored, cut, target_nats
from golfreg.score.windows import Window, Windows

BATCHES = 2
"""Batches that are probed, each with its share of the positions (every row of a batch counts as one)."""

TOLERANCE_NATS = {torch.float64: 1e-6, torch.float32: 1e-3}
HALF_TOLERANCE_NATS = 3e-2
"""Largest change of a log-probability that rounding may cause; in bfloat16 and float16 the shapes are equal but
kernels may add in another order."""


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
        batches = list(enumerate(windows.batches(len(self.tokens), batch_tokens)))
        batches = [(n, b) for n, b in batches if b[0].length > 1]
        if not batches:
            return self.report
        picked = self.random.permutation(len(batches))[: min(BATCHES, count)]
        share = -(-count // len(picked))
        for i in picked:
            number, batch = batches[i]
            self._batch(number, batch, share)
        if isolated and self.bos_id is not None:
            self._documents([b for _, b in batches], share)
        return self.report

    def _batch(self, number: int, batch: list[Window], share: int) -> None:
        inputs, targets = cut(self.tokens, batch)
        real = self._reference(inputs)
        self.report.tolerance_nats = self._tolerance(real)
        nats = [target_nats(v, self.scored.put(targets)[:, s]) for s, v in self.scored.slices(real)]
        self.report.nats[number] = torch.cat(nats, 1)
        rows, length = inputs.shape
        done = 0
        while done < share:
            at_B = self.random.integers(1, length, (rows,))
            after_BT = np.arange(length) >= at_B[:, None]
            self._compare(real, inputs, after_BT, ~after_BT, batch, "future", at_B)
            done += rows
            self.report.positions += rows
        if rows > 1:
            kept_B = np.zeros(rows, bool)
            kept_B[self.random.permutation(rows)[: rows // 2]] = True
            kept_BT = np.broadcast_to(kept_B[:, None], inputs.shape)
            self._compare(real, inputs, ~kept_BT, kept_BT, batch, "row", None)
            self.report.rows += int(kept_B.sum())

    def _documents(self, batches: list[list[Window]], share: int) -> None:
        """Probe boundaries in batches that have some inside a window, until ``share`` of them are done."""
        done = 0
        for i in self.random.permutation(len(batches)):
            if done >= share:
                return
            batch = batches[i]
            inputs, _ = cut(self.tokens, batch)
            inside = [np.flatnonzero(row[1:] == self.bos_id) + 1 for row in inputs]
            if not any(len(starts) for starts in inside):
                continue
            at_B = np.array([self.random.choice(s) if len(s) else 0 for s in inside])
            before_BT = np.arange(inputs.shape[1]) < at_B[:, None]
            checked_BT = ~before_BT & (at_B > 0)[:, None]
            real = self._reference(inputs)
            self._compare(real, inputs, before_BT, checked_BT, batch, "document", at_B)
            done += int((at_B > 0).sum())
            self.report.documents = done

    def _reference(self, inputs: np.ndarray) -> torch.Tensor:
        return self.scored.features(self.scored.put(inputs))

    def _tolerance(self, x_BTD: torch.Tensor) -> float:
        return max(tolerance(x_BTD.dtype), tolerance(self.scored.dtype))

    def _compare(
        self,
        real_BTD: torch.Tensor,
        inputs: np.ndarray,
        replace_BT: np.ndarray,
        still_BT: np.ndarray,
        batch: list[Window],
        leak: str,
        at_B: np.ndarray | None,
    ) -> None:
        """Replace tokens where ``replace_BT``; log-probabilities where ``still_BT`` must not move."""
        vocab = self.scored.vocab_size
        # Each replaced token becomes another one for certain.
        other = (inputs.astype(np.int64) + self.random.integers(1, vocab, inputs.shape)) % vocab
        changed = np.where(replace_BT, other, inputs)
        still = torch.from_numpy(np.ascontiguousarray(still_BT)).to(self.scored.device)
        moved_BTD = self.scored.features(self.scored.put(changed))
        moves = []
        for (part, a_BTV), (_, b_BTV) in zip(self.scored.slices(real_BTD), self.scored.slices(moved_BTD), strict=True):
            move_BTV = torch.log_softmax(a_BTV, -1).sub_(torch.log_softmax(b_BTV, -1)).abs_()
            moves.append(move_BTV.amax(-1) * still[:, part])
        move_BT = torch.cat(moves, 1)
        largest = float(move_BT.max())
        self.report.largest_move_nats = max(self.report.largest_move_nats, largest)
        if largest > self._tolerance(real_BTD):
            row, position = divmod(int(move_BT.argmax()), move_BT.shape[1])
            self._stop(leak, batch, row, position, None if at_B is None else int(at_B[row]), largest)

    def _stop(self, leak: str, batch: list[Window], row: int, position: int, at: int | None, nats: float) -> None:
        where = f"position {position} of a window (token {batch[row].start + position} of the validation stream)"
        how, hint = {
            "future": (
                f"looks ahead: replacing the tokens from position {at} on",
                "a prediction may use earlier tokens only: is a mask, shift or cumulative sum off by one?",
            ),
            "row": (
                "mixes windows of a batch: replacing other rows",
                "nothing may pass between rows: is there a norm, router or cache over the batch?",
            ),
            "document": (
                f"crosses a document's start: replacing the tokens before position {at}",
                'reset state and mask attention where a document starts, or score with `documents = "stream"`',
            ),
        }[leak]
        raise AnswerIsNo(f"{self.scored.name} {how} moved a log-probability at {where} by {nats:.3g} nats", hint)


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
