"""What docs/observers.md shows works: its observer keeps the contract, its settings are settings, its events exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from golfreg.api import observer
from golfreg.config.load import load_spec
from golfreg.registry.host import Host
from golfreg.registry.records import Provider, Source
from golfreg.registry.settings import configure
from golfreg.testing.observers import check_observer

PAGE = (Path(__file__).parents[2] / "docs" / "observers.md").read_text("utf-8")


def test_the_observer_of_the_page_keeps_the_contract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = dict(re.findall(r"<!-- file: (\S+) -->\n```python\n(.*?)```", PAGE, re.DOTALL))
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)

    def load() -> object:
        import golfreg_bell.plugin

        return golfreg_bell.plugin

    host = Host([Source(Provider("bell", "golfreg-bell", "1.0", "golfreg_bell.plugin"), load)])
    assert host.failures == []
    (component,) = host.of_kind("observer")
    check_observer(*configure(component, {"times": 2}))


def test_the_recipe_of_the_page_is_read(tmp_path: Path) -> None:
    (text,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "mine.toml").write_text(f"schema = 1\n{text}", "utf-8")
    loaded = load_spec(tmp_path / "mine.toml", {})
    assert loaded.observers == ("jsonl", "trackio")
    assert loaded.observer["trackio"] == {"project": "mine"}


def test_the_page_and_the_interface_name_the_same_events() -> None:
    (table,) = re.findall(r"\| `event` \|.*?\n\n", PAGE, re.DOTALL)
    assert observer.__doc__ is not None
    assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) - {"event"} == set(
        re.findall(r"^- ``(\w+)``: ", observer.__doc__, re.MULTILINE)
    )
