"""What golfreg hands to fla's functions and makes of what they return, on a stand-in that computes the references."""

from __future__ import annotations

import importlib.util
import inspect
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch

pytest.importorskip("golfreg_fla", reason="install it: pip install -e plugins/golfreg-fla")

from golfreg.api.errors import EnvironmentFault, PluginError
from golfreg.kernels.verify import compare
from golfreg.registry.host import get_host
from golfreg.registry.resolve import load, resolve
from golfreg.testing.kernel_graphs import expect_one_graph
from golfreg_fla import delta_rule, kernels, linear_attention, wkv, wkv_kernel
from golfreg_fla.plugin import INSTALL

OPS = {
    "delta": (delta_rule, kernels.gated_delta_rule, kernels.delta_rule_kernel),
    "linear": (linear_attention, kernels.gated_linear_attention, kernels.linear_attention_kernel),
    "wkv": (wkv, wkv_kernel.rwkv7_wkv, wkv_kernel.wkv_kernel),
}
SHAPES = ("two_and_a_half_chunks", "document_starts", "continued", "continued_with_starts")


def with_autograd(function):
    """Inside a custom op torch records nothing for gradients, in that thread: so in another one."""

    def run(*arguments, **named):
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(function, *arguments, **named).result()

    return run


def computed(reference, tensors, state, cu_seqlens, **static):
    """The reference on each sequence of a batch of one; (o, the last states)."""
    if cu_seqlens is None:
        return reference(*tensors, None, state, return_state=True, **static)
    edges = cu_seqlens.tolist()
    found = [
        reference(
            *(x[:, a:b] for x in tensors),
            None,
            None if state is None else state[s : s + 1],
            return_state=True,
            **static,
        )
        for s, (a, b) in enumerate(pairwise(edges))
    ]
    return torch.cat([o for o, _ in found], 1), torch.cat([end for _, end in found])


@with_autograd
def differentiated(reference, tensors, state, cu_seqlens, do, dht, **static):
    leaves = [x.detach().requires_grad_() for x in tensors]
    before = None if state is None else state.detach().requires_grad_()
    o, end = computed(reference, leaves, before, cu_seqlens, **static)
    total = (o * do).sum() + (0 if dht is None else (end * dht).sum())
    grads = torch.autograd.grad(total, leaves + ([] if before is None else [before]))
    return grads if before is not None else (*grads, None)


def chunk_gated_delta_rule_fwd(
    q, k, v, g, beta, scale, initial_state, output_final_state, cu_seqlens, chunk_indices, chunk_size
):
    assert scale == q.shape[-1] ** -0.5
    assert chunk_indices == (None if cu_seqlens is None else ("indices", chunk_size))
    o, end = computed(delta_rule.reference, (q, k, v, g, beta), initial_state, cu_seqlens, chunk_size=chunk_size)
    return g, o, "A", end if output_final_state else None, initial_state, None


def chunk_gated_delta_rule_bwd(
    q, k, v, g, beta, A, scale, initial_state, do, dht, cu_seqlens, chunk_indices, chunk_size
):
    assert A == "A"
    dq, dk, dv, dg, db, dh = differentiated(
        delta_rule.reference, (q, k, v, g, beta), initial_state, cu_seqlens, do, dht, chunk_size=chunk_size
    )
    return dq, dk, dv, db, dg, dh, None, None


def chunk_gla_fwd(
    q, k, v, g, g_cumsum, scale, initial_state, output_final_state, cu_seqlens, chunk_size, chunk_indices
):
    assert g_cumsum is None
    assert scale == q.shape[-1] ** -0.5
    assert chunk_size in (16, 32, 64)
    o, end = computed(linear_attention.reference, (q, k, v, g), initial_state, cu_seqlens)
    return g, "A", "h", end if output_final_state else None, o


def chunk_gla_bwd(q, k, v, g, g_cumsum, scale, initial_state, h, A, do, dht, cu_seqlens, chunk_size, chunk_indices):
    assert (g, h, A) == (None, None, "A")
    return differentiated(linear_attention.reference, (q, k, v, g_cumsum), initial_state, cu_seqlens, do, dht)


class ChunkDPLRDeltaRuleFunction:
    """What fla's autograd function takes and gives."""

    @staticmethod
    def forward(
        ctx, q, k, v, a, b, gk, scale, initial_state, output_final_state, cu_seqlens=None, cu_seqlens_cpu=None,
        safe_gate=False, lower_bound=None, chunk_size=None, disable_recompute=False, cp_context=None,
    ):  # fmt: skip
        assert (scale, safe_gate, lower_bound, disable_recompute, cp_context) == (1.0, True, None, False, None)
        assert chunk_size in (16, 32, 64)
        ctx.save_for_backward(q, k, v, a, b, gk, initial_state)
        o, end = computed(general, (q, gk, k, v, a, b), initial_state, cu_seqlens)
        return o, end if output_final_state else None

    @staticmethod
    def backward(ctx, do, dht):
        assert (ctx.scale, ctx.safe_gate, ctx.disable_recompute, ctx.cp_context) == (1.0, True, False, None)
        assert ctx.chunk_indices == (None if ctx.cu_seqlens is None else ("indices", ctx.chunk_size))
        q, k, v, a, b, gk, state = ctx.saved_tensors
        dq, dg, dk, dv, da, db, dh = differentiated(general, (q, gk, k, v, a, b), state, ctx.cu_seqlens, do, dht)
        return dq, dk, dv, da, db, dg, None, dh, *[None] * 8


