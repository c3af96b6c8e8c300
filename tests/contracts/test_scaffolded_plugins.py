"""Each kind as a stranger does it, in a fresh environment: written, changed, installed, checked, run, uninstalled."""

from __future__ import annotations

import json
import os
import shlex
import site
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import golfreg
from tests.conftest import TINY

Command = Callable[..., subprocess.CompletedProcess[str]]

CHANGES = {
    "codec": ("codec.py", "level: int = 9", "level: int = 6"),
    "mixer": ("mixer.py", "width: int = 8", "width: int = 5"),
    "quantizer": ("quantizer.py", "bits: int = 6", "bits: int = 5"),
    "architecture": ("architecture.py", "mlp_ratio: int = 3", "mlp_ratio: int = 2"),
    "op": ("mixer.py", "longest: float = 64.0", "longest: float = 32.0"),
    "kernel": ("plugin.py", 'summary="computes again', 'summary="mine: computes again'),
    "corpus": ("plugin.py", 'summary="text files', 'summary="mine: text files'),
    "observer": ("observer.py", "every_steps: int = 1", "every_steps: int = 2"),
}
QUICK = {"codec"}
UNTESTED = {"mixer"}
"""Its own pytest is left to the kinds beside it: `check` has run the same checks."""
HEADS = ["--set=mixer.n_heads=4", "--set=mixer.n_kv_heads=4"]
"""The recipe's attention has five heads, which do not divide the tiny width."""


@pytest.fixture
def fresh(tmp_path: Path, cache: Path) -> Command:
    """Run a command of the README in an environment of its own, which sees the libraries of this one."""
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True, timeout=60)
    (packages,) = environment.glob("lib/python*/site-packages")
    seen = "; ".join(f"site.addsitedir({path!r})" for path in site.getsitepackages())
    source = Path(golfreg.__file__).parents[1]
    (packages / "libraries.pth").write_text(f"import site; {seen}\n{source}\n")

    def call(*words: str, cwd: Path = tmp_path, timeout: float = 280) -> subprocess.CompletedProcess[str]:
        """``golfreg``, ``pip`` and ``pytest`` are those of the environment."""
        return subprocess.run(
            [str(environment / "bin" / "python"), "-m", *words],
            cwd=cwd,
            env={
                **{k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")},
                "GOLFREG_CACHE": str(cache),
                "OMP_NUM_THREADS": "1",
                "PIP_NO_INDEX": "1",
                "PIP_DISABLE_PIP_VERSION_CHECK": "1",
                "PIP_ROOT_USER_ACTION": "ignore",
            },
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    return call


def done(result: subprocess.CompletedProcess[str]) -> str:
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-4000:]
    return result.stdout


@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", [k if k in QUICK else pytest.param(k, marks=pytest.mark.slow) for k in CHANGES])
def test_a_new_plugin_is_changed_installed_checked_run_and_uninstalled(
    kind: str, fresh: Command, tmp_path: Path, tiny_corpus: Path
) -> None:
    made = json.loads(done(fresh("golfreg", "plugins", "new", f"golfreg-my-{kind}", "--kind", kind, "--json")))
    install, check, run = (shlex.split(command) for command in made["commands"])
    name, distribution, folder = made["name"], made["distribution"], tmp_path / made["directory"]
    assert (name, distribution) == (f"my-{kind}", f"golfreg-my-{kind}")
    change_one_line(folder / "src" / made["package"] / CHANGES[kind][0], *CHANGES[kind][1:])

    done(fresh(*install, "--no-deps", "--no-build-isolation"))
    assert distribution in done(fresh("golfreg", "plugins", "list"))
    shown = done(fresh("golfreg", "plugins", "show", name))
    assert changed_value(kind) in shown
    assert "failed" not in done(fresh(*check))
    if kind not in UNTESTED:
        assert " passed" in done(fresh("pytest", "-q", "-p", "no:cacheprovider", cwd=folder))

    data = [] if kind == "corpus" else [f"--corpus=jsonl:{tiny_corpus}"]
    tiny = TINY if kind != "corpus" else [setting for setting in TINY if "tokenizer" not in setting]
    done(fresh(*run, "--steps=2", *data, *tiny, *(HEADS if kind == "architecture" else [])))
    (path,) = tmp_path.glob("runs/*/record.toml")
    if kind == "observer":
        table = (path.parent / "observers" / name / "steps.csv").read_text("utf-8").splitlines()
        assert [row.partition(",")[0] for row in table] == ["step", "2"]
    else:
        assert distribution in used(kind, name, tomllib.loads(path.read_text("utf-8")))

    done(fresh("pip", "uninstall", "--yes", distribution))
    assert distribution not in done(fresh("golfreg", "plugins", "list"))
    refused = fresh(*check)
    assert (refused.returncode, "Traceback" in refused.stderr) == (2, False)


def change_one_line(path: Path, before: str, after: str) -> None:
    text = path.read_text("utf-8")
    assert text.count(before) == 1
    path.write_text(text.replace(before, after), encoding="utf-8")


def changed_value(kind: str) -> str:
    after = CHANGES[kind][2]
    return "mine: " if "mine: " in after else after.rpartition(" ")[2]


def used(kind: str, name: str, record: dict[str, Any]) -> list[str]:
    """Distributions of the component in the record; for an op of the kernel that was chosen too."""
    components = record["components"]
    if kind == "mixer":
        return [components["mixers"][name]["distribution"]]
    if kind == "op":
        assert record["kernels"][name]["kernel"] == name
        return [components["mixers"][name]["distribution"]]
    if kind == "kernel":
        assert record["kernels"]["mamba3_siso"]["kernel"] == name
        return [record["kernels"]["mamba3_siso"]["distribution"]]
    return [components[kind]["distribution"]]
