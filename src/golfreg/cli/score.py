"""``golfreg score``: score an artifact again, on any corpus, in the isolated process that runs use."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from golfreg.api.errors import ConfigError, InputError
from golfreg.cli import complete
from golfreg.cli.out import Out, plain

if TYPE_CHECKING:
    from golfreg.config.spec import DataSettings
    from golfreg.data.dataset import Dataset
    from golfreg.pack.container import Container


def score(
    artifact: Annotated[Path, typer.Argument(help="The artifact, as in RUN_DIR/artifact.golfreg.")],
    corpus: Annotated[
        str | None, typer.Option(help="Corpus, with its argument: `jsonl:PATH`.", autocompletion=complete.corpora)
    ] = None,
    tokenizer: Annotated[str | None, typer.Option(help="`spN`, `bytes`, or a `.model` file.")] = None,
    windows: Annotated[
        str | None, typer.Option(help="`fixed`, `sliding:STRIDE`, `stateful` or `stateful:CONTEXT`.")
    ] = None,
    sequence_length: Annotated[int | None, typer.Option(min=1, help="Tokens of a window.")] = None,
    documents: Annotated[str | None, typer.Option(help="`isolated`, or `stream`: context passes a start.")] = None,
    batch_tokens: Annotated[int | None, typer.Option(min=1, help="Tokens of a forward pass.")] = None,
    device: Annotated[str, typer.Option(help="`cpu`, `cuda` or `auto`.")] = "auto",
    limit_seconds: Annotated[float | None, typer.Option(min=0, help="Stop after this time; 0: never.")] = None,
    trust_code: Annotated[bool, typer.Option("--trust-code", help="Run the code in a stranger's artifact.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Decode an artifact in a process of its own and score it: bits per byte by the challenge's definition.

    What is not given comes from `plan.toml` beside the artifact, where a run left one. Scoring runs
    the code in the artifact; one that no run of yours made needs `--trust-code`.

    Example: golfreg score runs/NAME/artifact.golfreg --corpus jsonl:validation.jsonl --windows sliding:64
    """
    import os
    from dataclasses import replace

    from golfreg.config.spec import DataSettings, ScoreSettings
    from golfreg.pack.container import read_container
    from golfreg.score.start import score_artifact
    from golfreg.score.task import Task
    from golfreg.score.trust import is_ours
    from golfreg.score.windows import parse_windows

    out = Out(as_json)
    container = read_container(artifact)
    if not trust_code and not is_ours(container.sha256):
        raise ConfigError(
            f"no run of yours made `{artifact}`, and scoring would run the code in it: {_code(container)}",
            f"look at it with `golfreg inspect {artifact}`; if you trust it, add --trust-code",
        )
    plan = _plan_beside(artifact)
    settings = plan.spec.score if plan is not None else ScoreSettings()
    given = {"windows": windows, "sequence_length": sequence_length, "documents": documents,
             "batch_tokens": batch_tokens}  # fmt: skip
    settings = replace(settings, **{k: v for k, v in given.items() if v is not None})
    if settings.documents not in ("isolated", "stream"):
        raise ConfigError(f"`--documents {settings.documents}` is not known", "it is `isolated` or `stream`")
    if device not in ("auto", "cpu", "cuda"):
        raise ConfigError(f"`--device {device}` is no device", "it is `auto`, `cpu` or `cuda`")
    trained = plan.spec.train.sequence_length if plan is not None else container.header.sequence_length
    length = settings.sequence_length or trained
    parse_windows(settings.windows, length)
    if corpus is None:
        if plan is None:
            raise ConfigError("no corpus is named", "add `--corpus C`; `golfreg plugins list --kind corpus` shows them")
        corpus = plan.spec.components.corpus
    data = plan.spec.data if plan is not None else DataSettings()
    if tokenizer is not None:
        data = replace(data, tokenizer=tokenizer)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    with out.console(stderr=True).status("reading the corpus") as status:
        dataset = _dataset(corpus, data, cores, lambda text: status.update(plain(text)))
        _check(container, dataset)
        task = Task(
            artifact=str(artifact.absolute()), dataset=str(dataset.path.absolute()), scratch="", parent=0, events=0,
            device=device, threads=cores, windows=settings.windows, sequence_length=length,
            batch_tokens=settings.batch_tokens, documents=settings.documents, probes=settings.probes,
        )  # fmt: skip

        def progress(phase: str, done: int, total: int) -> None:
            status.update(f"{plain(phase)}: {done:,} of {total:,} tokens" if total else plain(phase))

        limit = limit_seconds if limit_seconds is not None else plan.limits.score_seconds if plan is not None else 0.0
        result = score_artifact(task, limit, progress=progress)
    if as_json:
        out.json({"artifact": str(artifact), "corpus": corpus, "tokenizer": data.tokenizer, **result})
        return
    out.table(("what", "value"), _rows(result, dataset), f"{plain(artifact)} on {plain(corpus)}")


