"""golfreg's Triton kernel of ``mamba3_siso`` in Triton's interpreter, against the recurrence in float64.

The interpreter has to be chosen before triton is imported, so one test runs this file again in a process of its own.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
import torch

from tests.conftest import in_the_interpreter

pytest.importorskip("triton")

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
inside = pytest.mark.skipif(not INTERPRETED, reason="runs in the process that test_in_the_interpreter starts")
outside = pytest.mark.skipif(INTERPRETED, reason="already in the interpreter")

TINY: dict[str, Any] = {"batch": 1, "length": 20, "n_heads": 2, "headdim": 16, "d_state": 32, "chunk_size": 16}
MARKS = ((0, 1), (0, 15), (0, 16), (0, 17), (1, 5), (1, 32))
CASES: dict[str, dict[str, Any]] = {
    "ragged": {"batch": 2, "length": 40},
    "starts": {"batch": 2, "length": 40, "starts": ((0, 0), (0, 31), *MARKS)},
    "continued": {"initial_state": True, "return_state": True},
    "continued with starts": {
        "batch": 2, "length": 35, "starts": MARKS, "initial_state": True, "return_state": True,
    },
    "heavy tail, two groups": {"a_form": "heavy_tail", "n_heads": 4, "ngroups": 2},
    "three heads, half rotated, wide state": {"n_heads": 3, "d_state": 64, "length": 18},
    "one head, all rotated, wide state": {"n_heads": 1, "d_state": 64, "rope_fraction": 1.0},
    "one position": {"length": 1},
    "four groups": {"n_heads": 4, "ngroups": 4, "length": 18},
    "many chunks": {"n_heads": 1, "length": 290, "starts": ((0, 100), (0, 280))},
}  # fmt: skip
KEPT = ("starts", "continued with starts", "three heads, half rotated, wide state")


@outside
def test_in_the_interpreter() -> None:
    """Outputs, gradients, documents, states, compilation: the tests below."""
    shown = in_the_interpreter(__file__)
    assert f"{len(CASES) + len(KEPT) + 9} passed" in shown, shown[-500:]


@pytest.fixture(autouse=True)
def poisoned(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory that a kernel allocates holds NaN, or large integers, until it is written."""
    empty = torch.empty

    def filled(*shape: Any, **options: Any) -> torch.Tensor:
        x = empty(*shape, **options)
        return x.fill_(torch.nan if x.is_floating_point() else 30_000)

    if INTERPRETED:
        monkeypatch.setattr(torch, "empty", filled)


def make(dtype: torch.dtype, **options: Any) -> dict[str, Any]:
    from golfreg.builtin.kernels.mamba3_siso_cases import make_inputs

    return make_inputs("cpu", dtype, 1, **{**TINY, **options})


