"""Makes a dataset directory from a corpus, or takes the one that is there, after a check."""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Callable
from pathlib import Path

import tomli_w
from safetensors.numpy import save

from golfreg.api.errors import EnvironmentFault, InputError
from golfreg.api.values import Documents, Shards
from golfreg.config.job import write_whole
from golfreg.config.spec import DataSettings
from golfreg.data.cache import cache_root
from golfreg.data.dataset import BYTES_FILE, DATASET_FILE, DATASET_SCHEMA, TOKENIZER_FILE, Dataset, open_dataset
from golfreg.data.documents import Written, tokenizer_texts, write_split
from golfreg.data.given import cut_validation, link_shards, respelled, shards_tokenizer
from golfreg.data.prove import prove_bytes
from golfreg.data.shards import TokenStream
from golfreg.data.tokenizers import Tokenizer, make_tokenizer
from golfreg.data.train_tokenizer import trained_model
from golfreg.data.whole import building, rename_whole
from golfreg.data.writer import ShardWriter

Tell = Callable[[int, str], None]
"""Called with the steps done, of ``STEPS``, and what is being done."""

STEPS = 4

NO_SOURCE = "token shards: the text before tokenizing is not known"
"""The note ``source`` of a dataset whose ``validation_source_bytes`` are the decoded ones."""


def prepare(
    load: Callable[[], Documents | Shards],
    corpus_name: str,
    settings: DataSettings,
    target: Path,
    tell: Tell,
    threads: int = 1,
) -> tuple[Dataset, bool]:
    """The dataset at ``target``, and whether it was there already. ``load`` opens the corpus if it is not."""
    try:
        if (found := _usable(target)) is not None:
            return found, True
        target.parent.mkdir(parents=True, exist_ok=True)
        with building(target, lambda: tell(0, "waiting for another run that prepares the same data")) as partial:
            if (found := _usable(target)) is not None:
                return found, True
            _build(load(), corpus_name, settings, partial, tell, threads)
            rename_whole(partial, target)
        return open_dataset(target), False
    except OSError as error:
        hint = "set GOLFREG_CACHE to a directory of yours on another disk"
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG):
            raise EnvironmentFault(f"cannot prepare data in `{target}`: {error}", hint=hint) from error
        raise EnvironmentFault(
            f"cannot write data to `{error.filename or target}`: {error.strerror}",
            hint=f"free some space, or {hint}",
        ) from error


def check_dataset(dataset: Dataset) -> None:
    """Compare the files with what ``dataset.toml`` says: all sizes, and all that decides a score byte for byte."""
    for name, facts in dataset.files.items():
        path = dataset.path / name
        size = path.stat().st_size if path.is_file() else -1
        if size != facts["bytes"]:
            raise InputError(f"`{path}` has {size:,} bytes, not {facts['bytes']:,}")
        if not name.startswith("train_") and _sha256(path) != facts.get("sha256"):
            raise InputError(f"`{path}` was changed after it was written")


def _usable(target: Path) -> Dataset | None:
    if not target.exists():
        return None
    if target.is_dir() and not (target / DATASET_FILE).exists():
        if any(target.iterdir()):
            raise InputError(f"`{target}` exists and holds no dataset", hint="give another directory")
        return None
    try:
        dataset = open_dataset(target)
        check_dataset(dataset)
    except InputError:
        return None
    return dataset


