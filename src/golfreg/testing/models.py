"""What the checks of mixers and architectures share. Shape letters: B batch, T time, D model width."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import nn

from golfreg.api import EMBEDDING_ROLES, MATRIX_ROLES, GolfregError, Role
from golfreg.registry.host import get_host
from golfreg.registry.resolve import load, resolve
from golfreg.testing.kit import expect

KNOWN_ROLES = MATRIX_ROLES | EMBEDDING_ROLES | {"scalar"}
RELATIVE_TOLERANCE = 1e-4


def reference_kernels(ops: Iterable[str] | None) -> dict[str, Callable[..., Any]]:
    """The plain reference of each op; of every op that can be loaded if ``ops`` is None."""
    if ops is not None:
        return {name: load(resolve("op", name)).reference for name in ops}
    kernels = {}
    for component in get_host().of_kind("op"):
        try:
            kernels[component.name] = load(resolve("op", component.name)).reference
        except GolfregError:
            continue
    return kernels


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def liven(module: nn.Module, seed: int = 0) -> nn.Module:
    """Add noise to every parameter: a projection that starts at zero would hide every fault behind it."""
    generator = seeded(seed)
    with torch.no_grad():
        for _, parameter in sorted(module.named_parameters()):
            fan_in = parameter.shape[-1] if parameter.ndim > 1 else 25
            parameter.add_(torch.randn(parameter.shape, generator=generator), alpha=0.5 / fan_in**0.5)
    return module.eval()


def expect_same(given: torch.Tensor, true: torch.Tensor, what: str) -> None:
    """Equal up to rounding, relative to the largest true value."""
    expect(given.shape == true.shape, f"{what}: shapes {list(given.shape)} and {list(true.shape)}")
    if true.numel():
        error = float((given - true).abs().max())
        allowed = RELATIVE_TOLERANCE * max(float(true.abs().max()), 1e-3)
        expect(error <= allowed, f"{what}: differs by {error:.3g}, allowed is {allowed:.3g}")


def expect_changed(given: torch.Tensor, before: torch.Tensor, what: str) -> None:
    """Differs by more than rounding."""
    moved = float((given - before).abs().max()) > RELATIVE_TOLERANCE * max(float(before.abs().max()), 1e-3)
    expect(moved, what)


def expect_roles(parameters: Mapping[str, torch.Tensor], roles: Mapping[str, Role]) -> None:
    """Every parameter has one known role; row groups add up to the rows of their matrix."""
    expect(
        set(parameters) == set(roles), f"`roles` and the parameters differ in {sorted(set(parameters) ^ set(roles))}"
    )
    for name, role in roles.items():
        expect(isinstance(role, Role), f"the role of `{name}` is a {type(role).__name__}")
        expect(role.name in KNOWN_ROLES, f"`{name}` has the role `{role.name}`; known are {sorted(KNOWN_ROLES)}")
        shape = list(parameters[name].shape)
        if role.name in MATRIX_ROLES | EMBEDDING_ROLES:
            expect(len(shape) == 2, f"`{name}` has the role `{role.name}` and the shape {shape}, not two dimensions")
        if role.groups:
            rows = sum(count for _, count in role.groups)
            expect(rows == shape[0], f"the row groups of `{name}` have {rows} rows, the matrix has {shape[0]}")
            expect(all(count > 0 for _, count in role.groups), f"a row group of `{name}` is empty")
            names = [group for group, _ in role.groups]
            expect(len(set(names)) == len(names), f"two row groups of `{name}` have one name: {names}")


def expect_gradients(module: nn.Module, output: torch.Tensor) -> None:
    """A random pull on the output reaches every parameter, with finite gradients."""
    module.zero_grad(set_to_none=True)
    (output * torch.randn(output.shape, generator=seeded(9))).sum().backward()
    for name, parameter in module.named_parameters():
        gradient = parameter.grad
        expect(gradient is not None and float(gradient.abs().max()) > 0, f"no gradient reaches `{name}`")
        expect(
            bool(gradient.isfinite().all()) if gradient is not None else True, f"the gradient of `{name}` is not finite"
        )


def copy_parameters(source: nn.Module, to: nn.Module) -> None:
    """All that an artifact carries: the parameters, by name."""
    given = dict(source.named_parameters())
    with torch.no_grad():
        for name, parameter in to.named_parameters():
            expect(name in given, f"a second build has the parameter `{name}`, the first has not")
            parameter.copy_(given[name])
