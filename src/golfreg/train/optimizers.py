"""Muon for the matrices of the trunk, AdamW for the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from torch import Tensor
from torch.optim.adamw import adamw

from golfreg.api.errors import PluginError
from golfreg.api.values import EMBEDDING_ROLES, MATRIX_ROLES, Role
from golfreg.config.spec import TrainSettings
from golfreg.train.group import Group
from golfreg.train.muon import Muon


class AdamW:
    """Adam with decoupled weight decay (Loshchilov and Hutter, arXiv 1711.05101), in torch's fused kernel.

    ``rates`` and ``decays``: learning rate and weight decay of each parameter.
    """

    def __init__(
        self,
        parameters: Mapping[str, Tensor],
        *,
        rates: Mapping[str, float],
        decays: Mapping[str, float],
        beta1: float,
        beta2: float,
        epsilon: float = 1e-8,
    ) -> None:
        self.names, self.parameters = list(parameters), list(parameters.values())
        self.rates, self.decays = [rates[n] for n in self.names], [decays[n] for n in self.names]
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon
        self.means = [torch.zeros_like(p, requires_grad=False) for p in self.parameters]
        self.squares = [torch.zeros_like(p, requires_grad=False) for p in self.parameters]
        self._counts = [torch.zeros((), device=p.device) for p in self.parameters]
        self._count = 0
        """What ``_counts`` hold."""
        self._alike: dict[tuple[float, float], list[int]] = {}
        for i, alike in enumerate(zip(self.rates, self.decays, strict=True)):
            self._alike.setdefault(alike, []).append(i)

    @torch.no_grad()
    def step(self, rate: float, count: int) -> None:
        """Apply the gradients. ``rate``: the schedule's factor; ``count``: steps with this one, from 1."""
        if self.parameters and self._count != count - 1:
            torch._foreach_zero_(self._counts)
            torch._foreach_add_(self._counts, float(count - 1))
        self._count = count
        for (lr, decay), chosen in self._alike.items():
            parameters = _chosen(self.parameters, chosen)
            adamw(
                parameters,
                [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters],
                _chosen(self.means, chosen),
                _chosen(self.squares, chosen),
                [],
                _chosen(self._counts, chosen),
                fused=True,
                amsgrad=False,
                beta1=self.beta1,
                beta2=self.beta2,
                lr=rate * lr,
                weight_decay=decay,
                eps=self.epsilon,
                maximize=False,
            )

    def tensors(self) -> dict[str, Tensor]:
        """The state, by name; the tensors themselves, not copies."""
        means = {f"adamw/mean/{n}": t for n, t in zip(self.names, self.means, strict=True)}
        return means | {f"adamw/square/{n}": t for n, t in zip(self.names, self.squares, strict=True)}


def _chosen(tensors: list[Tensor], positions: Iterable[int]) -> list[Tensor]:
    return [tensors[i] for i in positions]


def make_optimizers(
    parameters: Mapping[str, Tensor],
    roles: Mapping[str, Role],
    settings: TrainSettings,
    group: Group | None = None,
    product: Callable[..., Tensor] | None = None,
) -> tuple[Muon, AdamW]:
    """Muon for two-dimensional parameters of a matrix role, AdamW for all others.

    Weight decay falls on matrices, embedding and head, never on scalars. ``group``: the processes that
    share Muon's work. ``product``: a kernel of the op ``symmetric_product``. PluginError for a parameter
    without a role.
    """
    missing = [name for name in parameters if name not in roles]
    if missing:
        raise PluginError(
            f"the architecture's roles() leaves out the parameter `{missing[0]}`",
            hint="roles() names every parameter of model.named_parameters()",
        )
    matrices = {n: p for n, p in parameters.items() if roles[n].name in MATRIX_ROLES and p.ndim == 2}
    rest = {n: p for n, p in parameters.items() if n not in matrices}
    embeddings = {n for n in rest if roles[n].name in EMBEDDING_ROLES}
    on_cpu = all(p.device.type == "cpu" for p in matrices.values())
    muon = Muon(
        matrices,
        lr=settings.matrix_lr,
        weight_decay=settings.weight_decay,
        iterations=settings.muon_iterations,
        dtype=torch.float32 if on_cpu else torch.bfloat16,  # products in bfloat16 are slow on a CPU
        coefficients=settings.muon_coefficients,
        equal_rows=settings.muon_equal_rows,
        row_groups=_row_groups(matrices, roles) if settings.muon_row_groups else None,
        group=group,
        product=product,
    )
    rest_of = AdamW(
        rest,
        rates={n: settings.embedding_lr if n in embeddings else settings.scalar_lr for n in rest},
        decays={n: settings.weight_decay if n in embeddings else 0.0 for n in rest},
        beta1=settings.adam_beta1,
        beta2=settings.adam_beta2,
    )
    return muon, rest_of


def _row_groups(matrices: Mapping[str, Tensor], roles: Mapping[str, Role]) -> dict[str, list[int]]:
    """Rows of each group of the fused matrices. PluginError where they do not add up."""
    found = {name: [rows for _, rows in roles[name].groups] for name in matrices if roles[name].groups}
    for name, rows in found.items():
        if sum(rows) != matrices[name].size(0):
            raise PluginError(f"the row groups of `{name}` have {sum(rows)} rows, the matrix {matrices[name].size(0)}")
    return found
