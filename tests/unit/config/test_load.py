from pathlib import Path

import pytest

from golfreg.api.errors import ConfigError, InputError
from golfreg.config.load import load_spec, parse_value


def recipe(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_later_layer_wins_and_its_origin_is_kept(tmp_path: Path) -> None:
    path = recipe(tmp_path, "schema = 1\nseed = 2\n[train]\nsteps = 10\nmatrix_lr = 1\n[components]\ncodec = 'zlib'\n")
    loaded = load_spec(
        path,
        {"GOLFREG_TRAIN__STEPS": "20", "GOLFREG_SEED": "3", "HOME": "/"},
        ["seed=4", "train.steps=30"],
        {"seed": ("--seed", 5)},
    )
    assert (loaded.spec.seed, loaded.spec.train.steps, loaded.spec.train.matrix_lr) == (5, 30, 1.0)
    assert loaded.spec.components.codec == "zlib"
    assert loaded.origin("seed").text == "--seed"
    assert loaded.origin("train.steps").text == "--set train.steps=30"
    assert loaded.origin("train.matrix_lr").text == "recipe mine.toml"
    assert loaded.origin("train.dtype").text == "default"


def test_component_tables_are_merged_key_by_key(tmp_path: Path) -> None:
    path = recipe(tmp_path, "schema = 1\n[mixer]\nd_state = 64\n[mixer.attention]\nn_heads = 4\n")
    loaded = load_spec(path, {}, ["mixer.attention.rope_base=500", "mixer.expand=1"])
    assert loaded.spec.mixer == {"d_state": 64, "expand": 1, "attention": {"n_heads": 4, "rope_base": 500}}
    assert loaded.origin("mixer.attention.rope_base").rank > loaded.origin("mixer.d_state").rank > 0


def test_a_table_over_a_value_is_an_error_that_names_both() -> None:
    with pytest.raises(
        ConfigError, match=r"`quantizer.overrides.in_proj` is 5 \(--set quantizer.overrides.in_proj=5\)"
    ):
        load_spec(None, {}, ["quantizer.overrides.in_proj=5", "quantizer.overrides.in_proj.dt=8"])


@pytest.mark.parametrize(
    ("set_text", "near"),
    [("train.stepz=3", "steps"), ("trian.steps=3", "train"), ("components.codecs=3", "codec"), ("sead=1", "seed")],
)
def test_an_unknown_key_is_an_error_with_the_nearest_key(set_text: str, near: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_spec(None, {}, [set_text])
    assert f"`{near}`" in str(caught.value.hint)
    assert set_text.partition("=")[0] in caught.value.message


@pytest.mark.parametrize(
    "set_text", ["train.steps=many", "train.steps=1.5", "train.steps=true", "train=3", "train.matrix_lr=nan", "seed"]
)
def test_a_wrong_type_or_a_missing_value_is_an_error(set_text: str) -> None:
    with pytest.raises(ConfigError):
        load_spec(None, {}, [set_text])


def test_an_unknown_variable_of_ours_is_an_error_and_others_are_left_alone() -> None:
    with pytest.raises(ConfigError, match="GOLFREG_TRIAN__STEPS"):
        load_spec(None, {"GOLFREG_TRIAN__STEPS": "1"})
    assert load_spec(None, {"GOLFREG_CACHE": "x", "PATH": "y"}).origins == {}


@pytest.mark.parametrize(
    "content",
    [b"seed = 1", b"schema = 99", b"schema = true", b"schema = 1\nseed =", b"schema = 1\n\xff", b"\x00" * 50],
    ids=["no schema", "newer", "not a number", "not TOML", "not UTF-8", "zeros"],
)
def test_a_bad_recipe_is_a_clear_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    with pytest.raises(InputError, match="bad.toml"):
        load_spec(path, {})


def test_a_missing_or_huge_recipe_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        load_spec(tmp_path / "none.toml", {})
    (tmp_path / "huge.toml").write_bytes(b"#" * 2_000_000)
    with pytest.raises(InputError, match="1,000,000 bytes"):
        load_spec(tmp_path / "huge.toml", {})


def test_values_are_toml_and_anything_else_is_text() -> None:
    assert parse_value("128") == 128
    assert parse_value("[2, 5]") == [2, 5]
    assert parse_value("true") is True
    assert parse_value("sliding:64") == "sliding:64"
    assert parse_value("1\nother = 2") == "1\nother = 2"
