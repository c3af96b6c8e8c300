"""The references against the papers' recurrences, and against fla's own where it is installed."""

from __future__ import annotations

import importlib
import warnings

import pytest
import torch

pytest.importorskip("golfreg_fla", reason="install it: pip install -e plugins/golfreg-fla")

from golfreg_fla import delta_rule, linear_attention, wkv

OPS = {"delta": delta_rule, "linear": linear_attention}
SHAPES = ("two_and_a_half_chunks", "one_past_a_chunk", "continued_with_starts")


def inputs_of(module, shape: str, dtype: torch.dtype = torch.float64) -> dict:
    return module.make_inputs("cpu", dtype, 1, **delta_rule.SHAPES[shape])


def recurrence(q, k, v, g, beta, starts, state):
    """Position by position. ``beta`` None: no delta, the update is k v^T."""
    B, T, H, K = q.shape
    S = q.new_zeros(B, H, K, v.shape[-1]) if state is None else state
    out = []
    for t in range(T):
        if starts is not None:
            S = S * (~starts[:, t]).view(-1, 1, 1, 1)
        S = S * g[:, t].exp().reshape(B, H, -1, 1)
        add = v[:, t]
        if beta is not None:
            add = beta[:, t, :, None] * (add - (S * k[:, t].unsqueeze(-1)).sum(-2))
        S = S + k[:, t].unsqueeze(-1) * add.unsqueeze(-2)
        out.append((S * q[:, t].unsqueeze(-1)).sum(-2) * K**-0.5)
    return torch.stack(out, 1), S


def rwkv7_recurrence(r, g, k, v, kappa, rate, starts, state):
    """Position by position, the state as the paper has it: [V, K]."""
    B, T, H, K = r.shape
    S = r.new_zeros(B, H, v.shape[-1], K) if state is None else state.mT
    out = []
    for t in range(T):
        if starts is not None:
            S = S * (~starts[:, t]).view(-1, 1, 1, 1)
        removed = torch.einsum("bhi,bhj->bhij", kappa[:, t], rate[:, t] * kappa[:, t])
        S = S @ (torch.diag_embed(g[:, t].exp()) - removed) + v[:, t].unsqueeze(-1) * k[:, t].unsqueeze(-2)
        out.append((S @ r[:, t].unsqueeze(-1)).squeeze(-1))
    return torch.stack(out, 1), S.mT


def expect_equal_with_gradients(found, true, tensors) -> None:
    torch.testing.assert_close(found, true)
    pulls = [torch.randn_like(x) for x in found]
    grads = [
        torch.autograd.grad(sum((x * p).sum() for x, p in zip(both, pulls, strict=True)), tensors)
        for both in (found, true)
    ]
    torch.testing.assert_close(*grads)


@pytest.mark.parametrize("shape", [*SHAPES, "as_the_mixer_calls_it"])
def test_the_chunked_form_of_rwkv7_is_the_recurrence_of_the_paper(shape: str) -> None:
    inputs = inputs_of(wkv, shape)
    tensors = [x.requires_grad_() for x in inputs.values() if isinstance(x, torch.Tensor) and x.is_floating_point()]
    true = rwkv7_recurrence(*list(inputs.values())[:8])
    expect_equal_with_gradients(wkv.reference(**{**inputs, "return_state": True}), true, tensors)


def test_the_strongest_decay_of_rwkv7_overflows_nothing_in_the_longest_chunk() -> None:
    inputs = wkv.make_inputs("cpu", torch.float32, 1, length=128, chunk_size=64)
    inputs["g_BTHK"] = torch.full_like(inputs["g_BTHK"], wkv.LOWEST)
    exact = {k: x.double() if isinstance(x, torch.Tensor) and x.is_floating_point() else x for k, x in inputs.items()}
    torch.testing.assert_close(wkv.reference(**inputs).double(), wkv.reference(**exact), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", OPS)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_chunked_form_is_the_recurrence_of_the_paper(name: str, shape: str) -> None:
    inputs = inputs_of(OPS[name], shape)
    tensors = [x for x in inputs.values() if isinstance(x, torch.Tensor) and x.is_floating_point()]
    for x in tensors:
        x.requires_grad_()
    order = ("q_BTHK", "k_BTHK", "v_BTHV", "g_BTH" if name == "delta" else "g_BTHK")
    given = [inputs[key] for key in order]
    true, end = recurrence(*given, inputs.get("beta_BTH"), inputs["starts_BT"], inputs["initial_state_BHKV"])
    expect_equal_with_gradients(OPS[name].reference(**{**inputs, "return_state": True}), (true, end), tensors)


def naive(name: str):
    pytest.importorskip("einops", reason="fla is not installed: pip install fla-core==0.6.0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return importlib.import_module(f"fla.ops.{name}.naive")
        except ModuleNotFoundError:
            pytest.skip("fla is not installed: pip install fla-core==0.6.0")


def test_the_gated_delta_rule_is_flas_with_its_gradients() -> None:
    theirs = naive("gated_delta_rule").naive_recurrent_gated_delta_rule
    inputs = inputs_of(delta_rule, "continued", torch.float32)
    leaves = [x.requires_grad_() for x in list(inputs.values())[:5]]
    o, end = delta_rule.reference(**inputs)
    q, k, v, g, beta = leaves
    true, true_end = theirs(q, k, v, beta, g, initial_state=inputs["initial_state_BHKV"], output_final_state=True)
    same(o, end, true, true_end, leaves)


def test_gated_linear_attention_is_flas_with_its_gradients() -> None:
    theirs = naive("gla").naive_recurrent_gla
    inputs = inputs_of(linear_attention, "continued", torch.float32)
    leaves = [x.requires_grad_() for x in list(inputs.values())[:4]]
    o, end = linear_attention.reference(**inputs)
    true, true_end = theirs(*leaves, initial_state=inputs["initial_state_BHKV"], output_final_state=True)
    same(o, end, true, true_end, leaves)


def test_rwkv7_is_flas_recurrence_with_its_gradients() -> None:
    theirs = naive("generalized_delta_rule.dplr").dplr_recurrence
    inputs = inputs_of(wkv, "continued", torch.float32)
    leaves = [x.requires_grad_() for x in list(inputs.values())[:6]]
    o, end = wkv.reference(**inputs)
    r, g, k, v, kappa, rate = (x.transpose(1, 2) for x in leaves)
    true, true_end = theirs(r * r.shape[-1] ** 0.5, k, v, -kappa, kappa * rate, g, inputs["initial_state_BHKV"])
    same(o, end, true.transpose(1, 2), true_end, leaves)


def same(o, end, true, true_end, leaves) -> None:
    torch.testing.assert_close((o, end), (true, true_end), rtol=1e-4, atol=1e-5)
    pull, pull_end = torch.randn_like(o), torch.randn_like(end)
    mine = torch.autograd.grad((o * pull).sum() + (end * pull_end).sum(), leaves)
    right = torch.autograd.grad((true * pull).sum() + (true_end * pull_end).sum(), leaves)
    torch.testing.assert_close(mine, right, rtol=1e-4, atol=1e-5)
