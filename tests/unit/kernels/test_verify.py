"""``verify_kernel`` finds what is wrong with a kernel, and nothing wrong with a right one."""

import math

import pytest
import torch

from golfreg.api.values import Case
from golfreg.builtin.kernels.mamba3_siso import op as mamba3_op
from golfreg.builtin.kernels.mamba3_siso import reference_kernel
from golfreg.kernels.verify import poisoned_memory, rms_ratio, verify_kernel


def product(x, w, *, power):
    return (x * w) ** power


def make(device, dtype, seed):
    g = torch.Generator().manual_seed(seed)
    return {
        "x": torch.randn(5, 3, generator=g).to(device, dtype),
        "w": (torch.randn(3, generator=g) + 3).to(device),
        "power": 2,
    }


class Op:
    reference = staticmethod(product)

    def cases(self):
        return [Case("plain", make, ("x", "w"))]

    def tolerance(self, dtype):
        return 1e-5 if dtype == torch.float32 else 2e-2


class Kernel:
    def __init__(self, call, refusal=None):
        self.call, self.refusal = call, refusal

    def supports(self, device, dtype, **static):
        assert static == {"power": 2}
        return self.refusal


class WrongGradient(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, w):
        ctx.save_for_backward(x, w)
        return (x * w) ** 2

    @staticmethod
    def backward(ctx, g):
        x, w = ctx.saved_tensors
        return 2 * g * x * w * w, (2 * g * x * x).sum(0)


def forgets_an_element(x, w, *, power):
    y = torch.empty_like(x)
    y[:-1] = ((x * w) ** power)[:-1]
    return y


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_right_kernel_is_right_in_every_output_and_gradient(dtype):
    (result,) = verify_kernel(Op(), Kernel(lambda x, w, power: x * w * (x * w)), dtype=dtype)
    assert result.right
    assert [d.name for d in result.differences] == ["0", "d x", "d w"]


def test_a_wrong_gradient_is_named():
    (result,) = verify_kernel(Op(), Kernel(lambda x, w, power: WrongGradient.apply(x, w)))
    assert not result.right
    assert [d.name for d in result.differences if d.rms_ratio > 1e-5] == ["d w"]
    assert result.worst.name == "d w"


def test_an_element_that_is_never_written_shows():
    (result,) = verify_kernel(Op(), Kernel(forgets_an_element))
    assert not result.right
    assert result.worst.rms_ratio == math.inf


def test_a_wrong_shape_shows():
    (result,) = verify_kernel(Op(), Kernel(lambda x, w, power: ((x * w) ** 2).flatten()[: x.numel()].view(3, 5)))
    assert not result.right
    assert [d.name for d in result.differences] == ["0"]


def test_a_case_that_the_kernel_refuses_is_reported_and_not_run():
    (result,) = verify_kernel(Op(), Kernel(None, "needs a GPU"))
    assert result.refusal == "needs a GPU"
    assert result.right
    assert result.worst is None


def test_poisoned_memory_is_nan_inside_only():
    before = torch.are_deterministic_algorithms_enabled()
    with poisoned_memory():
        assert torch.empty(100).isnan().all()
    assert torch.are_deterministic_algorithms_enabled() == before


def test_ratios_of_what_cannot_be_compared_are_infinite():
    one = torch.ones(3)
    assert rms_ratio(one, torch.ones(4)) == math.inf
    assert rms_ratio(torch.tensor([1.0, math.nan, 1.0]), one) == math.inf
    assert rms_ratio(None, one) == math.inf
    assert rms_ratio(None, None) == 0.0
    assert rms_ratio(one, torch.zeros(3)) == math.inf
    assert rms_ratio(torch.zeros(3), torch.zeros(3)) == 0.0
    assert rms_ratio(one * 1.01, one) == pytest.approx(0.01, rel=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_reference_is_a_right_kernel_in_lower_precision(dtype):
    results = verify_kernel(mamba3_op, reference_kernel, dtype=dtype)
    assert len(results) == len(mamba3_op.cases())
    wrong = [(r.case, r.worst) for r in results if not r.right]
    assert not wrong
