"""mamba-ssm's modules without its ``__init__``, on a package of the same shape that fails in the same way."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("golfreg_mamba_ssm", reason="install it: pip install -e plugins/golfreg-mamba-ssm")

from golfreg.api.errors import EnvironmentFault
from golfreg_mamba_ssm import pins
from golfreg_mamba_ssm.plugin import INSTALL, INSTALL_MAMBA1
from golfreg_mamba_ssm.upstream import upstream


def ours() -> set[str]:
    return {name for name in sys.modules if name.partition(".")[0] == "mamba_ssm"}


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A ``mamba_ssm`` whose ``__init__`` raises, first on the path; what was imported before comes back afterwards."""
    kept = {name: sys.modules.pop(name) for name in ours()}
    root = tmp_path / "mamba_ssm"
    (root / "ops").mkdir(parents=True)
    (root / "__init__.py").write_text("import selective_scan_cuda_that_is_absent\n")
    (root / "ops" / "__init__.py").write_text("")
    (root / "ops" / "helper.py").write_text("VALUE = 7\n")
    (root / "ops" / "good.py").write_text("from mamba_ssm.ops.helper import VALUE\n")
    (root / "ops" / "poor.py").write_text("import a_library_that_is_absent.inside\n")
    (root / "ops" / "bad.py").write_text("from mamba_ssm.ops import helper\nraise RuntimeError('no driver')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    yield root
    for name in ours():
        del sys.modules[name]
    sys.modules.update(kept)


def test_a_module_is_imported_where_the_package_itself_cannot_be(package: Path) -> None:
    with pytest.raises(ImportError):
        importlib.import_module("mamba_ssm")
    assert upstream("ops.good").VALUE == 7
    assert upstream("ops.good") is sys.modules["mamba_ssm.ops.good"]
    assert sys.modules["mamba_ssm"].__spec__.submodule_search_locations == [str(package)]


def test_the_bare_package_says_why_it_is_empty(package: Path) -> None:
    upstream("ops.good")
    with pytest.raises(AttributeError, match="`mamba_ssm.Mamba2`: golfreg-mamba-ssm imported the package without"):
        _ = sys.modules["mamba_ssm"].Mamba2


def test_a_failed_import_leaves_no_trace_and_names_what_is_missing(package: Path) -> None:
    with pytest.raises(
        EnvironmentFault, match="needs `a_library_that_is_absent.inside`|`a_library_that_is_absent`"
    ) as e:
        upstream("ops.poor")
    assert e.value.hint == "pip install a_library_that_is_absent"
    with pytest.raises(EnvironmentFault, match="RuntimeError: no driver") as e:
        upstream("ops.bad")
    assert e.value.hint == INSTALL
    assert ours() == set()


def test_what_was_imported_before_a_failure_stays(package: Path) -> None:
    good = upstream("ops.good")
    with pytest.raises(EnvironmentFault):
        upstream("ops.bad")
    assert sys.modules["mamba_ssm.ops.good"] is good
    assert "mamba_ssm.ops.bad" not in sys.modules


def test_a_package_that_was_imported_whole_is_used_as_it_is(package: Path) -> None:
    (package / "__init__.py").write_text("WHOLE = True\n")
    whole = importlib.import_module("mamba_ssm")
    assert upstream("ops.good").VALUE == 7
    assert sys.modules["mamba_ssm"] is whole


def test_without_mamba_ssm_the_error_is_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ours():
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(EnvironmentFault, match="mamba-ssm is not installed") as e:
        upstream("ops.good")
    assert e.value.hint == INSTALL
    assert ours() == set()


@pytest.mark.parametrize("command", [INSTALL, INSTALL_MAMBA1])
def test_the_readme_shows_the_same_command(command: str) -> None:
    text = (Path(__file__).parents[1] / "README.md").read_text()
    assert command in text.replace("\\\n  ", "")


@pytest.mark.parametrize("kept", [1, 3])
def test_every_kernel_that_tunes_itself_is_left_the_first_of_its_configurations(
    package: Path, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    pytest.importorskip("triton")
    monkeypatch.setattr(pins, "kept", kept)
    (package / "ops" / "tuned.py").write_text(
        "import triton\n"
        "Config = triton.Config\n"
        "@triton.autotune(configs=[Config({'CHUNK_SIZE': c}, num_stages=s, num_warps=w, maxnreg=r)"
        " for c in (32, 64, 128) for s in (1, 2, 3) for w in (2, 4, 8) for r in (128, None)], key=['n'])\n"
        "@triton.jit\n"
        "def kernel(x, n, CHUNK_SIZE):\n"
        "    pass\n"
        "names = ['a', 'b']\n"
    )
    module = upstream("ops.tuned")
    assert len(module.kernel.configs) == kept
    config = module.kernel.configs[0]
    assert (config.kwargs, config.num_warps, config.num_stages, config.maxnreg) == ({"CHUNK_SIZE": 64}, 4, 2, None)
    assert module.names == ["a", "b"]
