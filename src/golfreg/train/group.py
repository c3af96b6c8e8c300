"""The processes that train together: here the simplest group, of one. ``golfreg.train.processes`` has the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NoReturn

from torch import Tensor

if TYPE_CHECKING:
    from golfreg.train.steps import Steps


class Group:
    """``rank`` of ``size`` processes. The first one (rank 0) decides, and tells the others what to do."""

    rank = 0
    size = 1

    def join(self) -> None:
        """Meet the others."""

    def follow(self, steps: Steps) -> NoReturn:
        """In all processes but the first: do what it tells, and end with it."""
        raise AssertionError("the first process decides")

    def tell(self, *words: object) -> None:
        """From rank 0 to all others: the name of a method of ``Steps``, and its arguments."""

    def sum_gradients(self, parameters: Sequence[Tensor], loss: Tensor) -> Tensor:
        """Replace each gradient by the sum over the processes; the sum of ``loss``."""
        return loss

    def gather(self, mine: Tensor) -> tuple[Tensor, Callable[[], None]]:
        """What every process has, joined along the first dimension, once the function that comes with it was called."""
        return mine, _nothing

    def align(self, tensors: Mapping[str, Tensor]) -> None:
        """Give every process the values of rank 0."""

    def failed(self, error: BaseException) -> None:
        """Rank 0 met an error that may be another process's end. Does not return if it is."""

    def close(self, *, well: bool) -> None:
        """The end of training. ``well``: the others may leave by themselves; otherwise they are ended."""


def _nothing() -> None:
    """There is nothing to wait for."""
