"""Checks of a corpus: documents or shards, split apart, with a fingerprint that follows the content."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from golfreg.api import Documents, GolfregError, Shards, Stock
from golfreg.testing.kit import Subject, Unchecked, check, check_all, expect, refuses

LOOKED_AT = 2000
"""Documents of each side that are looked at."""
_MAGIC = 20240520


def check_corpus(target: Any, argument: str | None = None, takes_argument: bool = False) -> None:
    """Run every check over a corpus that need not be installed."""
    check_all("corpus", Subject(target, argument=argument, takes_argument=takes_argument or argument is not None))


def loaded(subject: Subject) -> Documents | Shards:
    """The corpus, loaded once; ``Unchecked`` if it takes an argument and was given none."""
    if "corpus" not in subject.kept:
        subject.kept["corpus"] = freshly_loaded(subject)
    corpus: Documents | Shards = subject.kept["corpus"]
    return corpus


def freshly_loaded(subject: Subject) -> Documents | Shards:
    if subject.takes_argument and subject.argument is None:
        raise Unchecked(
            "the corpus takes an argument and was given none: `--argument`, or `conformance(arguments=...)`"
        )
    cache = subject.directory / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    corpus: Documents | Shards = subject.target.load(subject.argument, cache)
    return corpus


@check(
    "corpus",
    "raise `ConfigError` or `InputError` from `load` for an argument that names nothing usable, before anything "
    "is read",
)
def a_missing_or_odd_argument_is_refused(subject: Subject) -> None:
    if not subject.takes_argument:
        return
    cache = subject.directory / "cache"
    cache.mkdir(parents=True, exist_ok=True)
    absent = str(subject.directory / "nothing" / "here")
    for argument in (None, "", absent, "\0", " ", "x" * 5000, "/", "a:b;c"):
        refuses(partial(subject.target.load, argument, cache), f"the argument {str(argument)[:40]!r}")


@check(
    "corpus",
    "return `golfreg.api.Documents` or `Shards` with a fingerprint of the content and the licence of the text",
)
def it_is_documents_or_shards_with_their_origin(subject: Subject) -> None:
    corpus = loaded(subject)
    expect(isinstance(corpus, Documents | Shards), f"load gives a {type(corpus).__name__}")
    expect(isinstance(corpus.fingerprint, str) and len(corpus.fingerprint) >= 3, f"fingerprint {corpus.fingerprint!r}")
    expect(isinstance(corpus.licence, str) and corpus.licence.strip(), "the licence is not stated")
    plain = isinstance(corpus.notes, Mapping) and all(
        isinstance(k, str) and isinstance(v, str) for k, v in corpus.notes.items()
    )
    expect(plain, "notes are names to text")


@check(
    "corpus",
    "fix the order (sort the files) and the split (by hash, not at random), and fingerprint the content only",
)
def loading_twice_gives_the_same(subject: Subject) -> None:
    first, second = loaded(subject), freshly_loaded(subject)
    expect(first.fingerprint == second.fingerprint, "the fingerprint of a second load differs")
    if isinstance(first, Documents) and isinstance(second, Documents):
        for side in ("train", "validation"):
            same = list(itertools.islice(getattr(first, side)(), 50)) == list(
                itertools.islice(getattr(second, side)(), 50)
            )
            expect(same, f"the {side} documents of a second load differ")
    else:
        expect(first == second, "the shards of a second load differ")


@check(
    "corpus",
    "`train` and `validation` are functions that open a new iterator of str at each call; encode with errors refused",
)
def documents_are_text_and_both_sides_open_anew(subject: Subject) -> None:
    corpus = loaded(subject)
    if not isinstance(corpus, Documents):
        return
    for side in ("train", "validation"):
        read = getattr(corpus, side)
        texts = list(itertools.islice(read(), LOOKED_AT))
        expect(texts, f"there are no {side} documents")
        odd = [type(text).__name__ for text in texts if not isinstance(text, str)]
        expect(not odd, f"{side} documents are {sorted(set(odd))}, not str")
        for text in texts:
            expect(_encodes(text), f"a {side} document cannot be UTF-8: {text[:40]!r}")
        expect(next(iter(read()), None) == texts[0], f"a second {side} iterator does not start at the first document")


@check("corpus", "split by the hash of a document's text, so that equal documents fall on one side")
def training_and_validation_are_disjoint(subject: Subject) -> None:
    corpus = loaded(subject)
    if isinstance(corpus, Documents):
        validation = {text for text in corpus.validation() if text.strip()}
        shared = next((text for text in corpus.train() if text in validation), None)
        expect(shared is None, f"a document is on both sides: {(shared or '')[:60]!r}")
    elif isinstance(corpus, Shards):
        shared_files = set(corpus.train) & set(corpus.validation)
        expect(not shared_files, f"files are on both sides: {sorted(shared_files)}")


@check("corpus", "name existing `.bin` files: 256 int32 of header (20240520, 1, tokens), then uint16 tokens")
def shards_are_files_in_the_challenges_format(subject: Subject) -> None:
    corpus = loaded(subject)
    if not isinstance(corpus, Shards):
        return
    for side in ("train", "validation"):
        paths = getattr(corpus, side)
        expect(isinstance(paths, tuple) and paths, f"there are no {side} shards")
        for path in paths:
            expect(isinstance(path, str) and Path(path).is_file(), f"there is no file {path!r}")
            with Path(path).open("rb") as file:
                magic = int.from_bytes(file.read(4), "little")
            expect(magic == _MAGIC, f"`{path}` starts with {magic}, not {_MAGIC}")
    known = corpus.tokenizer is None or isinstance(corpus.tokenizer, str)
    expect(known, f"the tokenizer is {corpus.tokenizer!r}")


@check("corpus", "write only below the `cache_dir` that `load` is given")
def only_the_cache_is_written(subject: Subject) -> None:
    """Watched: what the argument may point at, and the working directory."""
    (subject.directory / "work").mkdir(parents=True, exist_ok=True)
    before = _files_outside_cache(subject.directory)
    try:
        with contextlib.chdir(subject.directory / "work"):
            _read_one(subject)
    except GolfregError:
        # An argument that is a relative path is found from where the user stands only.
        _read_one(subject)
    changed = [name for name, _ in before ^ _files_outside_cache(subject.directory)]
    expect(not changed, f"loading wrote outside its cache: {sorted(set(changed))}")


@check("corpus", "list what can be fetched and what is here by looking at the cache alone; `load` names the command")
def what_can_be_fetched_is_listed_without_fetching(subject: Subject) -> None:
    """Only of a corpus with ``fetch``: an empty cache lists every argument, and loading one says the command."""
    if not hasattr(subject.target, "fetch"):
        return
    expect(hasattr(subject.target, "stocks"), "a corpus with `fetch` also has `stocks`")
    cache = subject.directory / "empty-cache"
    cache.mkdir(parents=True, exist_ok=True)
    stocks = list(subject.target.stocks(cache))
    expect(stocks and all(isinstance(s, Stock) for s in stocks), f"`stocks` gives {stocks!r}")
    names = [stock.argument for stock in stocks]
    expect(len(set(names)) == len(names), f"`stocks` names an argument twice: {names}")
    for stock in stocks:
        here = stock.parts, stock.present_bytes, stock.fingerprint
        expect(here == (0, 0, ""), f"`stocks` of an empty cache says of {stock.argument!r} that {here} are here")
        try:
            subject.target.load(stock.argument, cache)
        except GolfregError as error:
            says = "golfreg data get" in (error.hint or "")
            expect(says, f"the hint for {stock.argument!r} that is absent is {error.hint!r}; it names no command")
        else:
            raise AssertionError(f"{stock.argument!r} was loaded from an empty cache")
    expect(not any(cache.rglob("*")), "`stocks` or `load` wrote into an empty cache")


@check("corpus", "raise `ConfigError` or `InputError` for an unknown argument before the network is asked")
def fetching_something_that_is_not_offered_is_refused(subject: Subject) -> None:
    """Only of a corpus with ``fetch``. Refused before anything is asked of the network."""
    if not hasattr(subject.target, "fetch"):
        return
    cache = subject.directory / "empty-cache"
    cache.mkdir(parents=True, exist_ok=True)
    for argument in ("", "\0", " ", "../up", "x" * 5000, "/", "a:b;c"):
        what = f"fetching {argument[:40]!r}"
        refuses(partial(subject.target.fetch, argument, cache, 1, lambda done, total, text: None), what)
    expect(not any(cache.rglob("*")), "a refused fetch wrote into the cache")


@check("corpus", "verify what is on the disk and move only what is missing")
def what_was_fetched_is_loaded_and_fetched_again_for_nothing(subject: Subject) -> None:
    """Only of a corpus with ``fetch`` whose data is here: its stock says so, and a second fetch moves no bytes."""
    if not hasattr(subject.target, "fetch") or (loaded(subject)) is None:
        return
    cache = subject.directory / "cache"
    stock = next((s for s in subject.target.stocks(cache) if s.argument == subject.argument), None)
    expect(stock is not None, f"`stocks` does not list {subject.argument!r}, which can be loaded")
    assert stock is not None
    expect(stock.parts > 0 and stock.present_bytes > 0, f"the stock of {subject.argument!r} is {stock}")
    expect(stock.fingerprint, f"the stock of {subject.argument!r}, which can be loaded, has no fingerprint")
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("*") if path.is_file()}
    again = subject.target.fetch(subject.argument, cache, stock.parts, lambda done, total, text: None)
    expect(again == stock, f"fetching what is here gives {again}, not {stock}")
    after = {path: path.stat().st_mtime_ns for path in cache.rglob("*") if path.is_file()}
    kept = all(after.get(path) == when for path, when in before.items())
    expect(kept, "fetching what is here wrote files again")


def _read_one(subject: Subject) -> None:
    if isinstance(corpus := freshly_loaded(subject), Documents):
        next(iter(corpus.train()), None)


def _files_outside_cache(directory: Path) -> set[tuple[str, int]]:
    cache = directory / "cache"
    return {
        (str(path), path.stat().st_mtime_ns)
        for path in directory.rglob("*")
        if path.is_file() and not path.is_relative_to(cache)
    }


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
