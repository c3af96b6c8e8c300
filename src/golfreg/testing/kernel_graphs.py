"""What torch says of a kernel: its custom ops pass ``opcheck``, and calls of it compile as one graph."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from golfreg.api import Case
from golfreg.kernels.verify import compare, copied, evaluate
from golfreg.testing.kernels import Runnable, runnable
from golfreg.testing.kit import Subject, check, expect

_TORCHS_OWN = frozenset({"aten", "prims", "prim", "higher_order", "inductor", "c10d", "profiler", "quantized"})


class _CustomOps(TorchDispatchMode):
    """Notes every op that is not torch's own, with copies of the arguments of its first call."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: dict[Any, tuple[tuple[Any, ...], dict[str, Any]]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        own = isinstance(func, torch._ops.OpOverload) and func.namespace not in _TORCHS_OWN
        if own and func not in self.calls:
            # Saved inputs still require gradients inside a backward pass, which is not differentiated again.
            forward = torch._C._current_autograd_node() is None
            self.calls[func] = tree_map(partial(_copied_leaf, differentiable=forward), (args, kwargs))
        return func(*args, **kwargs)


def smallest(subject: Subject) -> Runnable:
    """The second smallest case: the smallest is often one position, where half of a kernel is not reached."""
    return sorted(runnable(subject), key=lambda each: size_of(each.inputs))[:2][-1]


def size_of(inputs: dict[str, Any]) -> int:
    return sum(value.numel() for value in inputs.values() if isinstance(value, torch.Tensor))


@check(
    "kernel",
    "register the op with `torch.library.custom_op`, `register_fake` (shapes, dtypes and strides as the real ones) and "
    "`register_autograd`; it returns new tensors, no inputs and no views of them",
)
def its_custom_ops_pass_opcheck(subject: Subject) -> None:
    """Every op that a call and its gradients make and that is not torch's own: schema, fake tensors, autograd."""
    each = smallest(subject)
    try:
        with _CustomOps() as noted:
            evaluate(subject.op, subject.target.call, each.inputs, each.case.gradients)
    except Exception as error:
        raise AssertionError(f"{each.label}: the call or its gradient raises {_first_line(error)}") from error
    for op, (args, kwargs) in noted.calls.items():
        try:
            with _quiet():
                torch.library.opcheck(op, args, kwargs)
        except Exception as error:
            raise AssertionError(f"{each.label}: `{op}` fails opcheck: {_first_line(error)}") from error


@check(
    "kernel",
    "what torch cannot trace (Triton launches, numpy, branches on values) goes into a `torch.library.custom_op`",
)
def it_compiles_as_one_graph(subject: Subject) -> None:
    """With ``fullgraph=True``, forward and backward, on the backend that needs no compiler; same results."""
    each = smallest(subject)
    expect_one_graph(subject.op, subject.target.call, each.case, each.inputs, each.dtype, each.label)


def expect_one_graph(
    op: Any, call: Callable[..., Any], case: Case, inputs: dict[str, Any], dtype: torch.dtype, label: str
) -> None:
    torch._dynamo.reset()
    try:
        with _quiet():
            found = compare(op, torch.compile(call, fullgraph=True, backend="aot_eager"), inputs, case.gradients)
    except Exception as error:
        raise AssertionError(f"{label}: torch.compile(fullgraph=True) fails: {_first_line(error)}") from error
    finally:
        torch._dynamo.reset()
    for difference in found:
        told = f"{label}, compiled: {difference.name} is off by {difference.rms_ratio:.3g}"
        expect(difference.rms_ratio <= op.tolerance(dtype), told)


def _copied_leaf(value: Any, *, differentiable: bool) -> Any:
    if not isinstance(value, torch.Tensor):
        return value
    return copied(value).requires_grad_(value.requires_grad and differentiable)


@contextmanager
def _quiet() -> Iterator[None]:
    """What the compiler warns of inside torch is not the plugin author's matter."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _first_line(error: Exception) -> str:
    cause = error.__cause__ if type(error).__name__ == "OpCheckError" and error.__cause__ else error
    lines = [line.strip() for line in str(cause).splitlines() if line.strip()]
    return f"{type(cause).__name__}: {lines[0] if lines else ''}"
