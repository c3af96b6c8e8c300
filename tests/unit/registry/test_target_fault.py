"""What can be seen of a wrong target without importing it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from golfreg.registry.check import target_fault


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package whose modules raise when they are imported."""
    folder = tmp_path / "golfreg_seen"
    folder.mkdir()
    (folder / "__init__.py").write_text("raise RuntimeError('imported')\n")
    for name, text in {
        "plain": "codec = 1\n",
        "other": "# encodes and decodes: codecs\nencodec = codec2 = 1\n",
        "starred": "from json import *\n",
        "dynamic": "def __getattr__(name): ...\n",
        "made": "globals()['co' + 'dec'] = 1\n",
    }.items():
        (folder / f"{name}.py").write_text(f"raise RuntimeError('imported')\n{text}")
    monkeypatch.syspath_prepend(tmp_path)
    return "golfreg_seen"


@pytest.mark.parametrize("module", ["plain", "starred", "dynamic", "made"])
def test_a_target_that_may_be_there_is_no_fault(package: str, module: str) -> None:
    assert target_fault(f"{package}.{module}:codec") is None


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("other:codec", "`golfreg_seen.other` has no `codec`"),
        ("absent:codec", "`golfreg_seen.absent` does not exist"),
        ("plain.deeper:codec", "`golfreg_seen.plain.deeper` does not exist"),
    ],
)
def test_a_target_that_is_not_there_is_told(package: str, target: str, told: str) -> None:
    assert told in (target_fault(f"{package}.{target}") or "")


def test_nothing_is_imported_to_look(package: str) -> None:
    target_fault(f"{package}.plain:codec")
    assert not any(name.startswith(package) for name in sys.modules)


def test_nothing_is_said_of_compiled_modules_and_of_every_built_in() -> None:
    from golfreg.registry.host import Host

    assert target_fault("_json:whatever") is None
    assert [c.label for c in Host(path=sys.path).components if target_fault(c.target)] == []
