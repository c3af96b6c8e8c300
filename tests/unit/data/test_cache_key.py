"""The name of a dataset follows from all that decides it and that is cheap to see."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from golfreg.api import Stock
from golfreg.config.spec import DataSettings
from golfreg.data.cache import cache_root, dataset_dir_for, dataset_key, fetched_state

PLAIN = DataSettings()


def test_the_same_settings_give_the_same_key():
    assert dataset_key("docstrings", None, PLAIN) == dataset_key("docstrings", None, DataSettings())
    assert dataset_key("docstrings", None, PLAIN).startswith("docstrings-sp1024-")


def test_each_setting_changes_the_key():
    keys = {
        dataset_key(name, argument, settings)
        for name, argument, settings in (
            ("docstrings", None, PLAIN),
            ("docstrings", "", PLAIN),
            ("other", None, PLAIN),
            ("docstrings", None, replace(PLAIN, tokenizer="sp2048")),
            ("docstrings", None, replace(PLAIN, tokenizer_train_bytes=1)),
            ("docstrings", None, replace(PLAIN, validation_tokens=1)),
        )
    }
    assert len(keys) == 6


def test_a_file_of_the_argument_that_changes_changes_the_key(tmp_path, monkeypatch):
    path = tmp_path / "a.jsonl"
    path.write_text("{}")
    other = tmp_path / "b.jsonl"
    other.write_text("{}")
    argument = f"{path};validation={other}"
    before = dataset_key("jsonl", argument, PLAIN)
    assert dataset_key("jsonl", argument, PLAIN) == before
    monkeypatch.chdir(tmp_path)
    assert dataset_key("jsonl", "a.jsonl;validation=b.jsonl", PLAIN) == before
    other.write_text("{ }")
    assert dataset_key("jsonl", argument, PLAIN) != before


def test_a_shard_of_a_directory_that_changes_changes_the_key(tmp_path):
    path = tmp_path / "x_train_0.bin"
    path.write_bytes(b"1")
    before = dataset_key("shards", str(tmp_path), PLAIN)
    os.utime(path, ns=(1, 1))
    assert dataset_key("shards", str(tmp_path), PLAIN) != before


def test_a_tokenizer_file_that_changes_changes_the_key(tmp_path):
    path = tmp_path / "my tok.model"
    path.write_bytes(b"1")
    settings = DataSettings(tokenizer=str(path))
    before = dataset_key("docstrings", None, settings)
    assert "/" not in before
    assert " " not in before
    path.write_bytes(b"12")
    assert dataset_key("docstrings", None, settings) != before


def test_hostile_arguments_still_have_a_key():
    for argument in ("", "\0", "x" * 5000, "a,b;c=d", "../.."):
        assert "/" not in dataset_key("jsonl", argument, PLAIN)


def test_the_cache_is_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("GOLFREG_CACHE", str(tmp_path / "g"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert cache_root() == tmp_path / "g"
    assert dataset_dir_for("docstrings", None, PLAIN).parent == tmp_path / "g" / "datasets"
    monkeypatch.delenv("GOLFREG_CACHE")
    assert cache_root() == tmp_path / "x" / "golfreg"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_root() == Path(tmp_path) / ".cache" / "golfreg"


def loaded_by(modules):
    code = f"import sys, {modules}; print(' '.join(sys.modules))"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_planning_loads_no_numpy_and_the_data_stage_no_torch():
    assert "numpy" not in loaded_by("golfreg.data.cache")
    loaded = loaded_by("golfreg.data.stage, golfreg.data.loader, golfreg.builtin.corpora.docstrings")
    assert "torch" not in loaded
    assert "scipy" not in loaded


def test_what_training_and_scoring_load_needs_no_sentencepiece():
    loaded = loaded_by("golfreg.data.dataset, golfreg.data.loader")
    assert not {"sentencepiece", "torch", "tomli_w"} & loaded


def test_what_was_fetched_of_a_corpus_is_part_of_the_key(tmp_path, monkeypatch):
    monkeypatch.setenv("GOLFREG_CACHE", str(tmp_path))

    class Published:
        def stocks(self, cache_dir):
            assert cache_dir == tmp_path / "corpora"
            return [Stock("a", 1, fingerprint="first"), Stock("b")]

    assert fetched_state(Published(), "a") == "first"
    assert fetched_state(Published(), "b") == fetched_state(Published(), "c") == fetched_state(object(), "a") == ""
    keys = {dataset_key("published", "a", PLAIN, state) for state in ("", "first", "second")}
    assert len(keys) == 3
    assert dataset_key("published", "a", PLAIN) in keys
