"""The op ``mamba3_siso``: its chunked reference against the recurrence that defines it."""

import importlib.util
import json
import math
from pathlib import Path

import pytest
import torch

from golfreg.api.errors import ConfigError
from golfreg.builtin.kernels.mamba3_siso import op, reference, reference_kernel
from golfreg.builtin.kernels.mamba3_siso_cases import CASES, PARAMETERS, make_inputs
from golfreg.builtin.kernels.mamba3_siso_recurrence import recurrence
from golfreg.kernels.verify import compare

GOLDEN = Path(__file__).parents[3] / "golden"
SMALL = {"n_heads": 2, "headdim": 4, "d_state": 8, "chunk_size": 8, "batch": 2}


class Against:
    """The op with the recurrence as the truth."""

    reference = staticmethod(recurrence)
    comparable = staticmethod(op.comparable)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_chunked_form_equals_the_recurrence_with_gradients(case):
    differences = compare(Against, reference, case.inputs("cpu", torch.float64, 3), case.gradients)
    assert {d.name for d in differences} >= {"y", *(f"d {name}" for name in PARAMETERS)}
    assert max(d.rms_ratio for d in differences) < 1e-9


@pytest.mark.parametrize("length", [1, 7, 64, 65, 130])
def test_any_length_works_with_starts_and_a_state_that_comes_in(length):
    starts = tuple((1, t) for t in range(0, length, 11))
    inputs = make_inputs(
        "cpu", torch.float64, 5, length=length, n_heads=2, starts=starts, initial_state=True, return_state=True
    )
    differences = compare(Against, reference, inputs, PARAMETERS)
    assert max(d.rms_ratio for d in differences) < 1e-9


def test_gradients_reach_the_state_that_comes_in():
    grads = []
    for call in (recurrence, reference):
        inputs = make_inputs("cpu", torch.float64, 1, length=19, starts=((0, 4),), initial_state=True, **SMALL)
        state = [x.requires_grad_() for x in inputs["initial_state"]]
        y = call(**inputs)
        grads.append(torch.autograd.grad((y * torch.arange(y.numel()).view_as(y).cos()).sum(), state))
    for mine, true in zip(grads[1], grads[0], strict=True):
        assert true.abs().max() > 0
        torch.testing.assert_close(mine, true, rtol=1e-9, atol=1e-12)


def test_two_halves_joined_by_the_state_equal_the_whole():
    inputs = make_inputs("cpu", torch.float64, 2, length=50, starts=((0, 13), (1, 25)), return_state=True, **SMALL)
    whole, end = reference(**inputs)
    first = {**inputs, "projected_BTP": inputs["projected_BTP"][:, :21], "starts_BT": inputs["starts_BT"][:, :21]}
    y1, middle = reference(**first)
    second = {**inputs, "projected_BTP": inputs["projected_BTP"][:, 21:], "starts_BT": inputs["starts_BT"][:, 21:]}
    y2, end2 = reference(**{**second, "initial_state": middle})
    torch.testing.assert_close(torch.cat((y1, y2), 1), whole, rtol=1e-9, atol=1e-11)
    phi, phi2 = end[0], end2[0]
    torch.testing.assert_close(phi.cos() + 2 * phi.sin(), phi2.cos() + 2 * phi2.sin(), rtol=1e-9, atol=1e-11)
    for mine, true in zip(end2[1:], end[1:], strict=True):
        torch.testing.assert_close(mine, true, rtol=1e-9, atol=1e-11)


def test_a_document_is_the_same_alone_and_after_another():
    inputs = make_inputs("cpu", torch.float64, 4, length=40, starts=((0, 17), (1, 17)), **SMALL)
    together = reference(**inputs)
    alone = reference(**{**inputs, "projected_BTP": inputs["projected_BTP"][:, 17:], "starts_BT": None})
    torch.testing.assert_close(together[:, 17:], alone, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("scale", [1.0, 60.0])
def test_gradients_are_finite_at_document_starts(scale):
    inputs = make_inputs("cpu", torch.float32, 6, length=70, starts=tuple((0, t) for t in range(0, 70, 3)), scale=scale)
    leaves = [inputs[name].requires_grad_() for name in PARAMETERS]
    y = reference(**inputs)
    assert y.isfinite().all()
    assert all(g.isfinite().all() for g in torch.autograd.grad(y.sum(), leaves))


def test_the_phase_of_a_long_sequence_keeps_its_precision():
    inputs = make_inputs("cpu", torch.float32, 7, length=4096, return_state=True, **{**SMALL, "batch": 1})
    inputs["dt_bias_H"] = torch.full_like(inputs["dt_bias_H"], 2.0)
    _, state = reference(**inputs)
    exact = {k: v.double() if isinstance(v, torch.Tensor) else v for k, v in inputs.items()}
    _, true = reference(**exact)
    assert state[0].min() >= 0
    assert state[0].max() <= 2 * math.pi + 1e-6
    error = (state[0].cos() - true[0].cos()).abs().max() + (state[0].sin() - true[0].sin()).abs().max()
    assert error < 2e-3


def test_the_op_agrees_with_the_published_reference():
    spec = importlib.util.spec_from_file_location("golden_mamba3", GOLDEN / "make_mamba3_reference.py")
    maker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(maker)
    golden = json.loads((GOLDEN / "mamba3_reference.json").read_text())
    assert len(golden["cases"]) == 3
    for case in golden["cases"]:
        inputs = maker.inputs(case["a_form"], case["continued"])
        for call in (reference, recurrence):
            y, state = call(**inputs)
            torch.testing.assert_close(
                y[:, ::7].flatten(), torch.tensor(case["y"]), rtol=1e-5, atol=1e-5, msg=f"{case['a_form']} y"
            )
            for mine, true in zip(state, case["state"], strict=True):
                torch.testing.assert_close(mine.flatten(), torch.tensor(true), rtol=1e-5, atol=1e-5)


def test_an_unknown_form_of_a_is_refused():
    with pytest.raises(ConfigError, match="a_form"):
        reference(**{**make_inputs("cpu", torch.float32, 0, length=3, **SMALL), "a_form": "relu"})


def test_the_reference_kernel_runs_anywhere():
    assert reference_kernel.supports("cpu", "float32") is None
    assert reference_kernel.supports("cuda", "bfloat16", d_state=48) is None
    assert reference_kernel.call is reference


def test_tolerances_grow_as_precision_falls():
    order = [op.tolerance(d) for d in (torch.float64, torch.float32, torch.float16, torch.bfloat16)]
    assert order == sorted(order)
    assert order[0] == 1e-9
