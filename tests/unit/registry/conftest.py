"""Puts the miniature distributions of ``tests/plugins`` on the path."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from golfreg.registry.host import Host, get_host

MINIATURES = Path(__file__).parents[2] / "plugins"


@pytest.fixture(autouse=True)
def _quiet_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOLFREG_DISABLE_PLUGINS", raising=False)
    monkeypatch.delenv("GOLFREG_STRICT_PLUGINS", raising=False)


@pytest.fixture
def miniatures(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., list[str]]]:
    """A function that puts the named miniatures on ``sys.path`` and returns the whole path."""

    def on_path(*names: str) -> list[str]:
        for name in names:
            folder = with_syntax_error(tmp_path) if name == "syntax_error" else MINIATURES / name
            assert folder.is_dir(), f"there is no miniature `{name}`"
            monkeypatch.syspath_prepend(folder)
        return list(sys.path)

    before = set(sys.modules)
    yield on_path
    for module in set(sys.modules) - before:
        if module.startswith("golfreg_"):
            del sys.modules[module]
    get_host.cache_clear()


@pytest.fixture
def host_with(miniatures: Callable[..., list[str]]) -> Callable[..., Host]:
    """A function that loads the built-ins and the named miniatures."""
    return lambda *names, **options: Host(path=miniatures(*names), **options)


def with_syntax_error(folder: Path) -> Path:
    """The miniature `works` under another name, and damaged. Not kept as a file: no linter could read the tree."""
    made = folder / "syntax_error"
    shutil.copytree(MINIATURES / "works" / "golfreg_works", made / "golfreg_syntax_error")
    with (made / "golfreg_syntax_error" / "plugin.py").open("a") as file:
        file.write("\n\ndef golfreg_codecs(:\n")
    info = made / "golfreg_syntax_error-2.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: golfreg-syntax-error\nVersion: 2.0\n")
    (info / "entry_points.txt").write_text("[golfreg]\nsyntax_error = golfreg_syntax_error.plugin\n")
    return made
