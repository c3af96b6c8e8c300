"""Muon: momentum that is orthogonalized before it is applied.

K matrices of one shape, of which this process has k, R rows, C columns (R = outputs).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from golfreg.train.group import Group
from golfreg.train.orthogonalize import equal_rows, orthogonalize

Rows = tuple[Tensor, int, int]
"""Rows of a parameter, from the second number up to the third."""


class Muon:
    """Nesterov momentum, orthogonalized (see ``orthogonalize`` for the source).

    The update is scaled by ``max(1, rows / columns) ** 0.5``; weight decay is decoupled. Matrices of
    one shape are stepped together, so that a step is a few matrix products; of the K of a shape each
    process of ``group`` orthogonalizes its share, and all get all results. ``row_groups``: by
    parameter, the sizes of row groups that are orthogonalized one by one, as matrices of their own.
    ``product``: a kernel of the op ``symmetric_product``.
    """

    def __init__(
        self,
        matrices: Mapping[str, Tensor],
        *,
        lr: float,
        weight_decay: float,
        iterations: int,
        dtype: torch.dtype,
        coefficients: str = "quintic",
        equal_rows: bool = False,
        row_groups: Mapping[str, Sequence[int]] | None = None,
        group: Group | None = None,
        product: Callable[..., Tensor] | None = None,
    ) -> None:
        self.lr, self.weight_decay, self.iterations, self.dtype = lr, weight_decay, iterations, dtype
        self.coefficients, self.equal_rows, self.product = coefficients, equal_rows, product
        self.group = group or Group()
        self.groups: dict[str, list[Rows]] = {}
        for name, matrix_RC in matrices.items():
            first = 0
            for rows in (row_groups or {}).get(name, (matrix_RC.size(0),)):
                self.groups.setdefault(f"{rows}x{matrix_RC.size(1)}", []).append((matrix_RC, first, first + rows))
                first += rows
        self.momenta_kRC: dict[str, Tensor] = {}
        for shape, parts in self.groups.items():
            matrix_RC, first, end = parts[0]
            share = -(-len(parts) // self.group.size)
            self.momenta_kRC[shape] = matrix_RC.new_zeros(share, end - first, matrix_RC.size(1), requires_grad=False)

    @torch.no_grad()
    def step(self, rate: float, momentum: float) -> None:
        """Apply the gradients. ``rate``: the schedule's factor."""
        lr = self.lr * rate
        waiting = [
            (parts, *self.group.gather(self._updates(shape, parts, momentum))) for shape, parts in self.groups.items()
        ]
        for parts, updates_KRC, wait in waiting:
            wait()
            rows = [matrix_RC[first:end] for matrix_RC, first, end in parts]
            scale = max(1.0, rows[0].size(0) / rows[0].size(1)) ** 0.5
            if self.weight_decay:
                torch._foreach_mul_(rows, 1.0 - lr * self.weight_decay)
            torch._foreach_add_(rows, list(updates_KRC[: len(rows)].float().unbind()), alpha=-lr * scale)

    def _updates(self, shape: str, parts: list[Rows], momentum: float) -> Tensor:
        """What this process's share of the matrices moves by, [k, R, C]; zeros where there are fewer than k."""
        momenta_kRC = self.momenta_kRC[shape]
        share = momenta_kRC.size(0)
        mine = parts[self.group.rank * share : (self.group.rank + 1) * share]
        gradients = [_gradient(matrix_RC)[first:end] for matrix_RC, first, end in mine]
        padding = [torch.zeros_like(momenta_kRC[0])] * (share - len(mine))
        gradients_kRC = torch.stack(gradients + padding)
        momenta_kRC.lerp_(gradients_kRC, 1.0 - momentum)
        ahead_kRC = gradients_kRC.lerp_(momenta_kRC, momentum)
        if self.equal_rows:
            ahead_kRC = equal_rows(ahead_kRC)
        return orthogonalize(ahead_kRC, self.iterations, self.dtype, self.coefficients, self.product).contiguous()

    def gathered(self) -> dict[str, Tensor]:
        """The state of all processes, by name: momenta [K, R, C]. Every process calls it at once."""
        found = {}
        for shape, parts in self.groups.items():
            momenta_KRC, wait = self.group.gather(self.momenta_kRC[shape])
            wait()
            found[f"muon/{shape}"] = momenta_KRC[: len(parts)]
        return found

    def shapes(self) -> dict[str, torch.Size]:
        """Shapes of what ``gathered`` gives."""
        return {
            f"muon/{shape}": torch.Size((len(parts), *self.momenta_kRC[shape].shape[1:]))
            for shape, parts in self.groups.items()
        }

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Take this process's share of what ``gathered`` gave, by any number of processes."""
        for shape, momenta_kRC in self.momenta_kRC.items():
            first = self.group.rank * momenta_kRC.size(0)
            mine = tensors[f"muon/{shape}"][first : first + momenta_kRC.size(0)]
            momenta_kRC.zero_()
            momenta_kRC[: len(mine)].copy_(mine)


def _gradient(parameter: Tensor) -> Tensor:
    """The gradient; zeros for a parameter that the loss did not reach."""
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
