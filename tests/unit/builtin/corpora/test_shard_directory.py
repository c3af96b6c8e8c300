"""A directory of shards: the challenge's names and golfreg's, with the tokenizer that lies beside them."""

import pytest

from golfreg.api import ConfigError, InputError
from golfreg.builtin.corpora.shards import shards


def fill(directory, *names):
    for name in names:
        (directory / name).write_bytes(name.encode())


def test_the_challenges_names_are_found_in_order(tmp_path):
    fill(tmp_path, "f_train_000001.bin", "f_train_000000.bin", "f_val_000000.bin", "t.model", "other.txt")
    found = shards.load(str(tmp_path), tmp_path)
    assert found.train == (f"{tmp_path}/f_train_000000.bin", f"{tmp_path}/f_train_000001.bin")
    assert found.validation == (f"{tmp_path}/f_val_000000.bin",)
    assert found.tokenizer == f"{tmp_path}/t.model"


def test_golfregs_own_names_and_description_are_read(tmp_path):
    fill(tmp_path, "train_000000.bin", "validation_000000.bin")
    (tmp_path / "dataset.toml").write_text('tokenizer = "bytes"\nlicence = "CC0"\ncorpus = "docstrings"\n')
    found = shards.load(str(tmp_path), tmp_path)
    assert (found.tokenizer, found.licence, found.notes["corpus"]) == ("bytes", "CC0", "docstrings")


def test_several_models_are_all_named_and_none_is_taken(tmp_path):
    fill(tmp_path, "f_train_0.bin", "f_val_0.bin", "a.model", "b.model")
    found = shards.load(str(tmp_path), tmp_path)
    assert found.tokenizer is None
    assert found.notes["tokenizers"] == "a.model, b.model"


def test_the_fingerprint_is_of_the_content(tmp_path):
    fill(tmp_path, "f_train_0.bin", "f_val_0.bin")
    before = shards.load(str(tmp_path), tmp_path).fingerprint
    assert shards.load(str(tmp_path), tmp_path).fingerprint == before
    (tmp_path / "f_val_0.bin").write_bytes(b"other")
    assert shards.load(str(tmp_path), tmp_path).fingerprint != before


def test_a_directory_without_both_splits_is_an_error_that_names_the_patterns(tmp_path):
    fill(tmp_path, "f_train_0.bin")
    with pytest.raises(InputError, match="does not hold both") as caught:
        shards.load(str(tmp_path), tmp_path)
    assert "*_val_*.bin" in caught.value.hint


def test_no_directory_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="needs a directory"):
        shards.load(None, tmp_path)
    with pytest.raises(InputError, match="there is no directory"):
        shards.load(str(tmp_path / "absent"), tmp_path)


def test_a_description_that_is_not_toml_is_an_error(tmp_path):
    fill(tmp_path, "train_0.bin", "validation_0.bin")
    (tmp_path / "dataset.toml").write_bytes(b"\xff")
    with pytest.raises(InputError, match="not TOML in UTF-8"):
        shards.load(str(tmp_path), tmp_path)
