"""``golfreg kernels inspect``, as a user runs it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest


def inspect(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "golfreg", "kernels", "inspect", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=250, check=False)


def test_the_kernels_of_an_op_are_compiled_without_a_gpu() -> None:
    pytest.importorskip("triton")
    done = inspect("mlp_activation", "--arch=sm_80", "--configuration=bfloat16", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["op"], found["arch"]) == ("mlp_activation", "sm_80")
    assert [k["kernel"] for k in found["kernels"]] == ["forward_kernel", "backward_kernel"]
    assert all(k["implementation"] == "triton" and 0 < k["registers"] < 256 for k in found["kernels"])


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("mlp_activaton",), "did you mean `mlp_activation`?"),
        (("mlp_activation", "--kernel=trton"), "did you mean `triton`?"),
        (("mlp_activation", "--arch=sm90"), "no GPU architecture"),
    ],
)
def test_what_cannot_be_inspected_is_one_clear_error(arguments: tuple[str, ...], says: str) -> None:
    done = inspect(*arguments)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
