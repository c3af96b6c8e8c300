"""What the ops of this package have in common: cases, tolerances, and marks of where documents start."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import torch

from golfreg.api.values import Case


class Recurrence:
    """An op of this package. ``names``: of the inputs that have gradients; ``shapes``: what ``make_inputs`` takes."""

    def __init__(
        self,
        reference: Callable[..., Any],
        make_inputs: Callable[..., dict[str, Any]],
        names: tuple[str, ...],
        shapes: Mapping[str, Mapping[str, Any]],
    ) -> None:
        self.reference = reference
        self._make_inputs, self._names, self._shapes = make_inputs, names, shapes

    def cases(self) -> list[Case]:
        return [
            Case(name, functools.partial(self._make_inputs, **shape), self._names)
            for name, shape in self._shapes.items()
        ]

    def tolerance(self, dtype: torch.dtype) -> float:
        """Largest RMS error relative to the reference in float64, of an output or a gradient."""
        return {torch.float64: 1e-9, torch.float32: 1e-4, torch.float16: 4e-3}.get(dtype, 3e-2)


def start_marks(
    starts: tuple[tuple[int, int], ...] | None, batch: int, length: int, device: str | torch.device
) -> torch.Tensor | None:
    """bool[B, T], True at each (sequence, position); None for no documents."""
    if starts is None:
        return None
    marks_BT = torch.zeros(batch, length, dtype=torch.bool, device=device)
    for sequence, position in starts:
        marks_BT[sequence, position] = True
    return marks_BT