def run(op: Any, inputs: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Outputs and the gradients of one random linear function of them, by name."""
    from golfreg.builtin.kernels.mamba3_siso_cases import PARAMETERS

    inputs = dict(inputs)
    for name in PARAMETERS:
        inputs[name] = inputs[name].detach().clone().requires_grad_()
    wanted = {name: inputs[name] for name in PARAMETERS}
    if inputs["initial_state"] is not None:
        inputs["initial_state"] = tuple(x.detach().clone().requires_grad_() for x in inputs["initial_state"])
        wanted |= dict(zip(("phi0", "h0", "k0", "v0"), inputs["initial_state"], strict=True))
    out = op(**inputs)
    outs = [out[0], *out[1]] if inputs["return_state"] else [out]
    generator = torch.Generator().manual_seed(0)
    cotangents = [torch.randn(x.shape, generator=generator).to(x.dtype) for x in outs]
    grads = torch.autograd.grad(outs, list(wanted.values()), cotangents)
    found = {f"output {i}": x.detach() for i, x in enumerate(outs)}
    return found | {f"gradient of {name}": g for name, g in zip(wanted, grads, strict=True)}


def double(inputs: dict[str, Any]) -> dict[str, Any]:
    def wide(x: Any) -> Any:
        if isinstance(x, tuple):
            return tuple(wide(y) for y in x)
        return x.double() if isinstance(x, torch.Tensor) and x.is_floating_point() else x

    return {name: wide(x) for name, x in inputs.items()}


def assert_close(found: dict[str, torch.Tensor], want: dict[str, torch.Tensor], tolerance: float) -> None:
    for name, x in found.items():
        error = float((x.double() - want[name]).norm() / want[name].norm())
        assert error < tolerance, f"{name}: relative error {error:.2e}"


@inside
@pytest.mark.parametrize("case", CASES)
def test_outputs_and_every_gradient_equal_the_recurrence(case: str) -> None:
    from golfreg.builtin.kernels.mamba3_siso_recurrence import recurrence
    from golfreg.builtin.kernels.mamba3_triton import call

    inputs = make(torch.float32, **CASES[case])
    assert_close(run(call, inputs), run(recurrence, double(inputs)), 5e-6)


@inside
@pytest.mark.parametrize("case", KEPT)
def test_queries_and_keys_that_are_kept_rotated_change_no_bit(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from golfreg.builtin.kernels import mamba3_triton_launch as launch
    from golfreg.builtin.kernels.mamba3_triton import call

    inputs = make(torch.float32, **CASES[case])
    plain = run(call, inputs)
    monkeypatch.setitem(launch.CONFIGS, "query_gradients", {**launch.CONFIGS["query_gradients"], "KEEP": 1})
    kept = run(call, inputs)
    assert all(torch.equal(x, plain[name]) for name, x in kept.items())


@inside
def test_phases_in_sixteen_bits_cost_less_than_bfloat16_does(monkeypatch: pytest.MonkeyPatch) -> None:
    from golfreg.builtin.kernels import mamba3_triton_launch as launch
    from golfreg.builtin.kernels.mamba3_siso_recurrence import recurrence
    from golfreg.builtin.kernels.mamba3_triton import call

    shapes = launch.residual_shapes

    def short(s: Any, dtype: torch.dtype) -> Any:
        return {**shapes(s, dtype), "phase": (shapes(s, dtype)["phase"][0], torch.int16)}

    monkeypatch.setattr(launch, "residual_shapes", short)
    inputs = make(torch.float32)
    found = run(call, inputs)
    assert_close(found, run(recurrence, double(inputs)), 5e-4)


@inside
def test_two_halves_with_the_state_between_equal_the_whole() -> None:
    from golfreg.builtin.kernels.mamba3_triton import call

    inputs = make(torch.float32, length=40, return_state=True)
    whole, final = call(**inputs)
    x = inputs["projected_BTP"]
    first, state = call(**{**inputs, "projected_BTP": x[:, :21]})
    second, last = call(**{**inputs, "projected_BTP": x[:, 21:], "initial_state": state})
    torch.testing.assert_close(torch.cat((first, second), 1), whole, rtol=1e-5, atol=1e-5)
    for one, two in zip(last, final, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-5)


@inside
def test_one_position_at_a_time_gives_what_the_whole_gives() -> None:
    """As mamba_ssm's tests ask of its step: outputs, and the four parts of the state at the end."""
    from golfreg.builtin.kernels.mamba3_triton import call

    inputs = make(torch.float32, length=5, initial_state=True, return_state=True)
    whole, final = call(**inputs)
    state, parts = inputs["initial_state"], []
    for x in inputs["projected_BTP"].split(1, 1):
        y, state = call(**{**inputs, "projected_BTP": x, "initial_state": state})
        parts.append(y)
    torch.testing.assert_close(torch.cat(parts, 1), whole, rtol=1e-5, atol=1e-5)
    for one, two in zip(state[1:], final[1:], strict=True):
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(state[0].cos(), final[0].cos(), rtol=1e-5, atol=1e-5)


@inside
def test_packed_documents_have_the_outputs_and_gradients_of_each_alone() -> None:
    """As mamba_ssm's tests ask of sequences packed into one: lengths of one, a chunk, and neither."""
    from golfreg.builtin.kernels.mamba3_siso_cases import PARAMETERS
    from golfreg.builtin.kernels.mamba3_triton import call

    lengths = (1, 16, 19)
    firsts = [sum(lengths[:i]) for i in range(len(lengths))]
    inputs = make(torch.float32, n_heads=1, length=sum(lengths), starts=tuple((0, t) for t in firsts))
    leaves = [inputs[name].requires_grad_() for name in PARAMETERS]
    packed = call(**inputs)
    parts = inputs["projected_BTP"].split(lengths, 1)
    alone = torch.cat([call(**{**inputs, "projected_BTP": x, "starts_BT": None}) for x in parts], 1)
    torch.testing.assert_close(packed, alone, rtol=1e-5, atol=1e-5)
    weight = torch.randn(packed.shape, generator=torch.Generator().manual_seed(3))
    found, true = (torch.autograd.grad((y * weight).sum(), leaves) for y in (packed, alone))
    for name, mine, right in zip(PARAMETERS, found, true, strict=True):
        assert float((mine - right).norm() / right.norm()) < 1e-5, name


@inside
def test_two_runs_give_equal_bits() -> None:
    from golfreg.builtin.kernels.mamba3_triton import call

    inputs = make(torch.float32, starts=((0, 7),))
    one, two = run(call, inputs), run(call, inputs)
    assert all(torch.equal(one[name], two[name]) for name in one)


@inside
def test_the_projection_is_read_through_its_strides() -> None:
    from golfreg.builtin.kernels.mamba3_triton import call

    inputs = make(torch.float32, batch=2)
    x = inputs["projected_BTP"]
    wide = torch.full((2, 20, x.shape[-1] + 8), torch.nan)
    wide[..., :-8] = x
    assert torch.equal(call(**{**inputs, "projected_BTP": wide[..., :-8]}), call(**inputs))


@inside
def test_both_custom_ops_pass_every_test_of_opcheck() -> None:
    """Forward and backward, with documents and a state: schema, fake tensors, autograd, dynamic shapes."""
    from golfreg.api import Case
    from golfreg.builtin.kernels.mamba3_siso import Mamba3Siso
    from golfreg.builtin.kernels.mamba3_siso_cases import PARAMETERS
    from golfreg.builtin.kernels.mamba3_triton import triton_kernel
    from golfreg.testing import Subject
    from golfreg.testing.kernel_graphs import its_custom_ops_pass_opcheck

    class Smallest(Mamba3Siso):
        def cases(self) -> list[Case]:
            options = {"length": 2, "n_heads": 1, "starts": ((0, 1),), "initial_state": True, "return_state": True}
            return [Case("smallest", lambda device, dtype, seed: make(dtype, **options), PARAMETERS)]

    its_custom_ops_pass_opcheck(Subject(triton_kernel, op=Smallest()))


@inside
def test_it_compiles_as_one_graph() -> None:
    from golfreg.builtin.kernels.mamba3_triton import call

    inputs = make(torch.float32, length=5, n_heads=1)

    def double_call(**kwargs: Any) -> torch.Tensor:
        return call(**kwargs) * 2

    compiled = torch.compile(double_call, fullgraph=True, backend="aot_eager")
    found, want = run(compiled, inputs), run(double_call, inputs)
    assert_close(found, {name: x.double() for name, x in want.items()}, 1e-6)


def test_what_it_cannot_run_is_refused_with_the_reason() -> None:
    from golfreg.builtin.kernels.mamba3_triton import triton_kernel

    if INTERPRETED:
        assert triton_kernel.supports("cpu", "float32", headdim=16, d_state=32) is None
        assert "float32" in (triton_kernel.supports("cpu", "bfloat16") or "")
        assert "d_state 48" in (triton_kernel.supports("cpu", "float32", d_state=48) or "")
        assert "headdim 24" in (triton_kernel.supports("cpu", "float32", headdim=24) or "")
    else:
        assert "NVIDIA" in (triton_kernel.supports("cpu", "bfloat16") or "")
