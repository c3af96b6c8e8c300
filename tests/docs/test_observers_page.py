"""What docs/observers.md shows works: its settings are settings, its events exist."""

from __future__ import annotations

import re
from pathlib import Path

from golfreg.api import observer
from golfreg.config.load import load_spec

PAGE = (Path(__file__).parents[2] / "docs" / "observers.md").read_text("utf-8")


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
