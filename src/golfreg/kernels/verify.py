"""A kernel against its op's reference: outputs and every gradient, on the op's own cases.

What is right is the reference on the same values in float64. Memory that the kernel allocates is
filled with NaN, so that an element which it forgets to write shows.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch

from golfreg.api.values import Case


@dataclass(frozen=True)
class Difference:
    """One output or gradient. ``rms_ratio``: root mean square of the error over that of the true value."""

    name: str
    rms_ratio: float


@dataclass(frozen=True)
class CaseResult:
    """One case. ``refusal``: why the kernel does not run it (``differences`` is empty), or None."""

    case: str
    tolerance: float
    differences: tuple[Difference, ...] = ()
    refusal: str | None = None

    @property
    def worst(self) -> Difference | None:
        return max(self.differences, key=lambda d: d.rms_ratio, default=None)

    @property
    def right(self) -> bool:
        """Whether everything is within the tolerance; a refused case is not wrong."""
        return all(d.rms_ratio <= self.tolerance for d in self.differences)


def verify_kernel(
    op: Any,
    kernel: Any,
    *,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    seed: int = 0,
    cases: Iterable[Case] | None = None,
) -> list[CaseResult]:
    """Run ``kernel`` (a ``KernelTarget``) on every case of ``op`` (an ``OpTarget``)."""
    tolerance = op.tolerance(dtype)
    results = []
    for case in op.cases() if cases is None else cases:
        inputs = case.inputs(device, dtype, seed)
        static = {k: v for k, v in inputs.items() if isinstance(v, bool | int | float | str)}
        refusal = kernel.supports(device, str(dtype).removeprefix("torch."), **static)
        if refusal is not None:
            results.append(CaseResult(case.name, tolerance, refusal=refusal))
            continue
        differences = compare(op, kernel.call, inputs, case.gradients, seed=seed)
        results.append(CaseResult(case.name, tolerance, tuple(differences)))
    return results


def compare(
    op: Any, call: Callable[..., Any], inputs: dict[str, Any], gradients: tuple[str, ...], *, seed: int = 0
) -> list[Difference]:
    """The error of each output and of the gradient of each input named, under random output gradients."""
    with poisoned_memory():
        leaves, outputs = _run(op, call, {k: _map(v, copied) for k, v in inputs.items()}, gradients)
        true_leaves, true_outputs = _run(op, op.reference, {k: _map(v, _double) for k, v in inputs.items()}, gradients)
        differences = [Difference(name, rms_ratio(outputs.get(name), true)) for name, true in true_outputs.items()]
        if not gradients or any(d.rms_ratio == math.inf for d in differences):
            return differences
        chosen = [outputs[name] for name in true_outputs]
        pulls = _pulls(chosen, seed)
        given = _gradients(chosen, leaves, pulls)
        true = _gradients(list(true_outputs.values()), true_leaves, [pull.double() for pull in pulls])
    for name, mine, right in zip(gradients, given, true, strict=True):
        differences.append(Difference(f"d {name}", rms_ratio(mine, right)))
    return differences


def evaluate(
    op: Any, call: Callable[..., Any], inputs: dict[str, Any], gradients: tuple[str, ...], *, seed: int = 0
) -> dict[str, torch.Tensor | None]:
    """Each output, and as ``d NAME`` the gradient of each input named, under random output gradients."""
    leaves, outputs = _run(op, call, {k: _map(v, copied) for k, v in inputs.items()}, gradients)
    found: dict[str, torch.Tensor | None] = {name: value.detach() for name, value in outputs.items()}
    if gradients:
        chosen = list(outputs.values())
        given = _gradients(chosen, leaves, _pulls(chosen, seed))
        found.update({f"d {name}": gradient for name, gradient in zip(gradients, given, strict=True)})
    return found


def rms_ratio(value: torch.Tensor | None, true: torch.Tensor | None) -> float:
    """RMS of the difference over RMS of the true value; infinite where shapes differ or a value is not finite."""
    if value is None or true is None:
        return 0.0 if value is true else math.inf
    value, true = value.detach(), true.detach()
    if value.shape != true.shape or not value.isfinite().all():
        return math.inf
    error, size = ((x.double().square().mean().sqrt().item()) for x in (value.double() - true, true))
    if error == 0:
        return 0.0
    return error / size if size > 0 else math.inf


@contextmanager
def poisoned_memory() -> Iterator[None]:
    """Inside, memory that torch allocates without a value holds NaN (or the largest integer)."""
    # The debug mode sets what `use_deterministic_algorithms` sets, and does not import the compiler (seconds).
    before = torch.get_deterministic_debug_mode()
    settings: Any = torch.utils.deterministic
    filled = settings.fill_uninitialized_memory
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*deterministic.*")
            torch.set_deterministic_debug_mode("warn")
            settings.fill_uninitialized_memory = True
            yield
    finally:
        torch.set_deterministic_debug_mode(before)
        settings.fill_uninitialized_memory = filled


def _run(
    op: Any, call: Callable[..., Any], inputs: dict[str, Any], gradients: tuple[str, ...]
) -> tuple[list[torch.Tensor], dict[str, torch.Tensor]]:
    """The inputs to differentiate by, and the outputs by name (``op.comparable`` names them, else their order)."""
    leaves = [inputs[name].requires_grad_() for name in gradients]
    result = call(**inputs)
    comparable = getattr(op, "comparable", None)
    named = comparable(result) if comparable else dict(enumerate(result if isinstance(result, tuple) else (result,)))
    return leaves, {str(name): value for name, value in named.items()}


def _pulls(outputs: list[torch.Tensor], seed: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed + 1)
    return [torch.randn(y.shape, generator=generator).to(y.device, y.dtype) for y in outputs]


def _gradients(
    outputs: list[torch.Tensor], leaves: list[torch.Tensor], pulls: list[torch.Tensor]
) -> tuple[torch.Tensor | None, ...]:
    return torch.autograd.grad(outputs, leaves, pulls, allow_unused=True)


def copied(x: torch.Tensor) -> torch.Tensor:
    """A copy with the same strides, so that a kernel meets the layout that the case made."""
    if 0 in x.stride():
        return x.detach().clone()
    copy = torch.empty_strided(x.shape, x.stride(), dtype=x.dtype, device=x.device)
    return copy.copy_(x.detach())


def _double(x: torch.Tensor) -> torch.Tensor:
    return x.double() if x.is_floating_point() else x.clone()


def _map(value: Any, change: Callable[[torch.Tensor], torch.Tensor]) -> Any:
    if isinstance(value, torch.Tensor):
        return change(value)
    return tuple(_map(v, change) for v in value) if isinstance(value, tuple) else value
