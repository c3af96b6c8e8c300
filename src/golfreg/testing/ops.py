"""Checks of an op: its cases run, agree across dtypes, and have the gradients of what they compute."""

from __future__ import annotations

from typing import Any

import torch

from golfreg.api import Case
from golfreg.kernels.verify import verify_kernel
from golfreg.testing.kit import Subject, check, check_all, expect
from golfreg.testing.models import seeded

SMALLEST_CASES = 4
"""Gradients are checked by finite differences on this many."""
_STEP = 1e-6
_GRADIENT_TOLERANCE = 1e-5


class _Reference:
    """An op's reference as a kernel."""

    def __init__(self, op: Any) -> None:
        self.call = op.reference

    def supports(self, device: str, dtype: str, **static: Any) -> str | None:
        return None


def check_op(target: Any) -> None:
    """Run every check over an op that need not be installed."""
    check_all("op", Subject(target))


def tensors_of(value: Any) -> list[torch.Tensor]:
    """The tensors in an output or an input."""
    if isinstance(value, torch.Tensor):
        return [value]
    if isinstance(value, tuple | list):
        return [tensor for item in value for tensor in tensors_of(item)]
    return []


def elements(inputs: dict[str, Any]) -> int:
    return sum(tensor.numel() for value in inputs.values() for tensor in tensors_of(value))


@check("op", "give each `Case` a name of its own, and in `gradients` names of floating-point tensors of its inputs")
def cases_have_names_and_name_their_gradients(subject: Subject) -> None:
    cases = subject.target.cases()
    expect(cases and all(isinstance(case, Case) for case in cases), "an op has at least one Case")
    names = [case.name for case in cases]
    expect(len(set(names)) == len(names), f"two cases have one name: {sorted(names)}")
    for case in cases:
        inputs = case.inputs("cpu", torch.float32, 0)
        absent = [n for n in case.gradients if not isinstance(inputs.get(n), torch.Tensor)]
        expect(not absent, f"case `{case.name}` names gradients of {absent}, which are no tensors of its inputs")


@check("op", "make inputs with `torch.Generator().manual_seed(seed)` on the CPU, then move them to the device")
def inputs_depend_on_the_seed_alone(subject: Subject) -> None:
    for case in subject.target.cases():
        first, second = (case.inputs("cpu", torch.float32, 7) for _ in range(2))
        pairs = zip(tensors_of(list(first.values())), tensors_of(list(second.values())), strict=True)
        expect(all(torch.equal(a, b) for a, b in pairs), f"case `{case.name}` has other inputs the second time")


@check("op", "add a case with 7 or 65 positions: kernels that work in blocks go wrong at the ragged end")
def cases_have_odd_lengths_too(subject: Subject) -> None:
    """In some case a tensor has a second or only dimension that is odd, above one, and not the same in every case."""
    lengths: dict[str, set[int]] = {}
    for case in subject.target.cases():
        for name, value in case.inputs("cpu", torch.float32, 0).items():
            if isinstance(value, torch.Tensor) and value.ndim:
                lengths.setdefault(name, set()).update(value.shape[:2])
    odd = {name for name, seen in lengths.items() if len(seen) > 1 and any(n > 1 and n % 2 for n in seen)}
    expect(
        odd, f"no case has an odd length; the first two dimensions are { ({n: sorted(s) for n, s in lengths.items()}) }"
    )


@check("op", "return a relative error between 0 and 1 for every dtype, such as 1e-5 for float32 and 3e-2 for bfloat16")
def tolerances_are_positive(subject: Subject) -> None:
    for dtype in (torch.float64, torch.float32, torch.bfloat16):
        tolerance = subject.target.tolerance(dtype)
        expect(0 < tolerance < 1, f"the tolerance for {dtype} is {tolerance}")


@check("op", "write the reference without in-place operations on inputs, finite for every case")
def the_reference_runs_every_case_and_changes_no_input(subject: Subject) -> None:
    for case in subject.target.cases():
        inputs = case.inputs("cpu", torch.float32, 0)
        before = [tensor.clone() for tensor in tensors_of(list(inputs.values()))]
        with torch.no_grad():
            outputs = tensors_of(subject.target.reference(**inputs))
        expect(outputs, f"case `{case.name}` gives no tensor")
        expect(all(bool(y.isfinite().all()) for y in outputs), f"case `{case.name}` gives values that are not finite")
        after = tensors_of(list(inputs.values()))
        same = all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
        expect(same, f"case `{case.name}`: the reference changed an input")


@check(
    "op",
    "compute inside in the dtype of the input, or wider: no cast to bfloat16 on the way; or raise the tolerance",
)
def the_reference_in_float32_is_within_its_tolerance(subject: Subject) -> None:
    for result in verify_kernel(subject.target, _Reference(subject.target), dtype=torch.float32):
        worst = result.worst
        told = f"{worst.name} is off by {worst.rms_ratio:.3g}, allowed is {result.tolerance:.3g}" if worst else ""
        expect(result.right, f"case `{result.case}`: {told}")


@check("op", "write the reference in plain PyTorch: no numpy, no branch on the values of a tensor")
def the_reference_compiles_as_one_graph(subject: Subject) -> None:
    """A run on a GPU compiles its model, and falls back on the reference where no kernel can run."""
    from golfreg.testing.kernel_graphs import expect_one_graph

    made = [(case, case.inputs("cpu", torch.float32, 0)) for case in subject.target.cases()]
    case, inputs = sorted(made, key=lambda pair: elements(pair[1]))[:2][-1]
    expect_one_graph(
        subject.target, subject.target.reference, case, inputs, torch.float32, f"the reference on case `{case.name}`"
    )


@check("op", "let autograd differentiate the reference; a `torch.autograd.Function` in it has a wrong backward")
def gradients_agree_with_finite_differences(subject: Subject) -> None:
    """In float64, along one random direction for each input, on the smallest cases."""
    made = [(case, case.inputs("cpu", torch.float64, 0)) for case in subject.target.cases() if case.gradients]
    for case, inputs in sorted(made, key=lambda pair: elements(pair[1]))[:SMALLEST_CASES]:
        leaves = {name: inputs[name].detach().clone().requires_grad_() for name in case.gradients}
        pulls: list[torch.Tensor] = []

        def total(changed: dict[str, torch.Tensor], inputs: Any = inputs, pulls: Any = pulls) -> torch.Tensor:
            outputs = tensors_of(subject.target.reference(**{**inputs, **changed}))
            if not pulls:
                pulls += [torch.randn(y.shape, generator=seeded(1), dtype=torch.float64) for y in outputs]
            return torch.stack([(y * pull).sum() for y, pull in zip(outputs, pulls, strict=True)]).sum()

        total(leaves).backward()
        for name, leaf in leaves.items():
            direction = torch.randn(leaf.shape, generator=seeded(2), dtype=torch.float64)
            with torch.no_grad():
                up, down = (float(total({name: leaf.detach() + s * _STEP * direction})) for s in (1, -1))
            numeric = (up - down) / (2 * _STEP)
            expect(leaf.grad is not None, f"case `{case.name}`: no gradient reaches `{name}`")
            given = float((leaf.grad * direction).sum()) if leaf.grad is not None else 0.0
            scale = max(abs(numeric), float(leaf.grad.norm()) if leaf.grad is not None else 0.0, 1e-3)
            told = f"case `{case.name}`: the derivative along `{name}` is {given:.9g}, by differences {numeric:.9g}"
            expect(abs(given - numeric) <= _GRADIENT_TOLERANCE * scale, told)