def _plan_beside(artifact: Path) -> Any:
    """The plan of the run directory that the artifact lies in, or None."""
    from golfreg.config.plan import read_plan

    path = artifact.parent / "plan.toml"
    return read_plan(path) if path.is_file() else None


def _dataset(corpus: str, settings: DataSettings, cores: int, say: Any) -> Dataset:
    from golfreg.data.cache import corpora_dir, dataset_dir_for, fetched_state
    from golfreg.data.prepare import prepare
    from golfreg.registry.resolve import load, resolve

    name, colon, rest = corpus.partition(":")
    argument = rest if colon else None
    target = load(resolve("corpus", name))
    where = dataset_dir_for(name, argument, settings, fetched_state(target, argument))

    def open_corpus() -> Any:
        return target.load(argument, corpora_dir())

    return prepare(open_corpus, corpus, settings, where, lambda done, text: say(text), cores)[0]


def _check(container: Container, dataset: Dataset) -> None:
    """Say before the worker starts that tokenizer and artifact do not belong together."""
    header = container.header
    if (header.vocab_size, header.bos_id) != (dataset.vocab_size, dataset.bos_id):
        raise InputError(
            f"the artifact was made for a vocabulary of {header.vocab_size:,} with document start {header.bos_id}; "
            f"the tokenizer `{dataset.tokenizer}` has {dataset.vocab_size:,} with {dataset.bos_id}",
            "give the tokenizer that it was trained with: `--tokenizer`",
        )


def _code(container: Container) -> str:
    """What would be run: modules by package, and bytes."""
    packages: dict[str, int] = {}
    for path in container.code:
        top = path.partition("/")[0].removesuffix(".py")
        packages[top] = packages.get(top, 0) + 1
    counted = ", ".join(f"{n} modules of `{top}`" if n > 1 else f"`{top}`" for top, n in sorted(packages.items()))
    return f"{counted or 'no modules'} ({container.code_bytes:,} bytes compressed)"


def _rows(result: dict[str, Any], dataset: Dataset) -> list[tuple[str, str]]:
    from golfreg.cli.show_record import error_text

    network = {"namespace": "network namespace", "sockets": "sockets refused"}[result["isolation"]]
    return [
        ("bits per byte", f"{result['bits_per_byte']:.6f}{error_text(result.get('standard_error'))}"),
        ("nats", f"{result['nats']:,.3f} ({result['nats_per_token']:.6f} per token)"),
        ("scored", f"{result['tokens']:,} tokens, {result['bytes']:,} bytes, {result['documents']:,} documents"),
        ("data", f"{dataset.tokenizer}, fingerprint {dataset.fingerprint[:16]}"),
        ("windows", f"{result['windows']} of {result['sequence_length']}, documents {result['documents_mode']}"),
        ("seconds", f"{result['score_seconds']:.1f} (decode {result['decode_seconds']:.1f})"),
        ("isolation", f"{network}; files by {result['isolation_files']}"),
        ("probed", f"{result['probes']} positions, {result['probed_rows']} rows, "
                   f"{result['probed_documents']} document starts"),
        ("artifact", f"{result['artifact_bytes']:,} bytes, sha256 {result['artifact_sha256'][:16]}"),
    ]  # fmt: skip
