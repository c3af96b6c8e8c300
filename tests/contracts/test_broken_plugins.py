"""Eight plugins, each broken in its own way, installed together: each is named with its cause, nothing else stops."""

from __future__ import annotations

import json
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from golfreg.api import Layout, Section
from golfreg.builtin.codecs.standard import ZlibConfig, zlib_codec
from golfreg.config.plan import Chosen
from golfreg.pack.container import write_container
from golfreg.pack.header import Header
from tests.conftest import TINY
from tests.unit.registry.conftest import MINIATURES, with_syntax_error

Golfreg = Callable[..., subprocess.CompletedProcess[str]]

EIGHT = {
    "import_error": "RuntimeError: no licence file found",
    "syntax_error": "SyntaxError: ",
    "new_api": "it was written for GOLFREG_API 99; this golfreg has 1",
    "unknown_hook": "golfreg has no hook `golfreg_codec`",
    "missing_library": "the library `golfreg_absent_library.fast` is not installed",
    "duplicate_name": "conflict with golfreg-duplicate-name 1.11",
    "hook_raises": "`golfreg_codecs` raised LookupError: no table of codecs",
    "absent_target": "the target module `golfreg_absent_target.nowhere` does not exist",
}
"""A miniature of ``tests/plugins``, and the cause that `plugins list` gives for it."""

HELP_SECONDS = 0.35
LEADERBOARD = Path(__file__).parents[2] / "leaderboard"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One directory with all eight distributions."""
    site = tmp_path_factory.mktemp("site")
    for name in EIGHT:
        folder = with_syntax_error(tmp_path_factory.mktemp("made")) if name == "syntax_error" else MINIATURES / name
        shutil.copytree(folder, site, dirs_exist_ok=True)
    assert len(list(site.glob("*.dist-info"))) == 8
    return str(site)


def test_the_list_names_each_of_them_with_its_cause(golfreg: Golfreg, installed: str) -> None:
    done = golfreg("plugins", "list", PYTHONPATH=installed)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    for name, cause in EIGHT.items():
        distribution = f"golfreg-{name.replace('_', '-')}"
        assert any(distribution in line and cause in line for line in done.stdout.splitlines()), (name, done.stdout)
    failures = json.loads(golfreg("plugins", "list", "--json", PYTHONPATH=installed).stdout)["failures"]
    assert {f["plugin"] for f in failures} == set(EIGHT) - {"duplicate_name"}
    assert all(f["error"] and f["hint"] for f in failures)


def test_every_other_command_works(golfreg: Golfreg, installed: str, tiny_corpus: Path, tmp_path: Path) -> None:
    """A run's codec has to be another than `lzma`, which two distributions provide."""
    (artifact := tmp_path / "artifact.golfreg").write_bytes(small_artifact())
    for command in (
        ["run", "--dry-run", "--codec=zlib", f"--corpus=jsonl:{tiny_corpus}", *TINY],
        ["inspect", str(artifact)],
        ["leaderboard", "show", "--root", str(LEADERBOARD)],
        ["data", "list", "--json"],
        ["plugins", "show", "zlib"],
        ["plugins", "check", "zlib"],
        ["plugins", "new", "ninth", "--kind", "codec"],
    ):
        done = golfreg(*command, PYTHONPATH=installed)
        assert done.returncode == 0, (command, done.stderr)
        assert "Traceback" not in done.stderr, command
        assert done.stdout, command


@pytest.mark.slow
def test_a_run_trains_packs_and_scores_beside_them(
    golfreg: Golfreg, installed: str, tiny_corpus: Path, tmp_path: Path
) -> None:
    done = golfreg("run", "--codec=zlib", f"--corpus=jsonl:{tiny_corpus}", "--steps=1", *TINY, PYTHONPATH=installed)
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.glob("runs/*/record.toml"))) == 1


@pytest.mark.parametrize(
    ("codec", "told"),
    [
        ("lzma", "golfreg-duplicate-name 1.11"),
        ("missing-library", "golfreg_absent_library.fast"),
        ("absent-module", "golfreg_absent_target.nowhere"),
        ("import-error", "no licence file found"),
    ],
)
def test_a_run_that_asks_for_a_broken_one_is_told_why(golfreg: Golfreg, installed: str, codec: str, told: str) -> None:
    done = golfreg("run", f"--codec={codec}", "--dry-run", *TINY, PYTHONPATH=installed)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_help_stays_quick_and_imports_no_torch(golfreg: Golfreg, installed: str) -> None:
    """Seconds of a core, the least of some calls: what else runs on the machine is no fault of the program."""
    seconds = []
    for _ in range(12):
        before = core_seconds()
        assert golfreg("--help", PYTHONPATH=installed).returncode == 0
        seconds.append(core_seconds() - before)
        if seconds[-1] < HELP_SECONDS:
            break
    assert min(seconds) < HELP_SECONDS, seconds
    code = (
        "import sys; sys.argv = ['golfreg', {!r}, *{!r}]\n"
        "from golfreg.cli.main import _run\n"
        "code = _run()\n"
        "sys.exit(code or ','.join({{'torch', 'numpy', 'scipy'}} & set(sys.modules)) or 0)"
    )
    for command, *rest in (["--help"], ["plugins", "list"], ["leaderboard", "show", "--root", str(LEADERBOARD)]):
        done = subprocess.run(
            [sys.executable, "-c", code.format(command, rest)],
            env={"PYTHONPATH": installed, "PATH": ""},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, (command, done.stderr)


def core_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def small_artifact() -> bytes:
    """One section, coded by `zlib`; its architecture is nobody's, since `inspect` runs nothing."""
    section = Section(Layout("a.weight", "raw", "scalar", (5,), "float32"), np.ones(5, np.float32))
    header = Header(
        architecture=Chosen("architecture", "none", "nowhere:model", "", "", ""),
        quantizer=Chosen("quantizer", "none", "nowhere:quantizer", "", "", ""),
        codec=Chosen("codec", "zlib", "golfreg.builtin.codecs.standard:zlib_codec", "", "", ""),
        vocab_size=100,
        sequence_length=8,
    )
    return write_container(header, [section.layout], zlib_codec.encode([section], ZlibConfig()), {})
