"""Checks of a kernel: every case of its op, outputs and gradients, in memory that it does not own the shape of.

``golfreg.testing.kernel_graphs`` has those that ask what ``torch.compile`` and ``opcheck`` say.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch

from golfreg.api import Case
from golfreg.kernels.verify import compare, evaluate, poisoned_memory, verify_kernel
from golfreg.testing.kit import Subject, Unchecked, check, check_all, expect

DTYPES = (torch.float32, torch.bfloat16)


class Runnable(NamedTuple):
    """A case that the kernel runs on this machine, with its inputs."""

    device: str
    dtype: torch.dtype
    case: Case
    inputs: dict[str, Any]

    @property
    def label(self) -> str:
        return f"case `{self.case.name}` on {self.device} in {str(self.dtype).removeprefix('torch.')}"


def check_kernel(target: Any, op: Any) -> None:
    """Run every check over a kernel that need not be installed; ``op``: the target of its op."""
    check_all("kernel", Subject(target, op=op))


def devices() -> tuple[str, ...]:
    return ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)


def static_arguments(inputs: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in inputs.items() if isinstance(value, bool | int | float | str)}


def runnable(subject: Subject) -> list[Runnable]:
    """On each device, the cases in the first dtype of which the kernel runs any; ``Unchecked`` if it runs none."""
    found: list[Runnable] = []
    refusals: dict[str, None] = {}
    for device in devices():
        for dtype in DTYPES:
            before = len(found)
            for case in subject.op.cases():
                inputs = case.inputs(device, dtype, 0)
                name = str(dtype).removeprefix("torch.")
                refusal = subject.target.supports(device, name, **static_arguments(inputs))
                if refusal is None:
                    found.append(Runnable(device, dtype, case, inputs))
                else:
                    refusals[str(refusal)] = None
            if len(found) > before:
                break
    if not found:
        raise Unchecked(f"the kernel runs no case on this machine: {'; '.join(refusals)}")
    return found


@check("kernel", "`supports` returns None, or a sentence that says why not, for any device, dtype and static arguments")
def supports_gives_none_or_a_reason(subject: Subject) -> None:
    for device in ("cpu", "cuda", "a device that does not exist"):
        for dtype in ("float32", "bfloat16", "float64", "a dtype that does not exist"):
            for case in subject.op.cases():
                static = static_arguments(case.inputs("cpu", torch.float32, 0))
                answers = subject.target.supports(device, dtype), subject.target.supports(device, dtype, **static)
                for answer in answers:
                    good = answer is None or (isinstance(answer, str) and answer.strip())
                    expect(good, f"supports({device!r}, {dtype!r}) gives {answer!r}")


@check("kernel", "write every element of what `torch.empty` gave, past the last whole block too, or allocate zeros")
def every_element_that_is_returned_was_written(subject: Subject) -> None:
    """Memory that torch allocates holds NaN until it is written; outputs and gradients are looked at."""
    for each in runnable(subject):
        plain = evaluate(subject.op, subject.target.call, each.inputs, each.case.gradients)
        with poisoned_memory():
            poisoned = evaluate(subject.op, subject.target.call, each.inputs, each.case.gradients)
        for name, value in poisoned.items():
            before = plain.get(name)
            if value is None or before is None or not before.isfinite().all():
                continue
            unwritten = int((~value.isfinite()).sum())
            told = f"{unwritten:,} of {value.numel():,} elements of {name} were never written"
            expect(not unwritten, f"{each.label}: {told}")


@check(
    "kernel",
    "compare with `op.reference` on that case; accumulate in float32, and give each input that the case names its "
    "gradient",
)
def outputs_and_gradients_match_the_reference(subject: Subject) -> None:
    """On every device of this machine; a case that the kernel refuses is not checked."""
    runnable(subject)
    for device in devices():
        for dtype in DTYPES:
            for result in verify_kernel(subject.op, subject.target, device=device, dtype=dtype):
                worst = result.worst
                told = (
                    f"{worst.name} is off by {worst.rms_ratio:.3g}, allowed is {result.tolerance:.3g}" if worst else ""
                )
                expect(result.right, f"case `{result.case}` on {device} in {dtype}: {told}")


@check("kernel", "read through the strides that the tensor has, or call `.contiguous()` first")
def strides_do_not_matter(subject: Subject) -> None:
    """Inputs are views into wider tensors that hold NaN elsewhere, and transposed ones."""
    for each in runnable(subject):
        tolerance = subject.op.tolerance(each.dtype)
        for layout in (_inside_nan, _transposed):
            moved = {
                name: layout(value) if isinstance(value, torch.Tensor) and value.is_floating_point() else value
                for name, value in each.inputs.items()
            }
            for difference in compare(subject.op, subject.target.call, moved, each.case.gradients):
                told = f"{each.label}, {layout.__name__.strip('_')}: {difference.name} is off by"
                expect(difference.rms_ratio <= tolerance, f"{told} {difference.rms_ratio:.3g}")


@check("kernel", "write into memory of your own: no in-place operation on an input")
def inputs_are_left_as_they_were(subject: Subject) -> None:
    for each in runnable(subject):
        given = {name: value for name, value in each.inputs.items() if isinstance(value, torch.Tensor)}
        before = {name: value.clone() for name, value in given.items()}
        with torch.no_grad():
            subject.target.call(**each.inputs)
        changed = [name for name, value in given.items() if not torch.equal(value, before[name])]
        expect(not changed, f"{each.label}: the kernel changed {changed}")


@check("kernel", "sum in a fixed order (no atomics on outputs), and draw no random numbers")
def calling_twice_gives_the_same_outputs(subject: Subject) -> None:
    """On a CPU the gradients too; on a GPU they may be summed in any order."""
    for each in runnable(subject):
        gradients = each.case.gradients if each.device == "cpu" else ()
        first, second = (evaluate(subject.op, subject.target.call, each.inputs, gradients) for _ in range(2))
        for name, value in first.items():
            other = second[name]
            same = value is other or (value is not None and other is not None and _identical(value, other))
            expect(same, f"{each.label}: two calls give different {name}")


def _identical(a: torch.Tensor, b: torch.Tensor) -> bool:
    return a.shape == b.shape and bool(((a == b) | (a.isnan() & b.isnan())).all())


def _inside_nan(x: torch.Tensor) -> torch.Tensor:
    if x.ndim == 0:
        return x
    wide = torch.full((*x.shape[:-1], x.shape[-1] + 3), float("nan"), dtype=x.dtype, device=x.device)
    view = wide[..., : x.shape[-1]]
    view.copy_(x)
    return view


def _transposed(x: torch.Tensor) -> torch.Tensor:
    return x if x.ndim < 2 else x.transpose(-1, -2).contiguous().transpose(-1, -2)
