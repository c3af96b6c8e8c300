"""``golfreg doctor``: what this machine has, what will and will not work, and the command that mends it.

What could hang or crash (a driver, an import of torch) is asked of a child process with a time limit.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from golfreg.data.cache import cache_root
from golfreg.registry.check import install_command, target_fault
from golfreg.registry.host import Host, get_host
from golfreg.runner.rundir import runs_root

LEAST_TORCH = (2, 11)
LEAST_TRITON = (3, 6)
LEAST_DISK_BYTES = 2 << 30
"""A run of the smoke recipe and its data need a tenth of it."""
LEAST_MEMORY_BYTES = 3 << 30
CHILD_SECONDS = 120.0

_TORCH = """
import json, sys, warnings
warnings.simplefilter("ignore")
import torch
said = {"version": torch.__version__, "cuda_build": torch.version.cuda or "", "gpus": []}
try:
    for i in range(torch.cuda.device_count()):
        at = torch.cuda.get_device_properties(i)
        said["gpus"].append({"name": at.name, "memory_bytes": at.total_memory, "capability": f"{at.major}.{at.minor}"})
    if said["gpus"]:
        x = torch.ones(64, 64, device="cuda", dtype=torch.bfloat16)
        said["product"] = float((x @ x).sum())
except Exception as error:
    said["error"] = f"{type(error).__name__}: {error}"
