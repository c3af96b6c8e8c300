"""The kit passes a right corpus and names the check that a wrong one breaks."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any

import pytest

from golfreg.api import Documents, InputError, Shards, Stock
from golfreg.testing import Subject, checks
from golfreg.testing.corpora import check_corpus


class Corpus:
    loads = itertools.count()

    def __init__(self, fault: str = "") -> None:
        self.fault = fault

    def load(self, argument: str | None, cache_dir: Path) -> Any:
        if argument is not None:
            raise InputError(f"no argument is taken, not {argument!r}") if not self.fault else KeyError(argument)
        train: list[Any] = [f"document {i}" for i in range(20)]
        validation: list[Any] = ["kept apart"]
        fingerprint = "abcdef"
        if self.fault == "shares a document":
            validation = ["document 3"]
        if self.fault == "gives bytes":
            train[2] = b"bytes"
        if self.fault == "gives half a surrogate":
            train[2] = "\ud800"
        if self.fault == "has no validation":
            validation = []
        if self.fault == "is never the same":
            fingerprint += str(next(self.loads))
        if self.fault == "writes where it stands":
            Path("left_behind.txt").write_text("x")
        if self.fault == "names no file":
            return Shards(("absent.bin",), ("absent.bin",), None, fingerprint, "CC0-1.0")
        if self.fault == "reads once":
            once = iter(train)
            return Documents(lambda: once, lambda: iter(validation), fingerprint, "CC0-1.0")
        licence = "" if self.fault == "states no licence" else "CC0-1.0"
        return Documents(lambda: iter(train), lambda: iter(validation), fingerprint, licence)


def test_a_right_corpus_passes_every_check() -> None:
    check_corpus(Corpus())


@pytest.mark.parametrize(
    ("fault", "claim"),
    [
        ("shares a document", "training_and_validation_are_disjoint"),
        ("gives bytes", "documents_are_text_and_both_sides_open_anew"),
        ("gives half a surrogate", "documents_are_text_and_both_sides_open_anew"),
        ("has no validation", "documents_are_text_and_both_sides_open_anew"),
        ("reads once", "documents_are_text_and_both_sides_open_anew"),
        ("is never the same", "loading_twice_gives_the_same"),
        ("states no licence", "it_is_documents_or_shards_with_their_origin"),
        ("names no file", "shards_are_files_in_the_challenges_format"),
        ("names no file", "training_and_validation_are_disjoint"),
        ("writes where it stands", "only_the_cache_is_written"),
    ],
)
def test_a_wrong_corpus_breaks_the_check_of_its_fault(fault: str, claim: str, tmp_path: Path) -> None:
    (each,) = (c for c in checks("corpus") if c.name == claim)
    with pytest.raises(AssertionError):
        each.run(Subject(Corpus(fault), directory=tmp_path))


def test_an_argument_that_raises_another_error_is_told(tmp_path: Path) -> None:
    (each,) = (c for c in checks("corpus") if c.name == "a_missing_or_odd_argument_is_refused")
    with pytest.raises(AssertionError, match="accepted|KeyError"):
        each.run(Subject(Corpus("raises KeyError"), takes_argument=True, directory=tmp_path))


class Published:
    """A corpus whose one argument, ``small``, is published; it is fetched from nowhere."""

    def __init__(self, fault: str = "") -> None:
        self.fault = fault

    def load(self, argument: str | None, cache_dir: Path) -> Any:
        if argument != "small":
            raise InputError(f"there is no {argument!r}")
        if not (cache_dir / "small").exists():
            if self.fault == "loads what is absent":
                return Documents(lambda: iter(["a"]), lambda: iter(["b"]), "abcdef", "CC0-1.0")
            hint = "look for it" if self.fault == "names no command" else "`golfreg data get published:small`"
            raise InputError("it is not here", hint)
        return Documents(lambda: iter(["a"]), lambda: iter(["b"]), "abcdef", "CC0-1.0")

    def stocks(self, cache_dir: Path) -> list[Stock]:
        if self.fault == "writes while it lists":
            (cache_dir / "log").write_text("x")
        if self.fault == "lists nothing":
            return []
        if self.fault == "lists twice":
            return [Stock("small"), Stock("small")]
        if self.fault == "says that all is here" or (cache_dir / "small").exists():
            return [Stock("small", 1, 1, 1, 1, "" if self.fault == "has no fingerprint" else "abcdef")]
        return [Stock("small")]

    def fetch(self, argument: str | None, cache_dir: Path, parts: int | None, tell: Any) -> Stock:
        if argument != "small" and self.fault != "fetches anything":
            raise InputError(f"there is no {argument!r}")
        if self.fault == "fetches again" or not (cache_dir / "small").exists():
            (cache_dir / "small").write_text("x")
        return self.stocks(cache_dir)[0]


LISTED = "what_can_be_fetched_is_listed_without_fetching"
REFUSED = "fetching_something_that_is_not_offered_is_refused"
AGAIN = "what_was_fetched_is_loaded_and_fetched_again_for_nothing"


def published(fault: str, tmp_path: Path) -> Subject:
    (tmp_path / "cache").mkdir()
    Published().fetch("small", tmp_path / "cache", 1, None)
    (tmp_path / "cache/small").touch()
    os.utime(tmp_path / "cache/small", (1, 1))
    return Subject(Published(fault), argument="small", takes_argument=True, directory=tmp_path)


@pytest.mark.parametrize("claim", [c.name for c in checks("corpus")])
def test_a_right_corpus_that_can_be_fetched_passes_every_check(claim: str, tmp_path: Path) -> None:
    (each,) = (c for c in checks("corpus") if c.name == claim)
    each.run(published("", tmp_path))


@pytest.mark.parametrize(
    ("fault", "claim"),
    [
        ("loads what is absent", LISTED),
        ("names no command", LISTED),
        ("writes while it lists", LISTED),
        ("lists nothing", LISTED),
        ("lists twice", LISTED),
        ("says that all is here", LISTED),
        ("fetches anything", REFUSED),
        ("has no fingerprint", AGAIN),
        ("fetches again", AGAIN),
    ],
)
def test_a_wrong_corpus_that_can_be_fetched_breaks_the_check_of_its_fault(
    fault: str, claim: str, tmp_path: Path
) -> None:
    (each,) = (c for c in checks("corpus") if c.name == claim)
    with pytest.raises(AssertionError):
        each.run(published(fault, tmp_path))


def test_a_relative_path_is_an_argument_like_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from golfreg.builtin.corpora.jsonl import jsonl

    (tmp_path / "few.jsonl").write_text("".join(f'{{"text": "document {i}"}}\n' for i in range(100)))
    monkeypatch.chdir(tmp_path)
    check_corpus(jsonl, "few.jsonl")
