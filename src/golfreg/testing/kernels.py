"""Checks of a kernel: every case of its op, outputs and gradients, in memory that it does not own the shape of."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from golfreg.kernels.verify import compare, verify_kernel
from golfreg.testing.kit import Subject, check, check_all, expect

DTYPES = (torch.float32, torch.bfloat16)


def check_kernel(target: Any, op: Any) -> None:
    """Run every check over a kernel that need not be installed; ``op``: the target of its op."""
    check_all("kernel", Subject(target, op=op))


def devices() -> tuple[str, ...]:
    return ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)


def static_arguments(inputs: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in inputs.items() if isinstance(value, bool | int | float | str)}


def supported_cases(subject: Subject, device: str, dtype: torch.dtype) -> Iterator[tuple[Any, dict[str, Any]]]:
    for case in subject.op.cases():
        inputs = case.inputs(device, dtype, 0)
        if subject.target.supports(device, str(dtype).removeprefix("torch."), **static_arguments(inputs)) is None:
            yield case, inputs


@check("kernel")
def supports_gives_none_or_a_reason(subject: Subject) -> None:
    for device in ("cpu", "cuda", "a device that does not exist"):
        for dtype in ("float32", "bfloat16", "float64", "a dtype that does not exist"):
            for case in subject.op.cases():
                static = static_arguments(case.inputs("cpu", torch.float32, 0))
                answers = subject.target.supports(device, dtype), subject.target.supports(device, dtype, **static)
                for answer in answers:
                    good = answer is None or (isinstance(answer, str) and answer.strip())
                    expect(good, f"supports({device!r}, {dtype!r}) gives {answer!r}")


@check("kernel")
def outputs_and_gradients_match_the_reference(subject: Subject) -> None:
    """On every device of this machine; a case that the kernel refuses is not checked."""
    for device in devices():
        for dtype in DTYPES:
            for result in verify_kernel(subject.op, subject.target, device=device, dtype=dtype):
                worst = result.worst
                told = (
                    f"{worst.name} is off by {worst.rms_ratio:.3g}, allowed is {result.tolerance:.3g}" if worst else ""
                )
                expect(result.right, f"case `{result.case}` on {device} in {dtype}: {told}")


@check("kernel")
def strides_do_not_matter(subject: Subject) -> None:
    """Inputs are views into wider tensors that hold NaN elsewhere, and transposed ones."""
    tolerance = subject.op.tolerance(torch.float32)
    for device in devices():
        for case, inputs in supported_cases(subject, device, torch.float32):
            for layout in (_inside_nan, _transposed):
                moved = {
                    name: layout(value) if isinstance(value, torch.Tensor) and value.is_floating_point() else value
                    for name, value in inputs.items()
                }
                for difference in compare(subject.op, subject.target.call, moved, case.gradients):
                    told = f"case `{case.name}` on {device}, {layout.__name__.strip('_')}: {difference.name} is off by"
                    expect(difference.rms_ratio <= tolerance, f"{told} {difference.rms_ratio:.3g}")


@check("kernel")
def inputs_are_left_as_they_were(subject: Subject) -> None:
    for device in devices():
        for case, inputs in supported_cases(subject, device, torch.float32):
            given = {name: value for name, value in inputs.items() if isinstance(value, torch.Tensor)}
            before = {name: value.clone() for name, value in given.items()}
            with torch.no_grad():
                subject.target.call(**inputs)
            changed = [name for name, value in given.items() if not torch.equal(value, before[name])]
            expect(not changed, f"case `{case.name}` on {device}: the kernel changed {changed}")


@check("kernel")
def calling_twice_gives_the_same_outputs(subject: Subject) -> None:
    """On a CPU the gradients too; on a GPU they may be summed in any order."""
    for device in devices():
        for case, inputs in supported_cases(subject, device, torch.float32):
            gradients = case.gradients if device == "cpu" else ()
            first, second = (compare(subject.op, subject.target.call, inputs, gradients) for _ in range(2))
            expect(first == second, f"case `{case.name}` on {device}: two calls differ")


def _inside_nan(x: torch.Tensor) -> torch.Tensor:
    if x.ndim == 0:
        return x
    wide = torch.full((*x.shape[:-1], x.shape[-1] + 3), float("nan"), dtype=x.dtype, device=x.device)
    view = wide[..., : x.shape[-1]]
    view.copy_(x)
    return view


def _transposed(x: torch.Tensor) -> torch.Tensor:
    return x if x.ndim < 2 else x.transpose(-1, -2).contiguous().transpose(-1, -2)
