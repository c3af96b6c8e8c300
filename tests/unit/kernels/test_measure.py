"""One kernel measured in this process: what is told when it is refused, too large, or right."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from golfreg.kernels import launches
from golfreg.kernels import measure as module
from golfreg.kernels.launches import watched_launches
from golfreg.kernels.measure import Request, measure
from golfreg.kernels.timing import Machine, timed

SIZES = {"positions": 3, "width": 8, "kind": "relu2"}


def request(kernel: str = "reference", **changed: Any) -> Request:
    return Request("mlp_activation", kernel, "cpu", "float32", SIZES, SIZES, seconds=0.0, **changed)


def test_a_right_kernel_is_timed_forward_and_with_gradients() -> None:
    found = measure(request())
    assert found["right"]
    assert found["errors"].keys() == {"0", "d x"}
    assert found["forward"]["calls"] >= 5
    assert found["both"]["median_ms"] > 0
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_a_kernel_that_cannot_run_here_is_not_called() -> None:
    found = measure(request("triton"))
    assert "NVIDIA" in found["refusal"]
    assert "errors" not in found


def test_one_that_does_not_fit_the_devices_memory_has_errors_and_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: Any) -> Any:
        raise torch.cuda.OutOfMemoryError("too much")

    monkeypatch.setattr(module, "_first_call", full)
    found = measure(request())
    assert found["right"]
    assert found["untimed"] == "the device's memory does not hold positions=3 width=8 kind=relu2"
    assert "forward" not in found


def test_an_op_without_sizes_is_timed_on_its_largest_case() -> None:
    bare = Request("mlp_activation", "reference", "cpu", "float32", seconds=0.0)
    op = module.load(module.resolve("op", "mlp_activation"))
    inputs, gradients = module._inputs(op, bare, bare.sizes)
    assert inputs["x"].shape == (11, 401)
    assert gradients == ("x",)


def test_the_median_lies_between_the_quartiles_and_short_calls_are_made_often() -> None:
    calls: list[None] = []
    times = timed(lambda: calls.append(None), "cpu", 10.0)
    assert times.calls == 200
    assert len(calls) == 204
    assert times.quarter_ms <= times.median_ms <= times.three_quarters_ms


def test_the_roofline_is_the_slower_of_moving_and_computing() -> None:
    machine = Machine("x", copy_bytes_per_second=100.0, product_operations_per_second=1000.0)
    assert machine.least_seconds(200, 10) == 2.0
    assert machine.least_seconds(200, 5000) == 5.0


def test_launches_that_run_are_noted_with_what_was_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    jit = pytest.importorskip("triton.runtime.jit")
    made = SimpleNamespace(n_regs=32)
    monkeypatch.setattr(jit.JITFunction, "run", lambda self, *arguments, grid, warmup, **keywords: made)
    fake = SimpleNamespace(__name__="fake")
    with watched_launches() as found:
        assert jit.JITFunction.run(fake, 1, grid=(1,), warmup=False) is made
    assert [(launch.name, launch.compiled) for launch in found] == [("fake", made)]


def test_where_there_is_no_triton_nothing_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(launches.importlib, "import_module", absent)
    with watched_launches() as found:
        pass
    assert found == []
