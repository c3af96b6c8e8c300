"""Muon for the matrices of the trunk, AdamW for the rest.

K matrices of one shape, R rows, C columns (R = outputs).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from golfreg.api.errors import PluginError
from golfreg.api.values import EMBEDDING_ROLES, MATRIX_ROLES, Role
from golfreg.config.spec import TrainSettings

_QUINTIC = (3.4445, -4.7750, 2.0315)


def orthogonalize(matrices_KRC: Tensor, iterations: int, dtype: torch.dtype) -> Tensor:
    """Replace the singular values of each matrix by ones, roughly (0.7 to 1.2), keeping its singular vectors.

    Newton-Schulz iteration of the quintic ``a X + b (X X^T) X + c (X X^T)^2 X``, whose coefficients
    trade exactness for speed near zero. Source: Keller Jordan et al., "Muon: an optimizer for hidden
    layers in neural networks" (2024). ``dtype``: of the arithmetic; the result has it too.
    """
    a, b, c = _QUINTIC
    tall = matrices_KRC.size(1) > matrices_KRC.size(2)
    x = matrices_KRC.mT if tall else matrices_KRC  # the Gram matrix of the shorter side is the smaller
    x = (x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)).to(dtype)
    for _ in range(iterations):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if tall else x


class Muon:
    """Momentum whose matrix is orthogonalized before it is applied (see ``orthogonalize`` for the source).

    Nesterov momentum; the update is scaled by ``max(1, rows / columns) ** 0.5``; weight decay is
    decoupled. Matrices of one shape are stepped together, so that a step is a few matrix products.
    """

    def __init__(
        self, matrices: Mapping[str, Tensor], *, lr: float, weight_decay: float, iterations: int, dtype: torch.dtype
    ) -> None:
        self.lr, self.weight_decay, self.iterations, self.dtype = lr, weight_decay, iterations, dtype
        self.groups: dict[str, list[Tensor]] = {}
        for matrix_RC in matrices.values():
            self.groups.setdefault(f"{matrix_RC.size(0)}x{matrix_RC.size(1)}", []).append(matrix_RC)
        self.momenta_KRC = {
            shape: torch.zeros(len(group), *group[0].shape, device=group[0].device)
            for shape, group in self.groups.items()
        }

    @torch.no_grad()
    def step(self, rate: float, momentum: float) -> None:
        """Apply the gradients. ``rate``: the schedule's factor."""
        lr = self.lr * rate
        for shape, group in self.groups.items():
            gradients_KRC = torch.stack([_gradient(p) for p in group])
            momenta_KRC = self.momenta_KRC[shape].lerp_(gradients_KRC, 1.0 - momentum)
            ahead_KRC = gradients_KRC.lerp_(momenta_KRC, momentum)
            updates_KRC = orthogonalize(ahead_KRC, self.iterations, self.dtype).float()
            scale = max(1.0, group[0].size(0) / group[0].size(1)) ** 0.5
            if self.weight_decay:
                torch._foreach_mul_(group, 1.0 - lr * self.weight_decay)
            torch._foreach_add_(group, list(updates_KRC.unbind()), alpha=-lr * scale)

    def tensors(self) -> dict[str, Tensor]:
        """The state, by name; the tensors themselves, not copies."""
        return {f"muon/{shape}": momenta for shape, momenta in self.momenta_KRC.items()}


class AdamW:
    """Adam with decoupled weight decay (Loshchilov and Hutter, arXiv 1711.05101).

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
        self.means = [torch.zeros_like(p) for p in self.parameters]
        self.squares = [torch.zeros_like(p) for p in self.parameters]

    @torch.no_grad()
    def step(self, rate: float, count: int) -> None:
        """Apply the gradients. ``rate``: the schedule's factor; ``count``: steps with this one, from 1."""
        if not self.parameters:
            return
        gradients = [_gradient(p) for p in self.parameters]
        if any(self.decays):
            kept = [1.0 - rate * lr * decay for lr, decay in zip(self.rates, self.decays, strict=True)]
            torch._foreach_mul_(self.parameters, kept)
        torch._foreach_lerp_(self.means, gradients, 1.0 - self.beta1)
        torch._foreach_mul_(self.squares, self.beta2)
        torch._foreach_addcmul_(self.squares, gradients, gradients, 1.0 - self.beta2)
        divisors = torch._foreach_sqrt(self.squares)
        torch._foreach_div_(divisors, (1.0 - self.beta2**count) ** 0.5)
        torch._foreach_add_(divisors, self.epsilon)
        sizes = [-rate * lr / (1.0 - self.beta1**count) for lr in self.rates]
        torch._foreach_addcdiv_(self.parameters, self.means, divisors, sizes)

    def tensors(self) -> dict[str, Tensor]:
        """The state, by name; the tensors themselves, not copies."""
        means = {f"adamw/mean/{n}": t for n, t in zip(self.names, self.means, strict=True)}
        return means | {f"adamw/square/{n}": t for n, t in zip(self.names, self.squares, strict=True)}


def make_optimizers(
    parameters: Mapping[str, Tensor], roles: Mapping[str, Role], settings: TrainSettings
) -> tuple[Muon, AdamW]:
    """Muon for two-dimensional parameters of a matrix role, AdamW for all others.

    Weight decay falls on matrices, embedding and head, never on scalars. PluginError for a
    parameter without a role.
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
    )
    adamw = AdamW(
        rest,
        rates={n: settings.embedding_lr if n in embeddings else settings.scalar_lr for n in rest},
        decays={n: settings.weight_decay if n in embeddings else 0.0 for n in rest},
        beta1=settings.adam_beta1,
        beta2=settings.adam_beta2,
    )
    return muon, adamw


def _gradient(parameter: Tensor) -> Tensor:
    """The gradient; zeros for a parameter that the loss did not reach."""
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
