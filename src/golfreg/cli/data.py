"""``golfreg data``: fetch and tokenize corpora, with the byte proof, and list what is here."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from golfreg.api.errors import ConfigError, InputError
from golfreg.cli import complete, fetch
from golfreg.cli.out import Out

if TYPE_CHECKING:
    from golfreg.data.dataset import Dataset

app = typer.Typer(
    name="data",
    help="Fetch and tokenize corpora, and list what is in the cache.\n\n"
    "Example: golfreg data prepare --corpus docstrings --tokenizer sp1024",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

app.command("get")(fetch.get)


@app.command("prepare")
def prepare(
    corpus: Annotated[
        str,
        typer.Option(help="Corpus, with its argument: `jsonl:PATH`, `shards:DIR`.", autocompletion=complete.corpora),
    ] = "docstrings",
    tokenizer: Annotated[str, typer.Option(help="`spN` (trained here), `bytes`, or a `.model` file.")] = "sp1024",
    tokenizer_train_bytes: Annotated[
        int, typer.Option(min=1, help="Bytes of text that a trained tokenizer sees.")
    ] = 4_000_000,
    validation_tokens: Annotated[
        int, typer.Option(min=0, help="Stop validation at the document's end after this many tokens; 0: never.")
    ] = 0,
    out_dir: Annotated[
        Path | None, typer.Option("--out", help="Directory to make; by default the cache, where runs find it.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Write token shards of a corpus, and prove that the counted bytes are the bytes of the text.

    Examples:

    golfreg data prepare --corpus docstrings --tokenizer sp1024

    golfreg data prepare --corpus "jsonl:train.jsonl.xz;validation=val.jsonl" --tokenizer sp4096 --out shards

    golfreg data prepare --corpus shards:fineweb10B_sp1024 --tokenizer fineweb_1024_bpe.model
    """
    import os

    from golfreg.cli.out import plain
    from golfreg.config.spec import DataSettings
    from golfreg.data.cache import corpora_dir, dataset_dir_for, fetched_state
    from golfreg.data.prepare import prepare as make

    out = Out(as_json)
    settings = DataSettings(tokenizer, tokenizer_train_bytes, validation_tokens)
    name, colon, argument = corpus.partition(":")
    wanted = argument if colon else None
    target = _corpus_target(name)
    if out_dir is not None and out_dir.exists() and not (out_dir.is_dir() and not any(out_dir.iterdir())):
        raise InputError(f"`{out_dir}` exists already", hint="give `--out` a directory that is to be made")
    where = out_dir.absolute() if out_dir is not None else None

    def load() -> Any:
        return target.load(wanted, corpora_dir())

    with out.console(stderr=True).status("reading the corpus") as status:
        dataset, reused = make(
            load,
            corpus,
            settings,
            where or dataset_dir_for(name, wanted, settings, fetched_state(target, wanted)),
            lambda done, text: status.update(plain(text)),
            len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1,
        )
    if as_json:
        out.json({**_facts(dataset), "reused": reused})
        return
    out.table(("what", "value"), _rows(dataset), f"{plain(corpus)}, {'prepared before' if reused else 'prepared'}")


@app.command("list")
def list_(as_json: Annotated[bool, typer.Option("--json", help="Print the list as JSON.")] = False) -> None:
    """List the cache (GOLFREG_CACHE, else XDG_CACHE_HOME/golfreg, else ~/.cache/golfreg).

    Shown are the corpora that `golfreg data get` can fetch, with what is here and what fits on the
    disk, and the datasets that were prepared.

    Example: golfreg data list --json
    """
    from golfreg.data.cache import cache_root, corpora_dir
    from golfreg.data.dataset import open_dataset

    out = Out(as_json)
    fetchable = list(fetch.stocks(out, corpora_dir()))
    free = fetch.free_bytes(cache_root())
    root = cache_root() / "datasets"
    found = []
    for path in sorted(root.iterdir()) if root.is_dir() else []:
        if path.name.startswith("."):
            continue
        try:
            found.append(_facts(open_dataset(path)))
        except InputError as error:
            out.warn(f"{error.message}; it is made again when a run needs it")
    if as_json:
        out.json({"cache": str(root), "free_bytes": free, "fetchable": fetchable, "datasets": found})
        return
    if fetchable:
        _print_fetchable(out, fetchable, free)
    if not found:
        out.talk(f"no data was prepared in {root} yet: `golfreg data prepare` does, and so does each run")
        return
    numbers = ("vocabulary", "training tokens", "validation tokens", "validation bytes", "MB on disk")
    out.table(
        ("corpus", "tokenizer", *numbers, "path"),
        [
            (
                f["corpus"],
                f["tokenizer"],
                f"{f['vocab_size']:,}",
                f"{f['train_tokens']:,}",
                f"{f['validation_tokens']:,}",
                f"{f['validation_bytes']:,}",
                f"{f['disk_bytes'] / 1e6:,.1f}",
                f["path"],
            )
            for f in found
        ],
        right=numbers,
    )


def _print_fetchable(out: Out, fetchable: list[dict[str, Any]], free: int) -> None:
    def shown(value: int | None) -> str:
        return "?" if value is None else f"{value:,}"

    numbers = ("training shards", "offered", "fit on the disk", "MB here")
    out.table(
        ("corpus", "ready", *numbers),
        [
            (
                f["corpus"],
                "yes" if f["ready"] else "no",
                shown(f["train_shards"]),
                shown(f["offered_train_shards"]),
                shown(f["fits_train_shards"]),
                f"{f['present_bytes'] / 1e6:,.1f}",
            )
            for f in fetchable
        ],
        f"for `golfreg data get`; {free / 1e9:,.1f} GB are free",
        right=numbers,
    )


def _corpus_target(name: str) -> Any:
    from golfreg.registry.resolve import load, resolve

    if not name:
        raise ConfigError("no corpus is named", hint="`golfreg plugins list --kind corpus` shows them")
    return load(resolve("corpus", name))


def _facts(dataset: Dataset) -> dict[str, Any]:
    from golfreg.data.summary import summary

    disk_bytes = sum(facts["bytes"] for facts in dataset.files.values())
    return {**summary(dataset), "disk_bytes": disk_bytes, "path": str(dataset.path)}


def _rows(dataset: Dataset) -> list[tuple[str, str]]:
    same = dataset.validation_documents - dataset.validation_documents_changed
    source = [
        ("validation bytes, source", f"{dataset.validation_source_bytes:,}"),
        ("documents that decode to their source", f"{same:,} of {dataset.validation_documents:,}"),
    ]
    return [
        ("tokenizer", f"{dataset.tokenizer}, {dataset.vocab_size:,} tokens, sha256 {dataset.tokenizer_digest[:16]}"),
        ("training tokens", f"{dataset.train_tokens:,}"),
        ("validation tokens", f"{dataset.validation_token_count:,}"),
        ("validation documents", f"{dataset.validation_documents:,}"),
        ("validation bytes, counted", f"{dataset.validation_bytes:,}"),
        ("validation bytes, decoded", f"{dataset.validation_bytes:,} (equal, document by document)"),
        *(() if "source" in dataset.notes else source),
        ("fingerprint", dataset.fingerprint),
        ("licence", dataset.licence),
        *((f"note: {key}", value) for key, value in dataset.notes.items()),
        ("directory", str(dataset.path)),
    ]
