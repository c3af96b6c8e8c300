"""Which recipe a run starts from. Imports torch only to look for a GPU, when nothing else decides."""

from __future__ import annotations

import os
from pathlib import Path

from golfreg.api.errors import ConfigError, nearest
from golfreg.config import strict
from golfreg.config.load import MAX_RECIPE_BYTES, RECIPES_DIR, read_recipes


def list_recipes() -> list[str]:
    """Names of the shipped recipes."""
    return sorted(path.stem for path in RECIPES_DIR.glob("*.toml"))


def recipe_summary(path: Path) -> str:
    """Its ``summary``, or empty. InputError for a file that is no TOML."""
    found = strict.parse_toml(strict.read_text(path, "recipe", MAX_RECIPE_BYTES), f"recipe `{path}`").get("summary", "")
    return found if isinstance(found, str) else ""


def recipe_value(path: Path, table: str, key: str) -> str:
    """What a recipe, or one that it extends, sets; empty if it leaves it to the default. ``table`` "": the top."""
    value = ""
    for _, tables in read_recipes(path):
        part = tables.get(table, {}) if table else tables
        value = str(part.get(key, value)) if isinstance(part, dict) else value
    return value


def find_recipe(name: str) -> Path:
    """The file of a recipe that was asked for. ConfigError for an unknown name, with the nearest one."""
    if name in list_recipes():
        return RECIPES_DIR / f"{name}.toml"
    if name.endswith(".toml") or os.sep in name:
        return Path(name)
    raise ConfigError(
        f"there is no recipe `{name}`",
        f"{nearest(name, list_recipes(), 'shipped')}; or give a path that ends in .toml",
    )


def choose_recipe(name: str | None, device: str | None) -> tuple[Path, str]:
    """The recipe's file, and a sentence that says which it is and why."""
    if name is not None:
        return find_recipe(name), f"recipe `{name}`, as asked"
    if device != "cpu":
        import torch

        if torch.cuda.is_available():
            return find_recipe("gpu-150s"), f"recipe `gpu-150s`: {torch.cuda.get_device_name(0)} was found"
    why = "the CPU was asked for" if device == "cpu" else "no GPU was found"
    return find_recipe("smoke"), f"recipe `smoke`: {why}; its score compares only within its track"
