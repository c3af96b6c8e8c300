"""The kit passes a right op and kernel and names the check that a wrong one breaks."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from golfreg.api import Case
from golfreg.testing import Subject, checks
from golfreg.testing.kernels import check_kernel
from golfreg.testing.ops import check_op


def _inputs(device: str, dtype: torch.dtype, seed: int) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seed)
    made = {name: torch.randn(4, 6, generator=generator).to(device, dtype) for name in ("a", "b")}
    return {**made, "power": 2}


def _reference(a: torch.Tensor, b: torch.Tensor, *, power: int) -> torch.Tensor:
    return torch.tanh(a) * b**power


class _WrongGradient(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, x: torch.Tensor) -> torch.Tensor:
        return x.clone()

    @staticmethod
    def backward(context: Any, *gradients: torch.Tensor) -> torch.Tensor:
        return gradients[0] * 1.01


class Op:
    def __init__(self, fault: str = "") -> None:
        self.fault = fault

    def reference(self, a: torch.Tensor, b: torch.Tensor, *, power: int) -> torch.Tensor:
        if self.fault == "changes an input":
            a.add_(1)
        if self.fault == "is not finite":
            return _reference(a, b, power=power) / 0
        if self.fault == "computes in bfloat16":
            return (
                _reference(a.bfloat16(), b.bfloat16(), power=power).to(a.dtype)
                if a.dtype == torch.float32
                else (_reference(a, b, power=power))
            )
        if self.fault == "has a wrong gradient":
            a = _WrongGradient.apply(a)
        return _reference(a, b, power=power)

    def cases(self) -> list[Case]:
        gradients = ("a", "c") if self.fault == "names a gradient of nothing" else ("a", "b")
        inputs = _inputs
        if self.fault == "ignores the seed":

            def inputs(device: str, dtype: torch.dtype, seed: int) -> dict[str, Any]:
                return _inputs(device, dtype, int(torch.randint(2**31, ())))

        return [Case("one", inputs, gradients)]

    def tolerance(self, dtype: torch.dtype) -> float:
        if self.fault == "tolerates everything":
            return 2.0
        return {torch.float64: 1e-12, torch.float32: 1e-5}.get(dtype, 3e-2)


class Kernel:
    def __init__(self, fault: str = "") -> None:
        self.fault = fault

    def call(self, a: torch.Tensor, b: torch.Tensor, *, power: int) -> torch.Tensor:
        if self.fault == "is off by a thousandth":
            return _reference(a, b, power=power) * 1.001
        if self.fault == "has a wrong gradient":
            return _reference(_WrongGradient.apply(a), b, power=power)
        if self.fault == "reads past strides":
            a = torch.as_strided(a, a.shape, (a.shape[1], 1))
        if self.fault == "leaves memory unwritten":
            y = torch.empty_like(a)
            return torch.cat([_reference(a, b, power=power)[:3], y[3:]])
        if self.fault == "changes an input":
            with torch.no_grad():
                a.mul_(1.0 + 1e-7).add_(1e-3)
        return _reference(a, b, power=power)

    def supports(self, device: str, dtype: str, **static: Any) -> Any:
        if self.fault == "answers with a bool":
            return False
        known = device == "cpu" and dtype in ("float32", "bfloat16", "float64")
        return None if known else f"it does not run in {dtype} on {device}"


def _one(kind: str, claim: str) -> Any:
    (each,) = (c for c in checks(kind) if c.name == claim)
    return each


def test_a_right_op_and_a_right_kernel_pass_every_check() -> None:
    check_op(Op())
    check_kernel(Kernel(), Op())


@pytest.mark.parametrize(
    ("fault", "claim"),
    [
        ("changes an input", "the_reference_runs_every_case_and_changes_no_input"),
        ("is not finite", "the_reference_runs_every_case_and_changes_no_input"),
        ("computes in bfloat16", "the_reference_in_float32_is_within_its_tolerance"),
        ("has a wrong gradient", "gradients_agree_with_finite_differences"),
        ("names a gradient of nothing", "cases_have_names_and_name_their_gradients"),
        ("ignores the seed", "inputs_depend_on_the_seed_alone"),
        ("tolerates everything", "tolerances_are_positive"),
    ],
)
def test_a_wrong_op_breaks_the_check_of_its_fault(fault: str, claim: str) -> None:
    with pytest.raises(AssertionError):
        _one("op", claim).run(Subject(Op(fault)))


@pytest.mark.parametrize(
    ("fault", "claim"),
    [
        ("is off by a thousandth", "outputs_and_gradients_match_the_reference"),
        ("has a wrong gradient", "outputs_and_gradients_match_the_reference"),
        ("leaves memory unwritten", "outputs_and_gradients_match_the_reference"),
        ("reads past strides", "strides_do_not_matter"),
        ("changes an input", "inputs_are_left_as_they_were"),
        ("answers with a bool", "supports_gives_none_or_a_reason"),
    ],
)
def test_a_wrong_kernel_breaks_the_check_of_its_fault(fault: str, claim: str) -> None:
    with pytest.raises(AssertionError):
        _one("kernel", claim).run(Subject(Kernel(fault), op=Op()))
