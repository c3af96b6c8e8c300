"""A dataset directory: token shards, the byte table, and ``dataset.toml`` that describes both.

Read by the training and the scoring worker, so it needs numpy and safetensors and no more.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from golfreg.api.errors import InputError
from golfreg.data.shards import MAX_VOCAB, TokenStream, shard_tokens

DATASET_SCHEMA = 1
DATASET_FILE = "dataset.toml"
BYTES_FILE = "bytes.safetensors"
TOKENIZER_FILE = "tokenizer.model"

_REMAKE = "remove the directory and prepare the data again"


@dataclass(frozen=True)
class ByteTable:
    """How many bytes of text each token stands for, by the challenge's rule.

    The formula is ``build_sentencepiece_luts`` and ``eval_val`` of openai/parameter-golf
    ``train_gpt.py``: control, unknown and unused tokens are boundaries of 0 bytes; a byte token is
    1; any other is the UTF-8 length of its piece without a leading U+2581, plus 1 for that space
    unless the previous token is a boundary. Arrays have one element per token of the vocabulary.
    """

    base_bytes: np.ndarray
    """int16[V]"""
    leading_space: np.ndarray
    """bool[V]"""
    boundary: np.ndarray
    """bool[V]"""

    def count(self, previous: np.ndarray, targets: np.ndarray) -> np.ndarray:
        """Bytes of each target, int64, for integer arrays of one shape."""
        space = self.leading_space[targets] & ~self.boundary[previous]
        counts: np.ndarray = self.base_bytes[targets].astype(np.int64) + space
        return counts


@dataclass(frozen=True)
class Dataset:
    """What ``dataset.toml`` says, the shards in order, and the byte table."""

    path: Path
    corpus: str
    tokenizer: str
    tokenizer_digest: str
    vocab_size: int
    bos_id: int | None
    train_tokens: int
    validation_token_count: int
    validation_documents: int
    validation_bytes: int
    """Bytes of the decoded validation text; counted and decoded agree, document by document."""
    validation_source_bytes: int
    """Bytes of the validation text before tokenizing; a normalizing tokenizer changes some."""
    validation_documents_changed: int
    """Validation documents whose decoded text is not the source text."""
    fingerprint: str
    licence: str
    notes: dict[str, str]
    files: dict[str, dict[str, Any]]
    """Name to ``{bytes, sha256}`` of every other file of the directory."""
    train_shards: tuple[Path, ...]
    validation_shards: tuple[Path, ...]
    byte_table: ByteTable = field(repr=False)

    def validation_tokens(self) -> np.ndarray:
        """All validation tokens, uint16[validation_token_count], each checked to be below ``vocab_size``."""
        stream = TokenStream(self.validation_shards)
        stream.check(self.vocab_size)
        return stream.read(0, len(stream))


def open_dataset(path: Path | str) -> Dataset:
    """Open a dataset directory. Headers, sizes and counts are checked, tokens are not read."""
    path = Path(path)
    values = _read_toml(path / DATASET_FILE)

    def get(key: str, kind: type) -> Any:
        value = values.get(key)
        if type(value) is not kind or (isinstance(value, int) and value < 0):
            raise InputError(f"`{path / DATASET_FILE}` has no usable `{key}`: {value!r}", hint=_REMAKE)
        return value

    schema = get("schema", int)
    if schema != DATASET_SCHEMA:
        raise InputError(
            f"`{path / DATASET_FILE}` has schema {schema}; this golfreg reads schema {DATASET_SCHEMA}", hint=_REMAKE
        )
    files: dict[str, dict[str, Any]] = get("files", dict)
    for name, facts in files.items():
        if not isinstance(facts, dict) or type(facts.get("bytes")) is not int or "/" in name:
            raise InputError(f"`{path / DATASET_FILE}` does not describe the file {name!r}", hint=_REMAKE)
    vocab_size = get("vocab_size", int)
    bos_id = get("bos_id", int) if "bos_id" in values else None
    if not 0 < vocab_size <= MAX_VOCAB or (bos_id is not None and bos_id >= vocab_size):
        raise InputError(f"`{path / DATASET_FILE}` has vocab_size {vocab_size} and bos_id {bos_id}", hint=_REMAKE)
    dataset = Dataset(
        path=path,
        **{key: get(key, str) for key in ("corpus", "tokenizer", "tokenizer_digest", "fingerprint", "licence")},
        **{
            key: get(key, int)
            for key in (
                "train_tokens",
                "validation_documents",
                "validation_bytes",
                "validation_source_bytes",
                "validation_documents_changed",
            )
        },
        vocab_size=vocab_size,
        bos_id=bos_id,
        validation_token_count=get("validation_tokens", int),
        notes={str(k): str(v) for k, v in get("notes", dict).items()},
        files=files,
        train_shards=_shards(path, files, "train"),
        validation_shards=_shards(path, files, "validation"),
        byte_table=_read_byte_table(path / BYTES_FILE, vocab_size),
    )
    for what, shards, expected in (
        ("training", dataset.train_shards, dataset.train_tokens),
        ("validation", dataset.validation_shards, dataset.validation_token_count),
    ):
        found = sum(map(shard_tokens, shards))
        if found != expected:
            raise InputError(f"`{path}` holds {found:,} {what} tokens where it says {expected:,}", hint=_REMAKE)
    return dataset


def _shards(path: Path, files: dict[str, Any], prefix: str) -> tuple[Path, ...]:
    return tuple(path / name for name in sorted(files) if name.startswith(f"{prefix}_") and name.endswith(".bin"))


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"`{path.parent}` is not a dataset: it has no {path.name}") from error
    except OSError as error:
        raise InputError(f"cannot read `{path}`: {error.strerror}") from error
    except ValueError as error:
        raise InputError(f"`{path}` is not TOML in UTF-8: {error}", hint=_REMAKE) from error


def _read_byte_table(path: Path, vocab_size: int) -> ByteTable:
    try:
        # A table of the largest vocabulary has 256 KiB: what is larger is not one, and is not loaded.
        if path.stat().st_size > 4 * MAX_VOCAB + 4096:
            raise InputError(f"the byte table `{path}` is too large", hint=_REMAKE)
        arrays = load_file(path)
    except (OSError, SafetensorError) as error:
        raise InputError(f"cannot read the byte table `{path}`: {error}", hint=_REMAKE) from error
    for name, dtype in (("base_bytes", np.int16), ("leading_space", np.bool_), ("boundary", np.bool_)):
        array = arrays.get(name)
        if array is None or array.shape != (vocab_size,) or array.dtype != dtype:
            raise InputError(f"the byte table `{path}` has no `{name}` for {vocab_size:,} tokens", hint=_REMAKE)
    return ByteTable(arrays["base_bytes"], arrays["leading_space"], arrays["boundary"])