print(json.dumps(said))
"""
_TRITON = "import triton; print(triton.__version__)"
_NETWORK = "from golfreg.score.isolate import cut_network; print(cut_network())"
_FILES = "from golfreg.score.landlock import available; print(available())"


class Health(StrEnum):
    """WARN: something is slower, weaker or missing. FAIL: `golfreg run` will not work."""

    OK = "OK"
    WARN = "WARN"
    FAIL = "FAIL"


@dataclass(frozen=True)
class Symptom:
    """One line of the answer. ``mend``: a command or a step; empty where nothing is wrong."""

    part: str
    health: Health
    found: str
    means: str
    mend: str = ""


def examine() -> list[Symptom]:
    """Look at everything. A check that breaks is a symptom of its own; none stops the others."""
    found: list[Symptom] = []
    for part, look in _LOOKS.items():
        try:
            found += look()
        except Exception as error:
            found.append(Symptom(part, Health.WARN, f"{type(error).__name__}: {error}", "it could not be looked at"))
    return found


def _python() -> Iterator[Symptom]:
    version, where = platform.python_version(), sys.prefix
    yield Symptom("python", Health.OK, f"{version} in {where}", "runs golfreg")
    linux = sys.platform.startswith("linux")
    yield Symptom(
        "system",
        Health.OK if linux else Health.WARN,
        platform.platform(),
        "scores can be isolated" if linux else "scoring blocks sockets and files less strongly than on Linux",
        "" if linux else "score on Linux before you claim a result",
    )


def _torch() -> Iterator[Symptom]:
    said = _child(_TORCH)
    if isinstance(said, str):
        yield Symptom("torch", Health.FAIL, said, "nothing can be trained or scored", "pip install 'torch>=2.11'")
        return
    facts = json.loads(said[0])
    new = _numbers(facts["version"]) >= LEAST_TORCH
    yield Symptom(
        "torch",
        Health.OK if new else Health.FAIL,
        facts["version"],
        "trains and scores" if new else "golfreg needs torch 2.11 or newer",
        "" if new else "pip install --upgrade 'torch>=2.11'",
    )
    yield from _gpu(facts)


def _gpu(facts: dict[str, Any]) -> Iterator[Symptom]:
    driver = _driver()
    if facts["gpus"] and "error" not in facts:
        for gpu in facts["gpus"]:
            able = _numbers(gpu["capability"]) >= (8, 0)
            text = f"{gpu['name']}, {gpu['memory_bytes'] / 2**30:.0f} GiB, sm_{gpu['capability'].replace('.', '')}"
            means = "recipes of GPU tracks run; Triton kernels are chosen where they fit"
            yield Symptom(
                "gpu",
                Health.OK if able else Health.WARN,
                f"{text}; CUDA {facts['cuda_build']}; {driver or 'driver unknown'}",
                means if able else "it has no bfloat16 matrix units: training is slow",
            )
    elif driver:
        why = facts.get("error") or ("torch is built without CUDA" if not facts["cuda_build"] else "torch sees no GPU")
        mend = "install a CUDA build of torch, see pytorch.org/get-started" if not facts["cuda_build"] else "nvidia-smi"
        yield Symptom("gpu", Health.WARN, f"{driver}, but {why}", "runs use the CPU", mend)
    else:
        yield Symptom("gpu", Health.OK, "none", "the recipe is `smoke`, on the CPU; GPU tracks cannot be run here")


def _triton() -> Iterator[Symptom]:
    said = _child(_TRITON)
    if isinstance(said, str):
        yield Symptom("triton", Health.WARN, said, "Triton kernels are left out", "pip install 'triton>=3.6'")
    else:
        new = _numbers(said[0]) >= LEAST_TRITON
        mend = "" if new else "pip install --upgrade 'triton>=3.6'"
        means = "Triton kernels can be compiled" if new else "golfreg's kernels are made for 3.6 and newer"
        yield Symptom("triton", Health.OK if new else Health.WARN, said[0], means, mend)
    compiler = next((name for name in ("cc", "gcc", "clang") if shutil.which(name)), None)
    yield Symptom(
        "compiler",
        Health.OK if compiler else Health.WARN,
        shutil.which(compiler) or "" if compiler else "no C compiler",
        "torch.compile and Triton work" if compiler else "torch.compile and Triton fail when they build",
        "" if compiler else "apt-get install gcc, or your system's C compiler",
    )


def _machine() -> Iterator[Symptom]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    enough = memory >= LEAST_MEMORY_BYTES
    yield Symptom(
        "machine",
        Health.OK if enough else Health.WARN,
        f"{cores} cores, {memory / 2**30:.1f} GiB",
        "enough for the smoke recipe" if enough else "the smoke recipe needs about 3 GiB",
    )
    for part, path in (("cache", cache_root()), ("runs", runs_root())):
        yield _disk(part, path)


def _disk(part: str, path: Path) -> Symptom:
    near = path.absolute()
    while not near.exists():
        near = near.parent
    free = shutil.disk_usage(near).free
    text = f"{path}: {free / 2**30:.1f} GiB free"
    variable = f"GOLFREG_{part.upper()}"
    if not near.is_dir() or not os.access(near, os.W_OK | os.X_OK):
        return Symptom(part, Health.FAIL, f"{path}: not yours to write", "runs fail", f"export {variable}=DIRECTORY")
    if free < LEAST_DISK_BYTES:
        return Symptom(part, Health.WARN, text, "a full disk ends a run", f"free some, or export {variable}=DIRECTORY")
    return Symptom(part, Health.OK, text, "data is prepared here" if part == "cache" else "run directories lie here")


def _isolation() -> Iterator[Symptom]:
    said = _child(_NETWORK)
    how = said if isinstance(said, str) else said[0]
    cut = how in ("namespace", "user namespace")
    yield Symptom(
        "network",
        Health.OK if cut else Health.WARN,
        how,
        "scoring has no network" if cut else "scoring blocks sockets only; records say so, and GR307 warns",
        "" if cut else "allow user namespaces: sysctl kernel.unprivileged_userns_clone=1, or score as root",
    )
    said = _child(_FILES)
    locked = not isinstance(said, str) and said[0] == "True"
    yield Symptom(
        "files",
        Health.OK if locked else Health.WARN,
        "Landlock" if locked else "no Landlock",
        "scoring reads the artifact and libraries only"
        if locked
        else "files that compiled code opens while scoring are not seen",
        "" if locked else "a kernel of 5.13 or newer with Landlock switched on",
    )


def _plugins(host: Callable[[], Host] = get_host) -> Iterator[Symptom]:
    loaded = host()
    for failure in loaded.failures:
        name = failure.component or f"`{failure.plugin}`"
        leave_out = f"GOLFREG_DISABLE_PLUGINS={failure.plugin}"
        yield Symptom(
            "plugin",
            Health.WARN,
            f"{name} of {failure.provider.distribution}: {failure.error}",
            "what it offers is missing; nothing else is",
            f"{failure.hint or f'pip install --upgrade {failure.provider.distribution}'}; or {leave_out}",
        )
    usable = 0
    lacking: dict[tuple[str, str, str], list[str]] = {}
    for component in loaded.components:
        rivals = loaded.rivals(component)
        fault = "" if component.missing else target_fault(component.target)
        if fault:
            found, means = f"{component.label} of {component.distribution}: {fault}", "a run that asks for it stops"
            yield Symptom("plugin", Health.WARN, found, means, f"report it to the author of {component.distribution}")
        usable += not (rivals or fault or component.missing or component.missing_programs)
        for rival in rivals:
            if component.distribution < rival.distribution:
                found = f"{component.label} is of {component.distribution} and of {rival.distribution}"
                yield Symptom("conflict", Health.WARN, found, "neither can be used", "pip uninstall one of the two")
        if component.missing and component.kind == "kernel":
            lack = "library", ", ".join(component.missing), install_command(component.descriptor, component.missing)
        elif programs := ", ".join(component.missing_programs):
            lack = "program", programs, f"install {programs}, a package of your system"
        else:
            continue
        lacking.setdefault(lack, []).append(component.label)
    for (part, names, mend), labels in lacking.items():
        found = f"{', '.join(labels)}: {names} not installed"
        yield Symptom(part, Health.WARN, found, "cannot be chosen; an op's other kernels can", mend)
    yield Symptom("plugins", Health.OK, f"{usable} of {len(loaded.components)} components", "can be used")


def _optional() -> Iterator[Symptom]:
    for distribution, what, mend in (
        ("matplotlib", "plots and the leaderboard's site", "pip install 'golfreg[plots]'"),
        ("huggingface_hub", "`golfreg data get`", "pip install huggingface_hub"),
    ):
        try:
            version = importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            yield Symptom(distribution, Health.WARN, "not installed", f"no {what}", mend)
        else:
            yield Symptom(distribution, Health.OK, version, what)
    git = shutil.which("git")
    mend = "" if git else "apt-get install git"
    yield Symptom("git", Health.OK if git else Health.WARN, git or "not found", "`golfreg leaderboard diff`", mend)


_LOOKS: dict[str, Callable[[], Iterator[Symptom]]] = {
    "python": _python,
    "torch": _torch,
    "triton": _triton,
    "machine": _machine,
    "isolation": _isolation,
    "plugins": _plugins,
    "optional": _optional,
}


def _child(code: str) -> list[str] | str:
    """The lines that a Python process prints, or, as text, why there are none."""
    command = [sys.executable, "-P", "-c", code]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=CHILD_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"no answer within {CHILD_SECONDS:g} s"
    except OSError as error:
        return f"cannot be started: {error.strerror}"
    lines = done.stdout.strip().splitlines()
    if done.returncode == 0 and lines:
        return lines[-1:]
    complaint = done.stderr.strip().splitlines()
    return complaint[-1][:300] if complaint else f"ended with {done.returncode}"


def _driver() -> str:
    """Version of the NVIDIA driver as its program says it; empty without one."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return ""
    command = [program, "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "nvidia-smi does not answer"
    lines = done.stdout.strip().splitlines()
    return f"driver {lines[0].strip()}" if done.returncode == 0 and lines else "nvidia-smi reports no driver"


def _numbers(version: str) -> tuple[int, ...]:
    """(2, 11) of 2.11.0+cu130."""
    parts = version.partition("+")[0].split(".")[:2]
    return tuple(int("".join(c for c in part if c.isdigit()) or 0) for part in parts)
