"""What an op is timed on. Apart from the other values, so that no artifact counts it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Sizes = Mapping[str, bool | int | float | str]


@dataclass(frozen=True)
class Work:
    """What one call has to do at least: bytes to read and write, once each, and floating-point operations."""

    forward_bytes: int
    forward_operations: int
    backward_bytes: int = 0
    backward_operations: int = 0

    @property
    def both_bytes(self) -> int:
        return self.forward_bytes + self.backward_bytes

    @property
    def both_operations(self) -> int:
        return self.forward_operations + self.backward_operations


@dataclass(frozen=True)
class Workload:
    """``inputs(device, dtype, seed, **sizes)`` makes an op's keyword arguments.

    ``sizes``: by device type (``cpu``, ``cuda``), each with every size and its default. ``exact``: the largest
    sizes at which errors are taken, where the reference in float64 has to fit as well. ``gradients``:
    of which inputs. ``work(item_bytes, **sizes)``: what a call has to do; None: not counted.
    """

    sizes: Mapping[str, Sizes]
    inputs: Callable[..., dict[str, Any]]
    gradients: tuple[str, ...] = ()
    exact: Mapping[str, int] = field(default_factory=dict)
    work: Callable[..., Work] | None = None
