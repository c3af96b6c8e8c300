"""The op ``mamba2_ssd``: the reference against the paper's recurrence, the kernel by a stand-in, and on a GPU."""

from __future__ import annotations

import importlib.util
import inspect
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
import torch

pytest.importorskip("golfreg_mamba_ssm", reason="install it: pip install -e plugins/golfreg-mamba-ssm")

from golfreg.kernels.verify import compare
from golfreg_mamba_ssm import ssd, ssd_kernel
from golfreg_mamba_ssm.upstream import upstream


def recurrence(x, dt, A, B, C, D, starts, h):
    per_group = x.shape[2] // B.shape[2]
    h = x.new_zeros(*x.shape[:1], *x.shape[2:], B.shape[3]) if h is None else h
    out = []
    for t in range(x.shape[1]):
        if starts is not None:
            h = h * (~starts[:, t]).view(-1, 1, 1, 1)
        b, c = (y[:, t].repeat_interleave(per_group, 1) for y in (B, C))
        h = (A * dt[:, t]).exp()[..., None, None] * h + (dt[:, t].unsqueeze(-1) * x[:, t]).unsqueeze(-1) * b.unsqueeze(
            -2
        )
        out.append((h @ c.unsqueeze(-1)).squeeze(-1) + D.unsqueeze(-1) * x[:, t])
    return torch.stack(out, 1), h


@pytest.mark.parametrize("shape", ["more_than_a_chunk", "two_groups", "document_starts", "continued_with_starts"])
def test_the_chunked_form_is_the_recurrence_of_the_paper(shape: str) -> None:
    inputs = ssd.make_inputs("cpu", torch.float64, 1, **ssd.SHAPES[shape])
    leaves = [x.requires_grad_() for x in inputs.values() if isinstance(x, torch.Tensor) and x.is_floating_point()]
    true = recurrence(*list(inputs.values())[:8])
    mine = ssd.reference(**{**inputs, "return_state": True})
    torch.testing.assert_close(mine, true)
    pulls = [torch.randn_like(x) for x in mine]
    grads = [
        torch.autograd.grad(sum((x * p).sum() for x, p in zip(found, pulls, strict=True)), leaves)
        for found in (mine, true)
    ]
    torch.testing.assert_close(*grads)


def standing_in(x, dt, A, B, C, chunk_size, D, initial_states, seq_idx):
    """Upstream's meaning of ``seq_idx``: a position goes on from the one before it, or the state, if they are equal."""
    starts = None
    if seq_idx is not None:
        assert seq_idx.dtype == torch.int32
        starts = torch.diff(seq_idx, dim=1, prepend=torch.zeros_like(seq_idx[:, :1])) != 0
    return ssd.reference(x, dt, A, B, C, D, starts, initial_states, chunk_size=chunk_size, return_state=True)


def _mamba_chunk_scan_combined_fwd(x, dt, A, B, C, chunk_size, D=None, initial_states=None, seq_idx=None):
    out, last = standing_in(x, dt, A, B, C, chunk_size, D, initial_states, seq_idx)
    return out, None, dt, None, None, last


def _mamba_chunk_scan_combined_bwd(
    dout, x, dt, A, B, C, out, chunk_size, D=None, initial_states=None, dfinal_states=None, seq_idx=None
):
    def run():
        given = [x, dt, A, B, C, D] + ([] if initial_states is None else [initial_states])
        leaves = [y.detach().requires_grad_() for y in given]
        y, last = standing_in(*leaves[:5], chunk_size, leaves[5], leaves[6] if len(leaves) > 6 else None, seq_idx)
        torch.testing.assert_close(y, out)
        total = (y * dout).sum() + (0 if dfinal_states is None else (last * dfinal_states).sum())
        return torch.autograd.grad(total, leaves)

    with ThreadPoolExecutor(1) as pool:
        grads = pool.submit(run).result()
    return *grads[:6], None, None, grads[6] if len(grads) > 6 else None


@pytest.mark.parametrize("shape", ["two_groups", "document_starts", "continued", "continued_with_starts"])
def test_documents_states_and_gradients_go_where_upstream_expects_them(
    monkeypatch: pytest.MonkeyPatch, shape: str
) -> None:
    monkeypatch.setattr(ssd_kernel, "upstream", lambda name: SimpleNamespace(**globals()))
    inputs = ssd.make_inputs("cpu", torch.float32, 0, **ssd.SHAPES[shape])
    names = ssd.op.cases()[0].gradients + (() if inputs["initial_state_BHPN"] is None else ("initial_state_BHPN",))
    found = {d.name: d.rms_ratio for d in compare(ssd.op, ssd_kernel.call, inputs, names)}
    assert len(found) >= 1 + len(names)
    assert max(found.values()) < 1e-4, found


def needs_mamba_ssm() -> None:
    for name in ("einops", "mamba_ssm"):
        if importlib.util.find_spec(name) is None:
            pytest.skip("mamba-ssm is not installed (README)")


@pytest.mark.parametrize("name", ["_mamba_chunk_scan_combined_fwd", "_mamba_chunk_scan_combined_bwd"])
def test_upstreams_functions_take_what_the_stand_in_takes(name: str) -> None:
    needs_mamba_ssm()
    theirs = getattr(upstream("ops.triton.ssd_combined"), name)
    inspect.signature(theirs).bind(**dict.fromkeys(inspect.signature(globals()[name]).parameters))


@pytest.mark.gpu
@pytest.mark.parametrize("case", ssd.op.cases(), ids=lambda case: case.name)
def test_mamba_ssm_matches_the_reference_with_gradients(case) -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    needs_mamba_ssm()
    inputs = case.inputs("cuda", torch.bfloat16, 0)
    found = {d.name: d.rms_ratio for d in compare(ssd.op, ssd_kernel.call, inputs, case.gradients)}
    assert max(found.values()) < ssd.op.tolerance(torch.bfloat16), found
