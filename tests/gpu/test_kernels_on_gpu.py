"""Every registered kernel against its op's reference, and attention's blocks against the dense mask, on a GPU."""

from __future__ import annotations

import pytest

from golfreg.registry.host import get_host
from golfreg.registry.records import Registered
from golfreg.registry.resolve import load, resolve

torch = pytest.importorskip("torch")

pytestmark = pytest.mark.gpu
KERNELS = [c for c in get_host().of_kind("kernel") if not c.missing]


@pytest.fixture(autouse=True)
def one_gpu() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("kernel", KERNELS, ids=lambda c: f"{c.op}-{c.name}")
def test_a_kernel_has_the_outputs_and_gradients_of_its_reference(kernel: Registered, dtype: str) -> None:
    from golfreg.kernels.verify import verify_kernel

    op = load(resolve("op", str(kernel.op)))
    results = verify_kernel(op, load(kernel), device="cuda", dtype=getattr(torch, dtype))
    assert results
    for result in results:
        assert result.right, (result.case, result.worst)
    print(kernel.op, kernel.name, dtype, [(r.case, r.refusal or r.worst) for r in results])


@pytest.mark.parametrize("density", [0.0, 0.003, 0.1])
def test_attention_by_blocks_has_the_outputs_and_gradients_of_the_dense_mask(density: float) -> None:
    from golfreg.builtin.mixers.attention import attend, document_mask, documents

    torch.manual_seed(0)
    starts_BT = (torch.rand(2, 1024) < density).cuda()
    inputs = [torch.randn(2, heads, 1024, 64, device="cuda", requires_grad=True) for heads in (8, 4, 4)]
    pull = torch.randn(2, 8, 1024, 64, device="cuda")

    def by_blocks(q, k, v, starts):  # type: ignore[no-untyped-def]
        return attend(q, k, v, documents(starts, 64))

    compiled = torch.compile(by_blocks, dynamic=False, fullgraph=True)
    y = compiled(*inputs, starts_BT)
    found = torch.autograd.grad(y, inputs, pull)
    expected_y = attend(*inputs, document_mask(starts_BT))
    expected = torch.autograd.grad(expected_y, inputs, pull)
    for one, two in zip((y, *found), (expected_y, *expected), strict=True):
        assert ((one - two).square().mean() / two.square().mean()).sqrt() < 5e-3
