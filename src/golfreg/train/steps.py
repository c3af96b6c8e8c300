"""What all processes of a training do alike and at once: steps, warming up, saving, loading.

B windows, T time, N = B * T tokens. ``tokens_BT`` predict ``targets_BT``, one to the right.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.fx.experimental.symbolic_shapes  # backward() imports it if it is not here, half a second on the clock
from torch import Tensor

from golfreg.train.files import read_tensors
from golfreg.train.group import Group
from golfreg.train.loss import Gradients
from golfreg.train.prefetch import Prefetch
from golfreg.train.schedule import Schedule, micro_batch, step_shapes
from golfreg.train.state import TrainState

if TYPE_CHECKING:
    from golfreg.train.rounding import Rounding

_WARMUP_STEPS = 3
"""Of the first shape; of each further one a single step compiles it and a second one runs it."""


class Steps:
    """Called in the first process; ``group`` has the others call the same with the same arguments.

    A step depends on the state, on the settings and on the clock as the first process read it.
    """

    def __init__(
        self,
        state: TrainState,
        gradients: Gradients,
        schedule: Schedule,
        group: Group,
        *,
        device: str,
        rounding: Rounding | None = None,
    ) -> None:
        self.rounding = rounding
        self.state, self.gradients, self.schedule, self.group, self.device = state, gradients, schedule, group, device
        self.settings = schedule.settings
        self.parameters = list(state.model.parameters())
        self.batches = Prefetch(state.batches.read, device)

    def step(self, elapsed_seconds: float) -> tuple[Tensor, Tensor]:
        """One step: gradients, clipping, optimizers, average. Loss and gradient norm, on the device."""
        self.group.tell("step", elapsed_seconds)
        state, schedule = self.state, self.schedule
        rate, shape = schedule.rate(state.step, elapsed_seconds), schedule.shape(state.step, elapsed_seconds)
        return self._step(rate, *shape, self.rounding if schedule.rounded(state.step, elapsed_seconds) else None)

    def _step(
        self, rate: float, batch_tokens: int, length: int, rounding: Rounding | None = None
    ) -> tuple[Tensor, Tensor]:
        state = self.state
        with rounding.weights() if rounding else contextlib.nullcontext():
            loss = self.gradients(self._micro_batches(batch_tokens, length), batch_tokens)
        loss = self.group.sum_gradients(self.parameters, loss)
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.settings.grad_clip or math.inf)
        state.muon.step(rate, self.schedule.momentum(state.step))
        state.adamw.step(rate, state.step + 1)
        for parameter in self.parameters:
            parameter.grad = None
        state.step += 1
        state.tokens += batch_tokens
        state.position += batch_tokens
        if state.average is not None:
            state.average.update(state.step)
        return loss, norm

    def _micro_batches(self, batch_tokens: int, length: int) -> Iterator[tuple[Tensor, Tensor]]:
        """This process's share of the step: all shares together are what one process alone would take."""
        share, micro = micro_batch(self.settings, batch_tokens)
        first = self.state.position + self.group.rank * share
        keys = [(position, micro) for position in range(first, first + share, micro)]
        of_next_step = [(position + batch_tokens, micro) for position, _ in keys]
        for inputs_N, targets_N in self.batches.get(keys, of_next_step):
            yield inputs_N.view(-1, length), targets_N.view(-1, length)

    def warm_up(self) -> None:
        """Compile and tune on a few steps of every shape that the run will have, then put everything back."""
        self.group.tell("warm_up")
        shapes = step_shapes(self.settings)
        if self.gradients.compiled:
            limits: Any = torch._dynamo.config
            limits.recompile_limit = max(limits.recompile_limit, 2 * len(shapes))  # a shape is compiled on its own
        tensors, numbers = self._save()
        copies = {name: t.clone() for name, t in tensors.items()}
        for number, (batch_tokens, length) in enumerate(shapes):
            for _ in range(2 if number else _WARMUP_STEPS):
                self._step(0.0, batch_tokens, length)
        if self.rounding:
            for _ in range(2):
                self._step(0.0, *step_shapes(self.settings)[-1], self.rounding)
        self.state.load(copies, numbers)
        if self.device == "cuda":
            torch.cuda.synchronize()
            torch.cuda.reset_peak_memory_stats()

    def save(self) -> tuple[dict[str, Tensor], dict[str, int]]:
        """All that a checkpoint holds, whatever process has it. The tensors are not copies."""
        self.group.tell("save")
        return self._save()

    def _save(self) -> tuple[dict[str, Tensor], dict[str, int]]:
        return self.state.save()

    def load(self, path: Path, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Take over a checkpoint that was read from ``path``."""
        self.group.tell("load_file", str(path), dict(numbers))
        self.state.load(tensors, numbers)

    def close(self) -> None:
        """Read no more batches."""
        self.batches.close()

    def load_file(self, path: str, numbers: Mapping[str, Any]) -> None:
        """``load`` in the other processes."""
        self.state.load(read_tensors(Path(path))[0], numbers)