def _build(
    corpus: Documents | Shards, corpus_name: str, settings: DataSettings, directory: Path, tell: Tell, threads: int
) -> None:
    validation, train = ShardWriter(directory, "validation"), ShardWriter(directory, "train")
    known: Written | None = None
    try:
        if isinstance(corpus, Documents):
            tell(0, "choosing the tokenizer")

            def train_model(size: int) -> bytes:
                texts = tokenizer_texts(corpus, settings.tokenizer_train_bytes)
                tell(0, f"training the tokenizer sp{size}")
                return trained_model(texts, size, cache_root() / "tokenizers")

            tokenizer = make_tokenizer(settings.tokenizer, train_model, threads)
            seen: set[bytes] = set()
            known = write_split(
                corpus.validation(),
                "validation",
                tokenizer,
                validation,
                seen,
                lambda text: tell(1, text),
                settings.validation_tokens,
                keep_digests=True,
            )
            write_split(corpus.train(), "training", tokenizer, train, seen, lambda text: tell(2, text))
            validation.close()
            train.close()
            digests = {**validation.digests, **train.digests}
        else:
            tokenizer = shards_tokenizer(corpus, settings, threads)
            old = respelled(corpus, settings, threads)
            tell(1, "checking the validation shards")
            if old is not None:
                from golfreg.data.respell import write_in_bytes  # Counted in the artifacts of such runs only.

                limit = settings.validation_tokens
                write_in_bytes(corpus.validation, old, validation, lambda text: tell(1, text), limit, prove=True)
                write_in_bytes(corpus.train, old, train, lambda text: tell(2, text))
                validation.close()
                train.close()
                digests = {**validation.digests, **train.digests}
            elif settings.validation_tokens:
                TokenStream(corpus.validation).check(tokenizer.vocab_size)
                cut_validation(corpus.validation, validation, settings.validation_tokens, tokenizer.bos_id)
                validation.close()
                digests = dict(validation.digests)
            else:
                digests = link_shards(corpus.validation, directory, "validation", tokenizer.vocab_size)
            if old is None:
                tell(2, "checking the training shards")
                digests |= link_shards(corpus.train, directory, "train", tokenizer.vocab_size)
    finally:
        validation.abandon()
        train.abandon()
    _describe(corpus, corpus_name, tokenizer, known, digests, directory, tell)


def _describe(
    corpus: Documents | Shards,
    corpus_name: str,
    tokenizer: Tokenizer,
    known: Written | None,
    digests: dict[str, str],
    directory: Path,
    tell: Tell,
) -> None:
    """Prove the bytes of what was written and write the byte table, the tokenizer and ``dataset.toml``."""
    streams = {
        prefix: TokenStream(directory / name for name in sorted(digests) if name.startswith(f"{prefix}_"))
        for prefix in ("train", "validation")
    }
    for prefix, what in (("train", "training"), ("validation", "validation")):
        if len(streams[prefix]) < 2:
            raise InputError(
                f"the corpus `{corpus_name}` has no {what} text",
                hint="it is empty, all duplicates, or too small to be split; give the validation documents apart",
            )
    tell(3, "proving the bytes")
    table = tokenizer.byte_table()
    proof = prove_bytes(streams["validation"], tokenizer, table, known.digests if known else None)
    arrays = {"base_bytes": table.base_bytes, "leading_space": table.leading_space, "boundary": table.boundary}
    written = {BYTES_FILE: save(arrays)} | ({TOKENIZER_FILE: tokenizer.model} if tokenizer.model else {})
    for name, data in written.items():
        write_whole(directory / name, data)
        digests[name] = hashlib.sha256(data).hexdigest()
    files = {n: {"bytes": (directory / n).stat().st_size, "sha256": digests[n]} for n in sorted(digests)}
    values = {
        "schema": DATASET_SCHEMA,
        "corpus": corpus_name,
        "corpus_fingerprint": corpus.fingerprint,
        "tokenizer": tokenizer.name,
        "tokenizer_digest": tokenizer.digest,
        "vocab_size": tokenizer.vocab_size,
        "train_tokens": len(streams["train"]),
        "validation_tokens": len(streams["validation"]),
        "validation_documents": proof.documents,
        "validation_bytes": proof.target_bytes,
        "validation_source_bytes": known.source_bytes if known else proof.target_bytes,
        "validation_documents_changed": proof.documents_changed,
        "fingerprint": hashlib.sha256("".join(f"{n} {digests[n]}\n" for n in sorted(digests)).encode()).hexdigest(),
        "licence": corpus.licence,
        "notes": {str(k): str(v) for k, v in corpus.notes.items()} | ({} if known else {"source": NO_SOURCE}),
        "files": files,
    }
    if known:
        # What is in the validation split was left out while the training split was written.
        values["shared_documents"] = 0
    if tokenizer.bos_id is not None:
        values["bos_id"] = tokenizer.bos_id
    write_whole(directory / DATASET_FILE, tomli_w.dumps(values).encode())
    tell(STEPS, "done")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
