"""The corpus keeps the contract of its kind, fetching included, on a stand-in hub."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("golfreg_fineweb", reason="install it: pip install -e plugins/golfreg-fineweb")

from golfreg.testing.kit import Check, Subject, checks, iter_components
from golfreg_fineweb.corpus import fineweb


@pytest.mark.parametrize("check", [pytest.param(c, id=c.name) for c in checks("corpus")])
@pytest.mark.parametrize("argument", ["sp1024", "byte260"])
def test_the_corpus_keeps_its_contract(hub: Any, tmp_path: Path, check: Check, argument: str) -> None:
    (tmp_path / "cache").mkdir()
    fineweb.fetch(argument, tmp_path / "cache", 1, lambda done, total, text: None)
    asked = len(hub.log)
    check.run(Subject(fineweb, argument=argument, takes_argument=True, directory=tmp_path))
    assert len(hub.log) == asked


def test_the_distribution_registers_the_corpus_and_nothing_else() -> None:
    assert [c.label for c in iter_components(distribution="golfreg-fineweb")] == ["corpus `fineweb`"]
