"""Write ``kernel_limits.toml``: what golfreg's Triton kernels take of an H100, as they compile now.

    python tests/golden/make_kernel_limits.py [OP]...

Run it when a kernel is changed for the better, or on purpose; the test only lets the figures fall.
"""

from __future__ import annotations

import json
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

from golfreg.kernels.inspect import inspect_kernel
from golfreg.registry.host import get_host
from golfreg.registry.resolve import load

FILE = Path(__file__).with_name("kernel_limits.toml")
HEAD = "# Made by tests/golden/make_kernel_limits.py: warps, registers, spilled bytes and shared bytes on sm_90.\n"


def main(ops: list[str]) -> None:
    found = tomllib.loads(FILE.read_text("utf-8")) if FILE.exists() else {}
    for component in get_host().of_kind("kernel"):
        target = load(component) if component.distribution == "golfreg" else None
        if not hasattr(target, "configurations") or (ops and component.op not in ops):
            continue
        found[component.op] = tables = {}
        for usage in inspect_kernel(target, 90):
            figures = [usage.warps, usage.registers, usage.spilled_bytes, usage.shared_bytes]
            table = tables.setdefault(usage.configuration, {})
            # A kernel that is launched twice, for forward and backward, is held to the larger figures.
            table[usage.kernel] = [max(pair) for pair in zip(figures, table.get(usage.kernel, figures), strict=True)]
    found["triton"] = version("triton")
    lines = [HEAD, f"triton = {json.dumps(found.pop('triton'))}\n"]
    for op, configurations in sorted(found.items()):
        for name, kernels in configurations.items():
            lines.append(f"\n[{op}.{json.dumps(name)}]\n")
            lines += [f"{kernel} = {figures}\n" for kernel, figures in kernels.items()]
    FILE.write_text("".join(lines), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
