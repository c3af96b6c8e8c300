"""The kernel of ``mamba3_siso`` against the op's reference: by a stand-in on a CPU, by mamba-ssm itself on a GPU."""

from __future__ import annotations

import importlib.util
import inspect
from pathlib import Path

import pytest
import torch

pytest.importorskip("golfreg_mamba_ssm", reason="install it: pip install -e plugins/golfreg-mamba-ssm")

from golfreg.builtin.kernels.mamba3_siso import op
from golfreg.builtin.kernels.mamba3_siso_cases import PARAMETERS, make_inputs
from golfreg.kernels.verify import compare
from golfreg.testing.kernel_graphs import expect_one_graph
from golfreg_mamba_ssm import siso, siso_ops
from golfreg_mamba_ssm.upstream import upstream

_spec = importlib.util.spec_from_file_location("mamba_ssm_stand_in", Path(__file__).with_name("stand_in.py"))
stand_in = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(stand_in)

SMALL = {"n_heads": 2, "headdim": 32, "d_state": 32, "chunk_size": 32}
DOCUMENTS = ((0, 0), (0, 3), (1, 5), (1, 6))
STATE = {"initial_state": True, "return_state": True}


@pytest.fixture
def on_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in computes in float32, so that a tensor in the wrong place is not hidden by rounding."""
    monkeypatch.setattr(siso_ops, "upstream", stand_in.upstream)
    monkeypatch.setattr(siso, "COMPUTED_IN", torch.float32)


@pytest.mark.parametrize(
    "shape",
    [
        {"length": 5},
        {"length": 9, "starts": DOCUMENTS, "ngroups": 2, "a_form": "heavy_tail"},
        {"length": 6, **STATE},
        {"length": 9, "starts": DOCUMENTS, **STATE},
    ],
    ids=["plain", "documents", "states", "documents and states"],
)
def test_every_tensor_and_gradient_goes_where_upstream_expects_it(on_cpu: None, shape: dict) -> None:
    inputs = make_inputs("cpu", torch.float32, 0, **SMALL, **shape)
    found = {d.name: d.rms_ratio for d in compare(op, siso.call, inputs, PARAMETERS)}
    assert len(found) >= 1 + len(PARAMETERS)
    assert max(found.values()) < 1e-4, found


def test_the_gradient_of_an_initial_state_stops_at_a_document_start(on_cpu: None) -> None:
    inputs = make_inputs("cpu", torch.float32, 0, **SMALL, length=7, starts=DOCUMENTS, **STATE)
    gradients = []
    for call in (siso.call, op.reference):
        leaves = [x.detach().clone().requires_grad_() for x in inputs["initial_state"]]
        y, after = call(**{**inputs, "initial_state": tuple(leaves)})
        total = y.square().sum() + sum(x.square().sum() for x in after[1:])
        gradients.append(torch.autograd.grad(total, leaves[1:]))
    for mine, true in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, true, rtol=1e-4, atol=1e-5)
        assert mine[0].abs().max() == 0 < mine[1].abs().max()


def test_without_gradients_nothing_is_kept_for_them(on_cpu: None, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    whole = stand_in.mamba3_siso_fwd
    monkeypatch.setattr(
        stand_in, "mamba3_siso_fwd", lambda *a, **k: asked.append(k["store_states_adt_outv"]) or whole(*a, **k)
    )
    inputs = make_inputs("cpu", torch.float32, 0, **SMALL, length=3)
    with torch.no_grad():
        siso.call(**inputs)
    inputs["projected_BTP"].requires_grad_()
    siso.call(**inputs)
    assert asked == [False, True]


@pytest.mark.slow
@pytest.mark.parametrize("starts", [None, DOCUMENTS], ids=["plain", "documents"])
def test_it_compiles_as_one_graph_whatever_the_number_of_documents(on_cpu: None, starts: tuple | None) -> None:
    from golfreg.api.values import Case

    case = Case("small", lambda *_: {}, ("projected_BTP",))
    inputs = make_inputs("cpu", torch.float32, 0, **SMALL, length=7, starts=starts)
    expect_one_graph(op, siso.call, case, inputs, torch.float32, "stand-in")


@pytest.mark.parametrize(
    ("device", "dtype", "static", "reason"),
    [
        ("cpu", "bfloat16", {}, "need an NVIDIA GPU, the device is cpu"),
        ("cuda", "float32", {}, "computes in bfloat16, not in float32"),
        ("cuda", "bfloat16", {"d_state": 48}, "d_state 48 is not 32, 64 or 128"),
        ("cuda", "bfloat16", {"headdim": 256}, "headdim 256 is not 32, 64 or 128"),
        ("cuda", "bfloat16", {"n_angles": 7}, "an even number of pairs, n_angles is 7"),
        ("cuda:0", "bfloat16", {"n_angles": 16, "a_form": "heavy_tail"}, None),
    ],
)
def test_supports_says_what_upstream_cannot_do(
    monkeypatch: pytest.MonkeyPatch, device: str, dtype: str, static: dict, reason: str | None
) -> None:
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    said = siso.siso_kernel.supports(device, dtype, **static)
    assert said is None if reason is None else reason in said


FUNCTIONS = (
    "angle_dt.angle_dt_fwd", "angle_dt.angle_dt_bwd", "mamba3_siso_fwd.mamba3_siso_fwd",
    "mamba3_siso_bwd.compute_dzdo", "mamba3_siso_bwd.compute_dqkv", "mamba3_siso_bwd.compute_dqktheta",
    "mamba3_siso_bwd.compute_ddt_dtrap_dinput_states",
)  # fmt: skip


def needs_mamba_ssm() -> None:
    for name in ("einops", "mamba_ssm"):
        if importlib.util.find_spec(name) is None:
            pytest.skip("mamba-ssm is not installed (README)")


@pytest.mark.parametrize("path", FUNCTIONS)
def test_upstreams_functions_take_what_the_stand_in_takes(path: str) -> None:
    needs_mamba_ssm()
    module, _, name = path.partition(".")
    theirs = getattr(upstream(f"ops.triton.mamba3.{module}"), name)
    mine = inspect.unwrap(getattr(stand_in, name))
    assert list(inspect.signature(theirs).parameters) == list(inspect.signature(mine).parameters)


@pytest.mark.gpu
@pytest.mark.parametrize("case", op.cases(), ids=lambda case: case.name)
def test_mamba_ssm_matches_the_reference_with_gradients(case) -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    needs_mamba_ssm()
    inputs = case.inputs("cuda", torch.bfloat16, 0)
    static = {k: v for k, v in inputs.items() if isinstance(v, bool | int | float | str)}
    refusal = siso.siso_kernel.supports("cuda", "bfloat16", **static)
    if refusal:
        pytest.skip(refusal)
    found = {d.name: d.rms_ratio for d in compare(op, siso.call, inputs, case.gradients)}
    assert max(found.values()) < op.tolerance(torch.bfloat16), found
