"""Who observes comes from the layers of settings, and is no part of the run's specification."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import pytest

from golfreg.api.errors import ConfigError, UnknownComponentError
from golfreg.config.load import load_spec
from golfreg.config.observing import read_observers, write_observers
from golfreg.config.plan import Chosen
from golfreg.runner.observing import check_observers, unused_observers


def test_the_log_is_the_default_and_the_last_layer_that_names_observers_counts(tmp_path: Path) -> None:
    assert load_spec(None, {}).observers == ("jsonl",)
    path = tmp_path / "mine.toml"
    path.write_text('schema = 1\nobservers = ["jsonl", "trackio"]\n[observer.trackio]\nproject = "mine"\n')
    loaded = load_spec(path, {"GOLFREG_OBSERVER__JSONL__EVERY_STEPS": "10"})
    assert loaded.observers == ("jsonl", "trackio")
    assert loaded.observer == {"trackio": {"project": "mine"}, "jsonl": {"every_steps": 10}}
    assert load_spec(path, {"GOLFREG_OBSERVERS": "trackio, jsonl"}).observers == ("trackio", "jsonl")
    assert load_spec(path, {}, ["observers=[]"]).observers == ()
    assert load_spec(path, {}, [], {"observers": ("--observer", ["trackio"])}).observers == ("trackio",)


def test_the_specification_knows_nothing_of_observers() -> None:
    plain, observed = load_spec(None, {}), load_spec(None, {}, ["observers=a", "observer.jsonl.every_steps=2"])
    assert plain.spec == observed.spec
    assert "observers" not in asdict(observed.spec)


@pytest.mark.parametrize("wrong", ["observers=3", "observers=[1]", 'observers=[""]', "observers=a,a", "observer=x"])
def test_a_list_that_is_none_is_refused(wrong: str) -> None:
    with pytest.raises(ConfigError):
        load_spec(None, {}, [wrong])


@pytest.mark.parametrize(
    ("sets", "hint"),
    [
        (["observers=jsonll"], "did you mean `jsonl`?"),
        (["observer.every_steps=3"], "[observer.NAME]"),
        (["observer.jsnl.every_steps=3"], "did you mean `jsonl`?"),
    ],
)
def test_an_observer_that_nobody_provides_is_an_error_with_the_nearest(sets: list[str], hint: str) -> None:
    with pytest.raises((ConfigError, UnknownComponentError)) as caught:
        check_observers(load_spec(None, {}, sets))
    assert hint in str(caught.value.hint)


def test_settings_of_one_that_is_not_chosen_are_a_warning_unless_a_recipe_made_them(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("schema = 1\nobservers = []\n[observer.jsonl]\nevery_steps = 2\n")
    assert unused_observers(load_spec(path, {})) == []
    (warning,) = unused_observers(load_spec(path, {}, ["observer.jsonl.every_steps=3"]))
    assert "`--observer jsonl`" in warning


def test_the_list_of_a_run_comes_back_in_its_order(tmp_path: Path) -> None:
    chosen = [
        Chosen("observer", name, "a.b:c", "golfreg", "0.1.0", "golfreg.plugin", {"list": [1, 2], "text": "x"})
        for name in ("second", "first")
    ]
    assert read_observers(tmp_path) == []
    write_observers(tmp_path, chosen)
    assert read_observers(tmp_path) == chosen
