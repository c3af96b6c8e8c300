"""One pass from left to right: the model gives logits, and everything after that is done here.

B windows, T positions, D model width, V vocabulary, N rows of a slice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np
import torch

from golfreg.api.errors import AnswerIsNo
from golfreg.score.bpb import Tally
from golfreg.score.windows import Window, Windows

HEAD_ELEMENTS = 1 << 23
"""Logits of one call of the head: B * slice * V stays below this (32 MiB in float32), for one position at least."""


class CountsBytes(Protocol):
    """The part of ``golfreg.data.dataset.ByteTable`` that a score needs."""

    def count(self, previous: np.ndarray, targets: np.ndarray) -> np.ndarray: ...


class Scored:
    """A model under the harness: asked for features and logits, never for a loss.

    ``name`` is said in every complaint. ``vocab_size``: logits that every position must have.
    ``dtype``: what it computes in, which says how far rounding can go.
    """

    def __init__(
        self, model: Any, name: str, vocab_size: int, device: torch.device, dtype: torch.dtype = torch.float32
    ) -> None:
        for method in ("features", "head"):
            if not callable(getattr(model, method, None)):
                raise AnswerIsNo(f"{name} has no `{method}`", "a model has features(tokens_BT) and head(x_BTD)")
        self.model = model
        self.name = name
        self.vocab_size = vocab_size
        self.device = device
        self.dtype = dtype

    @property
    def adapts(self) -> bool:
        """Whether it wants to learn from what was scored."""
        return callable(getattr(self.model, "adapt", None))

    def put(self, tokens_BT: np.ndarray) -> torch.Tensor:
        """Token ids as int64 on the model's device."""
        return torch.from_numpy(np.ascontiguousarray(tokens_BT, np.int64)).to(self.device)

    def features(self, tokens_BT: torch.Tensor) -> torch.Tensor:
        """``features``, given a copy of the tokens so that the harness's own cannot be written to."""
        return self._checked(self.model.features(tokens_BT.clone()), tokens_BT, "features")

    def _checked(self, x_BTD: Any, tokens_BT: torch.Tensor, what: str) -> torch.Tensor:
        if not isinstance(x_BTD, torch.Tensor) or x_BTD.ndim != 3 or x_BTD.shape[:2] != tokens_BT.shape:
            raise AnswerIsNo(
                f"{what} of {self.name} is {_said(x_BTD)} for tokens of shape {list(tokens_BT.shape)}",
                "features(tokens_BT) returns x_BTD, step(tokens_BT, state) returns (x_BTD, state)",
            )
        return x_BTD

    @property
    def carries(self) -> bool:
        """Whether it can go on where the last window ended."""
        return all(callable(getattr(self.model, method, None)) for method in ("step", "initial_state"))

    def initial_state(self, n_batch: int, context: int) -> Any:
        """What ``step`` begins with. AnswerIsNo for a model that carries none."""
        if not self.carries:
            raise AnswerIsNo(
                f"{self.name} cannot be scored `stateful`: its model has no `step` and `initial_state`",
                "score with windows `fixed` or `sliding:STRIDE`",
            )
        return self.model.initial_state(n_batch, context)

    def step(self, tokens_BT: torch.Tensor, state: Any) -> tuple[torch.Tensor, Any]:
        """``features`` that go on from ``state``, and the state after them."""
        answer = self.model.step(tokens_BT.clone(), state)
        if not (isinstance(answer, tuple) and len(answer) == 2):
            raise AnswerIsNo(f"step of {self.name} is {_said(answer)}", "step(tokens_BT, state) returns (x_BTD, state)")
        return self._checked(answer[0], tokens_BT, "step"), answer[1]

    def logits(self, x_BTD: torch.Tensor) -> torch.Tensor:
        """``head``, checked: the whole alphabet for each position, floating point, finite."""
        logits_BTV = self.model.head(x_BTD)
        expected = (*x_BTD.shape[:2], self.vocab_size)
        if not isinstance(logits_BTV, torch.Tensor) or tuple(logits_BTV.shape) != expected:
            raise AnswerIsNo(
                f"head of {self.name} is {_said(logits_BTV)} where logits of shape {list(expected)} are due",
                "every position needs one logit for each token of the alphabet, so that golfreg can normalize them",
            )
        if not logits_BTV.is_floating_point():
            raise AnswerIsNo(f"head of {self.name} is {_said(logits_BTV)}", "logits are floating-point numbers")
        # NaN passes through both, and this is many times faster than isfinite().all().
        if not bool(torch.isfinite(torch.stack(torch.aminmax(logits_BTV))).all()):
            raise AnswerIsNo(f"head of {self.name} gave logits that are NaN or infinite", "the model has diverged")
        return logits_BTV if logits_BTV.dtype == torch.float64 else logits_BTV.float()

    def slices(self, x_BTD: torch.Tensor) -> Iterator[tuple[slice, torch.Tensor]]:
        """Logits of a few positions at a time, so that B * T * V never lies in memory at once."""
        rows, length = x_BTD.shape[:2]
        step = max(1, HEAD_ELEMENTS // (rows * self.vocab_size))
        for start in range(0, length, step):
            part = slice(start, min(start + step, length))
            yield part, self.logits(x_BTD[:, part])


def target_nats(logits_BTV: torch.Tensor, targets_BT: torch.Tensor) -> torch.Tensor:
    """``-log softmax(logits)[target]`` as float64 [B, T]; exponentials and their sum have the logits' precision."""
    shifted_BTV = logits_BTV - logits_BTV.amax(-1, keepdim=True)
    target_BT = shifted_BTV.gather(-1, targets_BT[..., None])[..., 0].double()
    return shifted_BTV.exp_().sum(-1).double().log() - target_BT


def batch_nats(scored: Scored, inputs_BT: torch.Tensor, targets_BT: torch.Tensor) -> torch.Tensor:
    """Nats of every target of a batch, float64 [B, T]. No gradient."""
    with torch.no_grad():
        return features_nats(scored, scored.features(inputs_BT), targets_BT)


def features_nats(scored: Scored, x_BTD: torch.Tensor, targets_BT: torch.Tensor) -> torch.Tensor:
    """Nats of every target [B, T] at features."""
    return torch.cat([target_nats(logits, targets_BT[:, part]) for part, logits in scored.slices(x_BTD)], 1)


def cut(tokens: np.ndarray, batch: list[Window]) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets [B, T] of a batch of windows."""
    inputs_BT = np.stack([tokens[w.start : w.end] for w in batch])
    targets_BT = np.stack([tokens[w.start + 1 : w.end + 1] for w in batch])
    return inputs_BT, targets_BT


def evaluate(
    scored: Scored,
    tokens: np.ndarray,
    byte_table: CountsBytes,
    windows: Windows,
    batch_tokens: int,
    bos_id: int | None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    check: Callable[[int, torch.Tensor], None] = lambda batch, nats_BT: None,
    audit: Callable[[int, torch.Tensor, Any, torch.Tensor], None] = lambda window, inputs_BT, state, x_BTD: None,
) -> Tally:
    """Score the stream. ``progress(done, total)`` in targets; ``check(batch, nats_BT)`` sees each batch's nats.

    A model with ``adapt(tokens_BT, targets_BT)`` gets each batch after it was scored, never before.
    ``stateful`` windows are scored one by one, each with the state that the one before it left;
    ``audit(window, inputs_BT, state, x_BTD)`` may look at a window before the next one.
    """
    tally = Tally(tokens, bos_id)
    adapts = scored.adapts
    state = scored.initial_state(1, windows.context) if windows.stateful else None
    for number, batch in enumerate(windows.batches(len(tokens), 1 if windows.stateful else batch_tokens)):
        inputs, targets = cut(tokens, batch)
        inputs_BT, targets_BT = scored.put(inputs), scored.put(targets)
        if windows.stateful:
            with torch.no_grad():
                x_BTD, after = scored.step(inputs_BT, state)
                nats_BT = features_nats(scored, x_BTD, targets_BT)
                audit(number, inputs_BT, state, x_BTD)
                state = after
        else:
            nats_BT = batch_nats(scored, inputs_BT, targets_BT)
        check(number, nats_BT)
        nats = nats_BT.cpu().numpy()
        kept = [slice(w.scored - w.start, w.length) for w in batch]
        positions = np.arange(batch[0].scored + 1, batch[-1].end + 1)
        previous = np.concatenate([row[k] for row, k in zip(inputs, kept, strict=True)])
        now = np.concatenate([row[k] for row, k in zip(targets, kept, strict=True)])
        row_nats = np.concatenate([row[k] for row, k in zip(nats, kept, strict=True)])
        tally.add(positions, row_nats, byte_table.count(previous, now))
        if adapts:
            scored.model.adapt(inputs_BT, targets_BT)
        progress(tally.targets_scored, len(tokens) - 1)
    return tally


def _said(value: object) -> str:
    if isinstance(value, torch.Tensor):
        return f"a {str(value.dtype).removeprefix('torch.')} tensor of shape {list(value.shape)}"
    return f"a {type(value).__name__}"