def general(q, g, k, v, a, b, starts, state, return_state):
    """S_t = diag(e^g) S_{t-1} + b (S_{t-1}^T a)^T + k v^T, of sequences without document starts."""
    assert starts is None
    assert return_state
    S = q.new_zeros(q.shape[0], q.shape[2], q.shape[3], v.shape[3]) if state is None else state
    out = []
    for t in range(q.shape[1]):
        read = (S * a[:, t].unsqueeze(-1)).sum(-2, keepdim=True)
        S = g[:, t].exp().unsqueeze(-1) * S + b[:, t].unsqueeze(-1) * read
        S = S + k[:, t].unsqueeze(-1) * v[:, t].unsqueeze(-2)
        out.append((S * q[:, t].unsqueeze(-1)).sum(-2))
    return torch.stack(out, 1), S


def stand_in(name: str) -> SimpleNamespace:
    modules = ("gated_delta_rule.chunk", "gla.chunk", "generalized_delta_rule.dplr.chunk", "utils")
    assert name.removeprefix("ops.") in modules
    return SimpleNamespace(**globals(), prepare_chunk_indices=lambda cu_seqlens, chunk: ("indices", chunk))


@pytest.mark.parametrize("name", OPS)
@pytest.mark.parametrize("shape", SHAPES)
def test_documents_states_and_gradients_survive_the_layout_of_fla(
    monkeypatch: pytest.MonkeyPatch, name: str, shape: str
) -> None:
    for module in (kernels, wkv_kernel):
        monkeypatch.setattr(module, "fla", stand_in)
    module, call, _ = OPS[name]
    inputs = {**module.make_inputs("cpu", torch.float32, 0, **delta_rule.SHAPES[shape])}
    if "chunk_size" in inputs:
        inputs["chunk_size"] = 16
    case = module.op.cases()[0]
    names = case.gradients + (() if inputs["initial_state_BHKV"] is None else ("initial_state_BHKV",))
    found = {d.name: d.rms_ratio for d in compare(module.op, call, inputs, names)}
    assert len(found) >= 1 + len(names)
    assert max(found.values()) < 1e-4, found


@pytest.mark.slow
@pytest.mark.parametrize("name", OPS)
def test_the_kernels_compile_as_one_graph(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for module in (kernels, wkv_kernel):
        monkeypatch.setattr(module, "fla", stand_in)
    module, call, _ = OPS[name]
    inputs = module.make_inputs("cpu", torch.float32, 0, **delta_rule.SHAPES["continued_with_starts"])
    expect_one_graph(module.op, call, module.op.cases()[0], inputs, torch.float32, "stand-in")


@pytest.mark.parametrize("name", OPS)
def test_supports_says_why_not(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    kernel = OPS[name][2]
    assert "need an NVIDIA GPU, the device is cpu" in kernel.supports("cpu", "bfloat16")
    assert "float32 is not bfloat16 or float16" in kernel.supports("cuda", "float32")
    assert kernel.supports("cuda", "bfloat16", chunk_size=64) is None


def test_without_fla_the_error_is_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str):
        raise ModuleNotFoundError("No module named 'fla'")

    monkeypatch.setattr(kernels.importlib, "import_module", absent)
    with pytest.raises(EnvironmentFault, match="`fla.ops.utils` could not be imported") as caught:
        kernels.fla("ops.utils")
    assert caught.value.hint == INSTALL


@pytest.mark.skipif(importlib.util.find_spec("fla") is not None, reason="fla is installed")
def test_asking_for_a_kernel_without_fla_ends_in_the_same_command_and_is_no_failure_of_the_plugin() -> None:
    with pytest.raises(PluginError, match="needs `fla`, which is not installed") as caught:
        load(resolve("kernel", "fla", op="gated_delta_rule"))
    assert caught.value.hint == INSTALL
    assert not [f for f in get_host().failures if f.provider.distribution == "golfreg-fla"]


FUNCTIONS = ("chunk_gated_delta_rule_fwd", "chunk_gated_delta_rule_bwd", "chunk_gla_fwd", "chunk_gla_bwd")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_flas_functions_take_what_the_stand_in_takes(name: str) -> None:
    pytest.importorskip("einops", reason=f"fla is not installed: {INSTALL}")
    try:
        theirs = getattr(kernels.fla("ops.gla.chunk" if "gla" in name else "ops.gated_delta_rule.chunk"), name)
    except EnvironmentFault as error:
        pytest.skip(error.message)
    inspect.signature(theirs).bind(**dict.fromkeys(inspect.signature(globals()[name]).parameters))


@pytest.mark.parametrize("name", ["forward", "backward"])
def test_flas_function_for_rwkv7_takes_what_the_stand_in_takes(name: str) -> None:
    pytest.importorskip("einops", reason=f"fla is not installed: {INSTALL}")
    try:
        theirs = wkv_kernel.function()
    except EnvironmentFault as error:
        pytest.skip(error.message)
    found = [list(inspect.signature(getattr(c, name)).parameters) for c in (theirs, ChunkDPLRDeltaRuleFunction)]
    assert found[0] == found[1]


@pytest.mark.gpu
@pytest.mark.parametrize("name", OPS)
@pytest.mark.parametrize("shape", delta_rule.SHAPES)
def test_fla_matches_the_reference_with_gradients(name: str, shape: str) -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    pytest.importorskip("einops", reason=f"fla is not installed: {INSTALL}")
    module, call, _ = OPS[name]
    case = next(case for case in module.op.cases() if case.name == shape)
    found = {
        d.name: d.rms_ratio for d in compare(module.op, call, case.inputs("cuda", torch.bfloat16, 0), case.gradients)
    }
    assert max(found.values()) < module.op.tolerance(torch.bfloat16), found
