"""The op ``mamba1_scan``: the reference against the paper's recurrence, the kernel by a stand-in, and on a GPU."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
import torch

pytest.importorskip("golfreg_mamba_ssm", reason="install it: pip install -e plugins/golfreg-mamba-ssm")

from golfreg.api.errors import EnvironmentFault
from golfreg.kernels.verify import compare
from golfreg.testing.kernel_graphs import expect_one_graph
from golfreg_mamba_ssm import selective_kernel, selective_scan
from golfreg_mamba_ssm.plugin import INSTALL_MAMBA1
from golfreg_mamba_ssm.selective_kernel import FORGET, scan_kernel

SHAPES = ("not_a_square", "document_starts", "continued", "continued_with_starts")


def recurrence(x, dt, A, B, C, D, starts, h):
    h = x.new_zeros(x.shape[0], *A.shape) if h is None else h
    out = []
    for t in range(x.shape[1]):
        if starts is not None:
            h = h * (~starts[:, t]).view(-1, 1, 1)
        h = (dt[:, t, :, None] * A).exp() * h + (dt[:, t] * x[:, t]).unsqueeze(-1) * B[:, t].unsqueeze(1)
        out.append((h * C[:, t].unsqueeze(1)).sum(-1) + D * x[:, t])
    return torch.stack(out, 1), h


@pytest.mark.parametrize("shape", [*SHAPES, "one_position", "a_square"])
def test_the_reference_is_the_recurrence_of_the_paper(shape: str) -> None:
    inputs = selective_scan.make_inputs("cpu", torch.float64, 1, **selective_scan.SHAPES[shape])
    leaves = [x.requires_grad_() for x in inputs.values() if isinstance(x, torch.Tensor) and x.is_floating_point()]
    true = recurrence(*list(inputs.values())[:8])
    mine = selective_scan.reference(**{**inputs, "return_state": True})
    torch.testing.assert_close(mine, true)
    pulls = [torch.randn_like(x) for x in mine]
    grads = [
        torch.autograd.grad(sum((x * p).sum() for x, p in zip(found, pulls, strict=True)), leaves)
        for found in (mine, true)
    ]
    torch.testing.assert_close(*grads)


def scanned(u, delta, A, B, C, D):
    """The extension's meaning of its arguments: no documents, nothing before, nothing after. [B, I, L]"""
    x, dt, b, c = (y.transpose(1, 2) for y in (u, delta, B[:, 0], C[:, 0]))
    return recurrence(x, dt, A, b, c, D, None, None)[0].transpose(1, 2)


def fwd(u, delta, A, B, C, D, z, delta_bias, delta_softplus):
    assert (z, delta_bias, delta_softplus) == (None, None, False)
    assert u.dtype == delta.dtype == B.dtype == C.dtype
    assert A.dtype == D.dtype == torch.float32
    assert u.shape[0] == B.shape[0] == C.shape[0]
    assert u.shape[2] == delta.shape[2] == B.shape[3] == C.shape[3]
    assert all(y.stride(-1) == 1 for y in (u, delta, B, C))
    return scanned(u, delta, A, B, C, D).contiguous(), "the states of its chunks"


def bwd(u, delta, A, B, C, D, z, delta_bias, dout, x, out, dz, delta_softplus, recompute_out_z):
    assert (z, delta_bias, out, dz, delta_softplus, recompute_out_z) == (None, None, None, None, False, False)
    assert x == "the states of its chunks"
    assert dout.shape == u.shape
    assert dout.dtype == u.dtype

    def run():
        leaves = [y.detach().requires_grad_() for y in (u, delta, A, B, C, D)]
        return torch.autograd.grad((scanned(*leaves) * dout).sum(), leaves)

    with ThreadPoolExecutor(1) as pool:
        return *pool.submit(run).result(), None


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selective_kernel, "extension", lambda: SimpleNamespace(fwd=fwd, bwd=bwd))


@pytest.mark.parametrize("shape", SHAPES)
def test_positions_in_between_make_documents_and_states_of_a_scan_that_has_neither(stand_in: None, shape: str) -> None:
    inputs = selective_scan.make_inputs("cpu", torch.float32, 0, **selective_scan.SHAPES[shape])
    names = selective_scan.op.cases()[0].gradients
    names += () if inputs["initial_state_BIN"] is None else ("initial_state_BIN",)
    found = {d.name: d.rms_ratio for d in compare(selective_scan.op, selective_kernel.call, inputs, names)}
    assert len(found) >= 1 + len(names)
    assert max(found.values()) < 1e-4, found


def test_a_document_is_forgotten_however_slow_its_decay_was() -> None:
    assert torch.tensor(-1e-6 * FORGET).exp() == 0


@pytest.mark.slow
def test_it_compiles_as_one_graph_whatever_the_number_of_documents(stand_in: None) -> None:
    inputs = selective_scan.make_inputs("cpu", torch.float32, 0, **selective_scan.SHAPES["continued_with_starts"])
    expect_one_graph(
        selective_scan.op, selective_kernel.call, selective_scan.op.cases()[0], inputs, torch.float32, "stand-in"
    )


def test_supports_says_why_not(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "needs an NVIDIA GPU, the device is cpu" in scan_kernel.supports("cpu", "bfloat16")
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    assert "float16 cannot hold" in scan_kernel.supports("cuda", "float16")

    def other_torch(name: str):
        raise ImportError(f"{name}.so: undefined symbol: of another torch")

    monkeypatch.setattr(selective_kernel.importlib, "import_module", other_torch)
    assert "undefined symbol: of another torch" in scan_kernel.supports("cuda", "bfloat16")
    with pytest.raises(EnvironmentFault, match="`selective_scan_cuda` could not be imported") as caught:
        selective_kernel.extension()
    assert caught.value.hint == INSTALL_MAMBA1
    monkeypatch.setattr(selective_kernel.importlib, "import_module", lambda name: SimpleNamespace())
    assert scan_kernel.supports("cuda", "bfloat16") is None


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
@pytest.mark.parametrize("case", selective_scan.op.cases(), ids=lambda case: case.name)
def test_the_extension_matches_the_reference_with_gradients(case, dtype: torch.dtype) -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    pytest.importorskip("selective_scan_cuda", reason=f"it is not installed: {INSTALL_MAMBA1}")
    inputs = case.inputs("cuda", dtype, 0)
    found = {d.name: d.rms_ratio for d in compare(selective_scan.op, selective_kernel.call, inputs, case.gradients)}
    assert max(found.values()) < selective_scan.op.tolerance(dtype), found
