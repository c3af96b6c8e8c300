"""Triton kernels are compiled for a GPU that is not there, and what they take of it is told."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
import torch

triton = pytest.importorskip("triton")

import triton.language as tl  # noqa: E402

from golfreg.api.errors import ConfigError, EnvironmentFault, PluginError  # noqa: E402
from golfreg.kernels.inspect import architecture, inspect_kernel, launches_of, programs  # noqa: E402
from golfreg.registry.host import get_host  # noqa: E402
from golfreg.registry.resolve import load  # noqa: E402

LIMITS = tomllib.loads((Path(__file__).parents[2] / "golden" / "kernel_limits.toml").read_text())
pytestmark = pytest.mark.skipif(triton.knobs.runtime.interpret, reason="the interpreter compiles nothing")


@triton.jit
def product(x, y, N: tl.constexpr):
    at = tl.arange(0, N)[:, None] * N + tl.arange(0, N)[None, :]
    a = tl.load(x + at)
    tl.store(y + at, tl.dot(a, a).to(tl.bfloat16))


@triton.autotune(configs=[triton.Config({"N": n}, num_warps=4) for n in (16, 32)], key=[])
@triton.jit
def tuned(x, y, N: tl.constexpr):
    at = tl.arange(0, N)
    tl.store(y + at, tl.load(x + at))


def new() -> torch.Tensor:
    return torch.empty(64, 64, dtype=torch.bfloat16, device="meta")


class Kernel:
    def configurations(self) -> dict[str, Any]:
        return {
            "64": lambda: product[(1,)](new(), new(), N=64, num_warps=8),
            "broken": lambda: {}["no such size"],
            "does not compile": lambda: product[(1,)](new(), new(), N=7),
            "tuned": lambda: tuned[(1,)](new(), new()),
        }


def test_registers_shared_memory_and_warps_are_those_of_the_compiled_kernel() -> None:
    (usage,) = inspect_kernel(Kernel(), 90, ("64",))
    assert (usage.configuration, usage.kernel, usage.warps, usage.spilled_bytes) == ("64", "product", 8, 0)
    assert usage.shared_bytes >= 64 * 64 * 2, "an operand of the matrix units lies in shared memory"
    assert 16 <= usage.registers <= 255
    assert usage.programs == programs(90, usage.registers, usage.shared_bytes, 8)


def test_every_configuration_of_an_autotuned_kernel_is_noted() -> None:
    launches = launches_of(Kernel().configurations()["tuned"], "tuned")
    assert [(launch.name, launch.keywords["N"]) for launch in launches] == [("tuned", 16), ("tuned", 32)]


def test_nothing_runs_while_launches_are_noted_and_launching_works_as_before_afterwards() -> None:
    before = triton.runtime.jit.JITFunction.run
    assert [launch.name for launch in launches_of(Kernel().configurations()["64"], "64")] == ["product"]
    assert triton.runtime.jit.JITFunction.run is before


@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        ("broken", PluginError, "configuration `broken` fails before it launches"),
        ("does not compile", PluginError, "`product`, configuration `does not compile`, does not compile for sm_90"),
        ("65", ConfigError, "no configuration `65`"),
    ],
)
def test_what_cannot_be_compiled_is_one_clear_error(name: str, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        list(inspect_kernel(Kernel(), 90, (name,)))


def test_a_kernel_that_names_no_configurations_is_refused() -> None:
    with pytest.raises(PluginError, match="does not say what to compile"):
        list(inspect_kernel(object(), 90))


def test_the_interpreter_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triton.knobs.runtime, "interpret", True)
    with pytest.raises(EnvironmentFault, match="interpreter"):
        list(inspect_kernel(Kernel(), 90, ("64",)))


@pytest.mark.parametrize("text", ["sm_9", "sm_1000", "hopper", "", "sm_90\n"])
def test_an_unknown_architecture_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="no GPU architecture"):
        architecture(text)
    assert architecture("sm_90a") == architecture("sm_90") == 90


@pytest.mark.parametrize(
    ("registers", "shared", "warps", "fit"),
    [(255, 0, 4, 2), (168, 0, 4, 3), (128, 0, 4, 4), (32, 107_280, 4, 2), (32, 0, 1, 32), (32, 230_000, 4, 1)],
)
def test_programs_of_an_h100_are_bounded_by_registers_shared_memory_and_slots(
    registers: int, shared: int, warps: int, fit: int
) -> None:
    assert programs(90, registers, shared, warps) == fit


def within(usage: Any, limits: dict[str, list[int]]) -> None:
    warps, *most = limits[usage.kernel]
    assert usage.warps == warps, f"{usage.kernel}: other warps than the limits are for: make_kernel_limits.py"
    for name, figure in zip(("registers", "spilled_bytes", "shared_bytes"), most, strict=True):
        assert getattr(usage, name) <= figure, f"{usage.kernel} ({usage.configuration}): {name}"


OWN = [c for c in get_host().of_kind("kernel") if c.distribution == "golfreg" and "triton" in c.descriptor.requires]


def test_every_triton_kernel_of_golfreg_has_limits() -> None:
    assert {c.op for c in OWN} == set(LIMITS) - {"triton"}
    for component in OWN:
        offered = load(component).configurations()
        assert set(offered) == set(LIMITS[component.op])
        for name, launch in offered.items():
            assert {one.name for one in launches_of(launch, name)} == set(LIMITS[component.op][name])


@pytest.mark.timeout(900)
@pytest.mark.skipif(LIMITS["triton"] != triton.__version__, reason="the limits are of another Triton")
@pytest.mark.parametrize("component", OWN, ids=lambda c: c.op)
def test_every_kernel_stays_inside_its_limits(component: Any) -> None:
    for usage in inspect_kernel(load(component), 90):
        within(usage, LIMITS[component.op][usage.configuration])
