"""Every kernel of an op side by side, each in a process of its own: a crash or a hang of one ends that one only."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from golfreg.api.errors import ConfigError, EnvironmentFault, nearest
from golfreg.kernels.measure import Request
from golfreg.kernels.timing import Machine

MOST_SIZE = 1 << 24
"""Of one number in a shape: larger is a slip of the keyboard."""


def parse_sizes(text: str, known: Mapping[str, Any], op: str) -> dict[str, Any]:
    """``batch=32,length=4096`` over the defaults. ConfigError for what is not known, or of another type."""
    sizes = dict(known)
    for part in filter(None, text.split(",")):
        name, equals, value = (x.strip() for x in part.partition("="))
        if name not in known:
            raise ConfigError(f"`--shape` of `{op}` has no size `{name}`", nearest(name, known, "sizes"))
        if not equals:
            raise ConfigError(f"`--shape {part}` says nothing", "it is written NAME=NUMBER,NAME=NUMBER")
        sizes[name] = _value(name, value, known[name])
    return sizes


def _value(name: str, text: str, default: Any) -> Any:
    try:
        if isinstance(default, bool):
            return {"true": True, "false": False}[text.lower()]
        value = type(default)(text)
    except (ValueError, KeyError) as error:
        raise ConfigError(f"`--shape {name}={text}` is no {type(default).__name__}") from error
    if isinstance(value, int) and not 1 <= value <= MOST_SIZE:
        raise ConfigError(f"`--shape {name}={text}` is out of range", f"it is from 1 to {MOST_SIZE:,}")
    return value


def smaller(sizes: Mapping[str, Any], exact: Mapping[str, int]) -> dict[str, Any]:
    """The sizes at which errors are taken."""
    return {name: min(value, exact[name]) if name in exact else value for name, value in sizes.items()}


def measure_machine(device: str, dtype: str, seconds: float, timeout: float) -> Machine:
    found = in_its_own_process(Request("", "", device, dtype, seconds=seconds), timeout)
    if "error" in found:
        raise EnvironmentFault(f"the machine could not be measured: {found['error']}")
    return Machine(**found)


def bench_op(
    name: str,
    op: Any,
    kernels: Sequence[str],
    machine: Machine,
    base: Request,
    *,
    compile_reference: bool,
    timeout: float,
    tell: Callable[[str], object] = lambda text: None,
) -> dict[str, Any]:
    """What was measured of each kernel, as JSON has it, with the fraction of what the machine could do.

    ``base``: what every process is asked, but for the kernel.
    """
    import torch

    workload = op.workload() if hasattr(op, "workload") else None
    work = None
    if workload is not None and workload.work is not None:
        work = workload.work(getattr(torch, base.dtype).itemsize, **base.sizes)
    asked = [(kernel, False) for kernel in kernels]
    if compile_reference and "reference" in kernels:
        asked.append(("reference", True))
    found = []
    for kernel, compiled in asked:
        label = f"{kernel}, compiled" if compiled else kernel
        tell(f"{name}: {label}")
        request = dataclasses.replace(base, op=name, kernel=kernel, compiled=compiled)
        found.append({"kernel": label, "error": None, **in_its_own_process(request, timeout)})
        if work is not None:
            _add_fractions(found[-1], work, machine)
    return {
        "op": name, "device": base.device, "dtype": base.dtype, "sizes": dict(base.sizes),
        "exact_sizes": dict(base.exact_sizes), "work": dataclasses.asdict(work) if work else None, "kernels": found,
    }  # fmt: skip


def _add_fractions(found: dict[str, Any], work: Any, machine: Machine) -> None:
    for part in ("forward", "both"):
        if part in found:
            least = machine.least_seconds(getattr(work, f"{part}_bytes"), getattr(work, f"{part}_operations"))
            found[part]["least_ms"] = least * 1e3
            found[part]["fraction"] = least * 1e3 / found[part]["median_ms"]


def in_its_own_process(request: Request, timeout: float) -> dict[str, Any]:
    """The result, or ``{"error": why there is none}``."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "result.json"
        process = subprocess.Popen(
            [sys.executable, "-m", "golfreg.kernels.measure", str(file)],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace",
            start_new_session=True,
        )  # fmt: skip
        try:
            _, said = process.communicate(json.dumps(dataclasses.asdict(request)), timeout)
        except subprocess.TimeoutExpired:
            return {"error": f"not done after {timeout:g} s"}
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
        if process.returncode < 0:
            return {"error": f"its process was ended by {signal.Signals(-process.returncode).name}"}
        if process.returncode or not file.exists():
            lines = [line for line in said.splitlines() if line.strip()]
            return {"error": lines[-1][:300] if lines else f"its process ended with {process.returncode}"}
        result: dict[str, Any] = json.loads(file.read_text("utf-8"))
        return result
