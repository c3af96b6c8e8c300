"""golfreg's Triton kernels beside ``mamba3_siso``'s, in Triton's interpreter: the whole conformance kit, in float32.

That is every case (ragged sizes), outputs and every gradient against the reference in float64, memory filled
with NaN, strided inputs, ``opcheck`` and one graph. The interpreter has to be chosen before triton is imported, so one
test runs this file again in a process of its own.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.conftest import in_the_interpreter

pytest.importorskip("triton")

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
inside = pytest.mark.skipif(not INTERPRETED, reason="runs in the process that test_in_the_interpreter starts")
outside = pytest.mark.skipif(INTERPRETED, reason="already in the interpreter")

OPS = ("softcapped_cross_entropy", "mlp_activation", "rms_norm", "rotary_qk_norm", "symmetric_product")


def parts(name: str) -> tuple[Any, Any]:
    """(op, Triton kernel)"""
    package = "golfreg.builtin.kernels"
    op = importlib.import_module(f"{package}.{name}").op
    return op, importlib.import_module(f"{package}.{name}_triton").triton_kernel


@outside
def test_in_the_interpreter() -> None:
    """The conformance kit over each kernel, and the tests below."""
    shown = in_the_interpreter(__file__)
    assert f"{2 * len(OPS) + 3} passed" in shown, shown[-500:]


@inside
@pytest.mark.parametrize("name", OPS)
def test_it_keeps_the_contract_of_a_kernel_on_every_case(name: str) -> None:
    from golfreg.testing import Subject
    from golfreg.testing.kernels import runnable
    from golfreg.testing.kit import check_all

    op, kernel = parts(name)
    check_all("kernel", Subject(kernel, op=op))
    assert len(runnable(Subject(kernel, op=op))) == len(op.cases()), "no case is refused"


@pytest.mark.parametrize("name", OPS)
def test_what_it_cannot_run_is_refused_with_the_reason(name: str) -> None:
    _, kernel = parts(name)
    if INTERPRETED:
        assert kernel.supports("cpu", "float32") is None
        assert "float32" in kernel.supports("cpu", "bfloat16")
    else:
        assert "NVIDIA" in kernel.supports("cpu", "bfloat16")


@inside
def test_the_loss_is_the_same_in_chunks_of_any_size_and_without_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    from golfreg.builtin.kernels import softcapped_cross_entropy_triton as module
    from golfreg.builtin.kernels.softcapped_cross_entropy_cases import make_inputs

    inputs = make_inputs("cpu", torch.float32, 0, positions=21)
    found = []
    for positions in (1, 5, 21, 100):
        monkeypatch.setattr(module, "CHUNK_BYTES", positions * 65 * 4)
        x = inputs["x_ND"].clone().requires_grad_()
        loss = module.call(**{**inputs, "x_ND": x})
        (3 * loss).backward()
        found.append((loss.detach(), x.grad))
    for loss, gradient in found:
        torch.testing.assert_close(loss, found[0][0])
        torch.testing.assert_close(gradient, found[0][1])
    with torch.no_grad():
        torch.testing.assert_close(module.call(**inputs), found[0][0])


@inside
def test_the_gradient_of_a_small_logit_keeps_its_digits() -> None:
    """A softcap of 1e4 changes nothing: tanh of 1e-4 has to be exact to float32."""
    from golfreg.builtin.kernels.softcapped_cross_entropy import reference
    from golfreg.builtin.kernels.softcapped_cross_entropy_cases import make_inputs
    from golfreg.builtin.kernels.softcapped_cross_entropy_triton import call

    inputs = make_inputs("cpu", torch.float32, 0, softcap=1e4)
    torch.testing.assert_close(call(**inputs), reference(**{**inputs, "softcap": 0.0}), rtol=1e-6, atol=0)


@inside
def test_the_fusion_that_is_studied_gives_the_same_bits_and_right_gradients() -> None:
    path = Path(__file__).parents[4] / "bench" / "kernel_fusion.py"
    spec = importlib.util.spec_from_file_location("golfreg_bench_kernel_fusion", path)
    assert spec is not None
    assert spec.loader is not None
    study = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(study)
    given, steps = study.make("cpu", torch.float32, 1, 32, 2, 16, 16, 16)
    ways = study.WAYS.values()
    two, *others = (study.backward(given, fused=fused, chunk=16, num_warps=4, STAGES=1) for fused in ways)
    assert len(others) == 2
    assert all(torch.equal(two[name], one[name]) for one in others for name in two)
    leaves = {name: given[name].double().requires_grad_() for name in ("q", "k", "v", "z")}
    out = study.forward(*leaves.values(), steps.double(), given["D"].double(), 16)["out"]
    true = torch.autograd.grad(out, list(leaves.values()), given["dout"].double())
    for name, right in zip(leaves, true, strict=True):
        assert float((two[f"d{name}"] - right).norm() / right.norm()) < 1e-5, name
