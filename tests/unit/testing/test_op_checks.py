"""The kit passes a right op and kernel and names the check that a wrong one breaks."""

from __future__ import annotations

import functools
from typing import Any

import pytest
import torch

from golfreg.api import Case
from golfreg.testing import Subject, Unchecked, checks
from golfreg.testing.kernels import check_kernel
from golfreg.testing.ops import check_op


def _inputs(device: str, dtype: torch.dtype, seed: int, length: int = 4) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(seed)
    made = {name: torch.randn(length, 6, generator=generator).to(device, dtype) for name in ("a", "b")}
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


def _custom_op(fault: str) -> Any:
    """tanh as a torch custom op."""

    @torch.library.custom_op(f"golfreg_test::{fault.replace(' ', '_')}", mutates_args=())
    def tanh(x: torch.Tensor) -> torch.Tensor:
        return x if fault == "op returns its input" else torch.tanh(x)

    @tanh.register_fake
    def _(x: torch.Tensor) -> torch.Tensor:
        return x.new_empty((7, 7)) if fault == "op fakes another shape" else torch.empty_like(x)

    def setup(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(*inputs)

    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        return gradient * (1 - torch.tanh(ctx.saved_tensors[0]) ** 2)

    if fault != "op has no gradient":
        tanh.register_autograd(backward, setup_context=setup)
    return tanh


CUSTOM_OPS = {
    fault: _custom_op(fault)
    for fault in ("op is right", "op returns its input", "op fakes another shape", "op has no gradient")
}


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
        if self.fault == "branches on a value" and a.sum() > 1e9:
            return a
        return _reference(a, b, power=power)

    def cases(self) -> list[Case]:
        gradients = ("a", "c") if self.fault == "names a gradient of nothing" else ("a", "b")
        inputs = _inputs
        if self.fault == "ignores the seed":

            def inputs(device: str, dtype: torch.dtype, seed: int, length: int = 4) -> dict[str, Any]:
                return _inputs(device, dtype, int(torch.randint(2**31, ())), length)

        odd = 8 if self.fault == "has even lengths only" else 7
        return [Case("four", inputs, gradients), Case("odd", functools.partial(inputs, length=odd), gradients)]

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
        if self.fault == "draws random numbers":
            a = a + torch.rand_like(a) * 1e-7
        if self.fault == "works in blocks of four":
            whole = len(a) // 4 * 4
            return torch.cat([_reference(a[:whole], b[:whole], power=power), torch.zeros_like(a[whole:])])
        if self.fault == "branches on a value" and a.sum() > 1e9:
            return a
        if self.fault.startswith("op "):
            return CUSTOM_OPS[self.fault](a) * b**power
        if self.fault == "changes an input":
            with torch.no_grad():
                a.mul_(1.0 + 1e-7).add_(1e-3)
        return _reference(a, b, power=power)

    def supports(self, device: str, dtype: str, **static: Any) -> Any:
        if self.fault == "runs nowhere":
            return "it needs a quantum computer"
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
    check_kernel(Kernel("op is right"), Op())


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
        ("has even lengths only", "cases_have_odd_lengths_too"),
        ("branches on a value", "the_reference_compiles_as_one_graph"),
    ],
)
def test_a_wrong_op_breaks_the_check_of_its_fault(fault: str, claim: str) -> None:
    with pytest.raises(AssertionError):
        _one("op", claim).run(Subject(Op(fault)))


@pytest.mark.parametrize(
    ("fault", "claim", "told", "advised"),
    [
        ("is off by a thousandth", "outputs_and_gradients_match_the_reference", "is off by 0.001", "op.reference"),
        ("has a wrong gradient", "outputs_and_gradients_match_the_reference", "d a is off by", "its gradient"),
        ("works in blocks of four", "outputs_and_gradients_match_the_reference", "case `odd`", "op.reference"),
        ("leaves memory unwritten", "every_element_that_is_returned_was_written", "were never written", "torch.empty"),
        ("leaves memory unwritten", "outputs_and_gradients_match_the_reference", "is off by inf", "op.reference"),
        ("reads past strides", "strides_do_not_matter", "inside_nan", ".contiguous()"),
        ("changes an input", "inputs_are_left_as_they_were", "changed ['a']", "in-place"),
        ("answers with a bool", "supports_gives_none_or_a_reason", "gives False", "returns None"),
        ("draws random numbers", "calling_twice_gives_the_same_outputs", "two calls give different 0", "random"),
        ("branches on a value", "it_compiles_as_one_graph", "fullgraph=True", "torch.library.custom_op"),
        ("op returns its input", "its_custom_ops_pass_opcheck", "may not alias", "no views"),
        ("op fakes another shape", "its_custom_ops_pass_opcheck", "fails opcheck", "register_fake"),
        ("op has no gradient", "its_custom_ops_pass_opcheck", "autograd", "register_autograd"),
    ],
)
def test_a_wrong_kernel_breaks_the_check_of_its_fault_and_is_told_what_to_do(
    fault: str, claim: str, told: str, advised: str
) -> None:
    each = _one("kernel", claim)
    with pytest.raises(AssertionError) as failure:
        each.run(Subject(Kernel(fault), op=Op()))
    assert told in str(failure.value)
    assert advised in each.advice


def test_a_kernel_that_runs_nowhere_is_not_said_to_be_right() -> None:
    for each in checks("kernel"):
        if each.name != "supports_gives_none_or_a_reason":
            with pytest.raises(Unchecked, match="it needs a quantum computer"):
                each.run(Subject(Kernel("runs nowhere"), op=Op()))
