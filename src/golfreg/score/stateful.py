"""Scoring with state: the probes of a model whose state is carried from window to window.

The harness hands over one window at a time with the state that the one before it left, so nothing
of a later window can be seen. Within a window, and for documents across windows, it is probed:

- before scoring, rows of two windows each are run from the initial state, as ``golfreg.score.probe``
  probes rows of one;
- while scoring, at windows drawn from the operating system's randomness, the window is run again
  from the same state: once as it is (the same must come out: no hidden state, and the state given
  was not written to), once with everything from a random position on replaced (nothing before it may move).

B windows, T positions, D model width.
"""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import torch

from golfreg.api.errors import AnswerIsNo
from golfreg.score.evaluate import Scored
from golfreg.score.probe import tolerance
from golfreg.score.windows import Windows

AUDITS = 4
"""Windows that are run again while the stream is scored."""


class Stateful(Scored):
    """``scored`` as the probe sees it: features of a row are those of its windows, one after the other."""

    def __init__(self, scored: Scored, windows: Windows, tokens: int, seed: int | None = None) -> None:
        super().__init__(scored.model, scored.name, scored.vocab_size, scored.device, scored.dtype)
        self.windows = windows
        self.pairs = Windows(2 * windows.length, 2 * windows.length)
        self.random = np.random.default_rng(int.from_bytes(os.urandom(16), "little") if seed is None else seed)
        count = windows.count(tokens)
        self.audited = set(self.random.choice(count, min(AUDITS, count), replace=False).tolist())

    def features(self, tokens_BT: torch.Tensor) -> torch.Tensor:
        """x_BTD of a row of windows, from the initial state."""
        state = self.initial_state(len(tokens_BT), self.windows.context)
        parts = []
        for part_BT in tokens_BT.split(self.windows.length, 1):
            x_BTD, state = self.step(part_BT, state)
            parts.append(x_BTD)
        return torch.cat(parts, 1)

    def audit(self, window: int, inputs_BT: torch.Tensor, state: Any, x_BTD: torch.Tensor) -> None:
        """Run a window again from the state that it was scored with. AnswerIsNo if what must not move has moved."""
        if window not in self.audited:
            return
        allowed = max(tolerance(x_BTD.dtype), tolerance(self.dtype))
        again_BTD, _ = self.step(inputs_BT, state)
        moved = self._largest_move(x_BTD, again_BTD)
        if moved > allowed:
            raise AnswerIsNo(
                f"{self.name} gives another answer when window {window} is run again from the same state: a "
                f"log-probability moved by {moved:.3g} nats",
                "`step` leaves the state that it is given as it was, and keeps nothing in the model",
            )
        length = inputs_BT.shape[1]
        if length < 2:
            return
        cut = int(self.random.integers(1, length))
        shift = torch.from_numpy(self.random.integers(1, self.vocab_size, (1, length - cut))).to(inputs_BT.device)
        other_BT = torch.cat((inputs_BT[:, :cut], (inputs_BT[:, cut:] + shift) % self.vocab_size), 1)
        moved = self._largest_move(x_BTD[:, :cut], self.step(other_BT, state)[0][:, :cut])
        if moved > allowed:
            raise AnswerIsNo(
                f"{self.name} looks ahead: replacing later tokens of window {window} moved a log-probability before "
                f"position {cut} by {moved:.3g} nats",
                "a prediction may use earlier tokens only: is a mask, shift or cumulative sum off by one?",
            )

    def _largest_move(self, a_BTD: torch.Tensor, b_BTD: torch.Tensor) -> float:
        moves = [
            float((torch.log_softmax(a_BTV, -1) - torch.log_softmax(b_BTV, -1)).abs().max())
            for (_, a_BTV), (_, b_BTV) in zip(self.slices(a_BTD), self.slices(b_BTD), strict=True)
        ]
        return max(moves)
