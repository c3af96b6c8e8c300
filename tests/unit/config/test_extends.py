"""A recipe that says what differs from another one."""

from pathlib import Path

import pytest

from golfreg.api.errors import ConfigError, InputError
from golfreg.config.load import load_spec


def test_a_recipe_changes_what_it_names_and_keeps_the_rest(tmp_path: Path) -> None:
    (tmp_path / "base.toml").write_text("schema = 1\nseed = 3\n[train]\nsteps = 5\nmatrix_lr = 0.5\n[mixer.a]\nb = 1\n")
    path = tmp_path / "own.toml"
    path.write_text('schema = 1\nextends = "base.toml"\n[train]\nsteps = 6\n[mixer.a]\nc = 2\n')
    loaded = load_spec(path, {})
    assert (loaded.spec.seed, loaded.spec.train.steps, loaded.spec.train.matrix_lr) == (3, 6, 0.5)
    assert loaded.spec.mixer == {"a": {"b": 1, "c": 2}}
    assert loaded.origin("train.steps").text == "recipe own.toml"
    assert loaded.origin("train.matrix_lr").text == "recipe base.toml"


def test_a_shipped_recipe_is_extended_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text('schema = 1\nextends = "smoke"\n')
    assert load_spec(path, {}).spec.ruleset == "cpu-smoke"


def test_what_cannot_be_extended_is_said(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text('schema = 1\nextends = "own.toml"\n')
    with pytest.raises(ConfigError, match="extends a recipe that extends"):
        load_spec(path, {})
    path.write_text("schema = 1\nextends = 3\n")
    with pytest.raises(ConfigError, match="`extends` is 3"):
        load_spec(path, {})
    path.write_text('schema = 1\nextends = "no-such"\n')
    with pytest.raises(InputError, match=r"no-such\.toml"):
        load_spec(path, {})
