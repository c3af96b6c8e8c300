"""One kernel, measured in a process of its own: errors first, and times only if they are within the tolerance.

python -m golfreg.kernels.measure RESULT.json < REQUEST.json
"""

from __future__ import annotations

import dataclasses
import functools
import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from golfreg.api.errors import GolfregError
from golfreg.kernels.launches import watched_launches
from golfreg.kernels.timing import machine, timed
from golfreg.kernels.verify import compare, verify_kernel
from golfreg.registry.resolve import load, resolve


@dataclasses.dataclass(frozen=True)
class Request:
    """What a process measures: the machine if ``op`` is empty. ``sizes``: of what is timed; empty: the largest case."""

    op: str
    kernel: str
    device: str
    dtype: str
    sizes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    exact_sizes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    compiled: bool = False
    seconds: float = 1.0
    seed: int = 0


def measure(request: Request) -> dict[str, Any]:
    """Everything that is told of one kernel, as JSON has it."""
    dtype = getattr(torch, request.dtype)
    op, kernel = load(resolve("op", request.op)), load(resolve("kernel", request.kernel, op=request.op))
    result: dict[str, Any] = {"refusal": None, "right": None}
    inputs, gradients = _inputs(op, request, request.sizes)
    refusal = kernel.supports(request.device, request.dtype, **_static(inputs))
    if refusal is not None:
        return result | {"refusal": str(refusal)}
    began = time.perf_counter()
    call = torch.compile(kernel.call, fullgraph=True, dynamic=False) if request.compiled else kernel.call
    try:
        first, resources = _first_call(call, inputs, gradients, request.device)
        result |= {"first_call_seconds": time.perf_counter() - began, "peak_bytes": first, "resources": resources}
    except torch.cuda.OutOfMemoryError:
        # It may be right all the same, at the sizes where errors are taken.
        result["untimed"] = f"the device's memory does not hold {_named(request.sizes)}"
        torch.cuda.empty_cache()
    result |= _errors(op, kernel, call, request, dtype)
    if not result["right"] or "untimed" in result:
        return result
    with torch.no_grad():
        result["forward"] = dataclasses.asdict(timed(lambda: call(**inputs), request.device, request.seconds))
    if gradients:
        both = functools.partial(_both, call, *_prepared(call, inputs, gradients))
        result["both"] = dataclasses.asdict(timed(both, request.device, request.seconds))
    return result


def _named(sizes: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in sizes.items()) or "the largest case"


def _errors(op: Any, kernel: Any, call: Any, request: Request, dtype: torch.dtype) -> dict[str, Any]:
    """Against float64: every case, and each output and gradient at the sizes of ``exact_sizes``."""
    # Cases are many shapes: compiling each would take minutes, so the compiled call is compared at one.
    cases = [] if request.compiled else verify_kernel(op, kernel, device=request.device, dtype=dtype, seed=request.seed)
    inputs, gradients = _inputs(op, request, request.exact_sizes)
    found = compare(op, call, inputs, gradients, seed=request.seed)
    tolerance = op.tolerance(dtype)
    wrong = [f"case `{case.case}`: {case.worst.name}" for case in cases if not case.right and case.worst]
    wrong += [difference.name for difference in found if not difference.rms_ratio <= tolerance]
    worst = max((c.worst.rms_ratio for c in cases if c.worst), default=None)
    return {
        "right": not wrong, "wrong": wrong, "tolerance": tolerance, "worst_case_error": _finite(worst),
        "cases": len(cases), "cases_refused": sum(case.refusal is not None for case in cases),
        "errors": {difference.name: _finite(difference.rms_ratio) for difference in found},
    }  # fmt: skip


def _inputs(op: Any, request: Request, sizes: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Keyword arguments, and the names of those to differentiate by."""
    dtype = getattr(torch, request.dtype)
    if sizes:
        workload = op.workload()
        return workload.inputs(request.device, dtype, request.seed, **sizes), tuple(workload.gradients)
    made = [(case.inputs(request.device, dtype, request.seed), case.gradients) for case in op.cases()]
    return max(made, key=lambda one: sum(x.numel() for x in one[0].values() if isinstance(x, torch.Tensor)))


def _static(inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in inputs.items() if isinstance(value, bool | int | float | str)}


def _first_call(
    call: Callable[..., Any], inputs: dict[str, Any], gradients: tuple[str, ...], device: str
) -> tuple[int | None, list[dict[str, Any]]]:
    """Peak bytes of a call and its gradients, inputs included (GPU only), and what its Triton kernels take."""
    arguments = _prepared(call, inputs, gradients) if gradients else None
    if not device.startswith("cuda"):
        if arguments is not None:
            _both(call, *arguments)
        return None, []
    with watched_launches() as launches:
        _both(call, *arguments) if arguments is not None else call(**inputs)
        torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    _both(call, *arguments) if arguments is not None else call(**inputs)
    torch.cuda.synchronize()
    taken = {}
    for launch in launches:
        made = launch.compiled
        if made is not None:
            taken[launch.name] = {
                "kernel": launch.name, "warps": int(made.metadata.num_warps), "registers": int(made.n_regs),
                "spilled_bytes": 4 * int(made.n_spills), "shared_bytes": int(made.metadata.shared),
            }  # fmt: skip
    return torch.cuda.max_memory_allocated(), list(taken.values())


def _prepared(
    call: Callable[..., Any], inputs: dict[str, Any], gradients: tuple[str, ...]
) -> tuple[dict[str, Any], list[torch.Tensor], list[torch.Tensor]]:
    """The inputs with leaves to differentiate by, those leaves, and a gradient of each output."""
    changed = {name: inputs[name].detach().requires_grad_() for name in gradients}
    arguments = {**inputs, **changed}
    outputs = _differentiable(call(**arguments))
    generator = torch.Generator(outputs[0].device).manual_seed(1)
    pulls = [torch.randn(y.shape, generator=generator, device=y.device).to(y.dtype) for y in outputs]
    return arguments, list(changed.values()), pulls


def _both(
    call: Callable[..., Any], arguments: dict[str, Any], leaves: list[torch.Tensor], pulls: list[torch.Tensor]
) -> None:
    torch.autograd.grad(_differentiable(call(**arguments)), leaves, pulls, allow_unused=True)


def _differentiable(result: Any) -> list[torch.Tensor]:
    if isinstance(result, torch.Tensor):
        return [result] if result.requires_grad else []
    return [tensor for item in result for tensor in _differentiable(item)]


def _finite(value: float | None) -> float | None:
    """JSON has no infinity: an output of the wrong shape, or with values that are not finite, has no error."""
    return value if value is not None and value < float("inf") else None


def main() -> None:
    request = Request(**json.loads(sys.stdin.read()))
    try:
        if request.op:
            result = measure(request)
        else:
            result = dataclasses.asdict(machine(request.device, getattr(torch, request.dtype), request.seconds))
    except GolfregError as error:
        result = {"error": error.message}
    except torch.cuda.OutOfMemoryError:
        result = {"error": "the GPU's memory does not hold it"}
    Path(sys.argv[1]).write_text(json.dumps(result, allow_nan=False), "utf-8")


if __name__ == "__main__":
    main()
