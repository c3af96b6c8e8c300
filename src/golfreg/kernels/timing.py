"""How long a call takes, and what the machine can do at most."""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

WARM_CALLS, LEAST_CALLS, MOST_CALLS = 3, 5, 200
FLUSHED_BYTES = 256 << 20
"""Written between calls on a GPU, so that none finds its inputs in the second-level cache (50 MB on an H100)."""


@dataclass(frozen=True)
class Times:
    """Milliseconds of one call: the median and the quartiles of ``calls``."""

    median_ms: float
    quarter_ms: float
    three_quarters_ms: float
    calls: int


@dataclass(frozen=True)
class Machine:
    """What was measured: bytes a second of a copy (read and written), operations a second of a matrix product."""

    device: str
    copy_bytes_per_second: float
    product_operations_per_second: float

    def least_seconds(self, n_bytes: int, operations: int) -> float:
        """The roofline: nothing that moves and computes so much is faster."""
        return max(n_bytes / self.copy_bytes_per_second, operations / self.product_operations_per_second)


def timed(call: Callable[[], object], device: str, seconds: float) -> Times:
    """Call until about ``seconds`` have passed; at least ``LEAST_CALLS`` times, after a few that do not count."""
    call()  # May compile, which says nothing of how many calls fit.
    _wait(device)
    began = time.perf_counter()
    for _ in range(WARM_CALLS):
        call()
    _wait(device)
    guess = (time.perf_counter() - began) / WARM_CALLS
    calls = max(LEAST_CALLS, min(MOST_CALLS, int(seconds / max(guess, 1e-6))))
    taken = sorted(_on_gpu(call, calls) if device.startswith("cuda") else _on_cpu(call, calls))
    low, _, high = statistics.quantiles(taken, n=4, method="inclusive")
    return Times(statistics.median(taken), low, high, calls)


def machine(device: str, dtype: torch.dtype, seconds: float) -> Machine:
    """Measure the device, with memory and a product that are large for it."""
    gpu = device.startswith("cuda")
    n_bytes, side = (1 << 30, 8192) if gpu else (128 << 20, 1024)
    source = torch.zeros(n_bytes // 4, device=device)
    copy = timed(functools.partial(torch.empty_like(source).copy_, source), device, seconds)
    del source
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    product = timed(lambda: a @ b, device, seconds)
    name = torch.cuda.get_device_name(device) if gpu else f"CPU, {torch.get_num_threads()} threads"
    return Machine(name, 2 * n_bytes / copy.median_ms * 1e3, 2 * side**3 / product.median_ms * 1e3)


def _on_cpu(call: Callable[[], object], calls: int) -> list[float]:
    taken = []
    for _ in range(calls):
        began = time.perf_counter()
        call()
        taken.append((time.perf_counter() - began) * 1e3)
    return taken


def _on_gpu(call: Callable[[], object], calls: int) -> list[float]:
    flushed = torch.empty(FLUSHED_BYTES // 4, device="cuda")
    marks: list[tuple[Any, Any]] = []
    for _ in range(calls):
        flushed.zero_()
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        call()
        end.record()
        marks.append((start, end))
    torch.cuda.synchronize()
    return [start.elapsed_time(end) for start, end in marks]


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()
