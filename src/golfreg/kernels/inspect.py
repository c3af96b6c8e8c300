"""What a Triton kernel takes of a GPU, found by compiling it for that GPU: none is needed.

A kernel target says what to compile with ``configurations`` (``golfreg.api.protocols.InspectableKernel``).
"""

from __future__ import annotations

import importlib
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from golfreg.api.errors import ConfigError, EnvironmentFault, PluginError
from golfreg.kernels.launches import Launch, noted_launches

REGISTERS, WARP, STATIC_SHARED = 65_536, 32, 1_024
"""32-bit registers of a multiprocessor, threads of a warp, shared bytes that CUDA itself keeps for each program."""
MULTIPROCESSORS = {
    80: (164, 64),
    86: (100, 48),
    87: (164, 48),
    89: (100, 48),
    90: (228, 64),
    100: (228, 64),
    120: (100, 48),
}
"""By compute capability: KiB of shared memory and warps. Source: CUDA C++ Programming Guide, "Compute Capabilities"."""
_USAGE = re.compile(r"Function (\S+):\s+REG:(\d+) STACK:(\d+) SHARED:(\d+) LOCAL:(\d+)")


@dataclass(frozen=True)
class Usage:
    """One compiled kernel. ``spilled_bytes``: stack of each thread, where values lie that no register is left for.

    ``programs``: how many fit a multiprocessor at once by registers, shared memory and warps; None: its
    limits are not known here.
    """

    configuration: str
    kernel: str
    warps: int
    registers: int
    spilled_bytes: int
    shared_bytes: int
    programs: int | None


def architecture(text: str) -> int:
    """90 for ``sm_90``. ConfigError for anything else."""
    match = re.fullmatch(r"sm_(\d{2,3})a?", text)
    if match is None or int(match[1]) not in MULTIPROCESSORS:
        known = ", ".join(f"`sm_{n}`" for n in MULTIPROCESSORS)
        raise ConfigError(f"`{text}` is no GPU architecture that kernels are compiled for", f"known: {known}")
    return int(match[1])


def inspect_kernel(
    target: Any, arch: int, configurations: tuple[str, ...] = (), tell: Callable[[str], object] = lambda text: None
) -> Iterator[Usage]:
    """Compile what the configurations (all, if none is named) launch. ``tell`` hears what is compiled.

    ConfigError for a configuration that the kernel does not have, PluginError if it has none or a launch fails.
    """
    has = getattr(target, "configurations", None)
    if has is None:
        raise PluginError(
            "the kernel does not say what to compile", "its target needs `configurations`: golfreg.api.protocols"
        )
    offered = has()
    for name in configurations:
        if name not in offered:
            raise ConfigError(
                f"the kernel has no configuration `{name}`", f"it has {', '.join(f'`{n}`' for n in offered)}"
            )
    for name in configurations or offered:
        for launch in launches_of(offered[name], name):
            tell(f"{launch.name} ({name})")
            yield compiled(launch, arch, name)


def launches_of(launch: Callable[[], object], name: str) -> list[Launch]:
    """What a configuration launches; a kernel that it launches twice alike is here twice."""
    with noted_launches() as found:
        try:
            launch()
        except Exception as error:
            raise PluginError(f"configuration `{name}` fails before it launches: {error}") from error
    return found


def compiled(launch: Launch, arch: int, configuration: str = "") -> Usage:
    """Compile one noted launch. PluginError with the compiler's first words if it does not compile."""
    jit = importlib.import_module("triton.runtime.jit")
    compiler = importlib.import_module("triton.compiler")
    target = importlib.import_module("triton.backends.compiler").GPUTarget("cuda", arch, WARP)
    knobs = importlib.import_module("triton").knobs
    function = launch.function
    keywords = {**launch.keywords, "debug": launch.keywords.get("debug", function.debug) or knobs.runtime.debug}
    if hasattr(knobs.compilation, "instrumentation_mode"):
        keywords["instrumentation_mode"] = knobs.compilation.instrumentation_mode
    try:
        backend = compiler.make_backend(target)
        bind = jit.create_function_from_signature(function.signature, function.params, backend)
        bound, specialization, options = bind(*launch.arguments, **keywords)
        options, signature, constants, attributes = function._pack_args(
            backend, keywords, bound, specialization, options
        )
        source = compiler.ASTSource(function, signature, constants, attributes)
        made = compiler.compile(source, target=target, options=options.__dict__)
    except Exception as error:
        lines = [line for line in str(error).splitlines() if line.strip()]
        raise PluginError(
            f"kernel `{launch.name}`, configuration `{configuration}`, does not compile for sm_{arch}: "
            f"{type(error).__name__}: {lines[0] if lines else ''}"
        ) from error
    registers, stack = resources(made.asm["cubin"], knobs)
    shared, warps = int(made.metadata.shared), int(made.metadata.num_warps)
    return Usage(configuration, launch.name, warps, registers, stack, shared, programs(arch, registers, shared, warps))


def resources(cubin: bytes, knobs: Any) -> tuple[int, int]:
    """(registers, bytes of stack) of each thread, by the tool ``cuobjdump`` that Triton's package brings."""
    try:
        tool = knobs.nvidia.cuobjdump.path
    except Exception as error:
        raise EnvironmentFault(f"Triton's package has no cuobjdump: {error}", "reinstall triton") from error
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "kernel.cubin"
        file.write_bytes(cubin)
        done = subprocess.run([tool, "-res-usage", str(file)], capture_output=True, text=True, timeout=120, check=False)
    found = _USAGE.search(done.stdout)
    if found is None:
        raise EnvironmentFault(f"cuobjdump says nothing of the kernel: {(done.stderr or done.stdout).strip()[:200]}")
    return int(found[2]), int(found[3]) + int(found[5])


def programs(arch: int, registers: int, shared_bytes: int, warps: int) -> int | None:
    """Programs that a multiprocessor holds at once. Registers are given to warps in units of 256."""
    if arch not in MULTIPROCESSORS:
        return None
    shared_kib, most_warps = MULTIPROCESSORS[arch]
    by_registers = REGISTERS // max(-(-registers * WARP // 256) * 256, 256) // warps
    by_shared = shared_kib * 1024 // (shared_bytes + STATIC_SHARED)
    return min(by_registers, by_shared, most_warps // warps, 32)
