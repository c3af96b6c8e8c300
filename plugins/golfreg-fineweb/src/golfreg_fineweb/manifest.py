"""The manifest of an export: ``ROOT/manifest.json`` of a repository.

Its form is what openai/parameter-golf, data/download_hf_docs_and_tokenize.py, writes: ``datasets`` and
``tokenizers`` are lists; a dataset has ``name``, ``tokenizer_name`` and ``stats`` with counts of files
and tokens; a tokenizer has ``model_path``, or ``path`` of the JSON file of the byte tokenizer.
"""

from __future__ import annotations

import json
from typing import Any

from golfreg.api import InputError
from golfreg_fineweb.here import BYTES, State
from golfreg_fineweb.names import Source

MAX_BYTES = 16 << 20
_MOST_SHARDS = 100_000
_MOST_TOKENS = 1 << 31
_BYTE_TOKENIZER = {"pad_id": 0, "bos_id": 1, "eos_id": 2, "unk_id": 3, "byte_offset": 4, "byte_count": 256}


def read_manifest(data: bytes, source: Source, repository: str, commit: str) -> State | None:
    """The export of the source's variant; None where the manifest does not list it."""
    where = f"the manifest of `{repository}`"
    try:
        values: Any = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where} is not JSON: {error}") from error
    dataset = _named(values, "datasets", source.dataset, where)
    if dataset is None:
        return None
    tokenizer = _named(values, "tokenizers", dataset.get("tokenizer_name"), where)
    if tokenizer is None:
        raise InputError(f"{where} does not list the tokenizer {dataset.get('tokenizer_name')!r} of {source.dataset}")
    stats = dataset.get("stats")
    if not isinstance(stats, dict):
        raise InputError(f"{where} has no `stats` of {source.dataset}")
    path = _path(tokenizer.get("model_path") or tokenizer.get("path"), where)
    is_bytes = source.variant == "byte260"
    return State(
        repository=repository,
        commit=commit,
        root=source.root,
        train_shards=_count(stats, "files_train", 1, _MOST_SHARDS, where),
        validation_shards=_count(stats, "files_val", 1, _MOST_SHARDS, where),
        shard_tokens=_count(values, "shard_size", 1, _MOST_TOKENS, where),
        validation_tokens=_count(stats, "tokens_val", 0, 1 << 50, where) if "tokens_val" in stats else 0,
        tokenizer=BYTES if is_bytes else path.rpartition("/")[2],
        tokenizer_path=path,
        vocab_size=_count(dataset if "vocab_size" in dataset else tokenizer, "vocab_size", 2, 1 << 16, where),
    )


def variants_in(data: bytes) -> list[str]:
    """Variants that a manifest lists, for a message."""
    try:
        names = [d["name"] for d in json.loads(data)["datasets"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        return []
    return [n.removeprefix("fineweb10B_") for n in names if isinstance(n, str) and n.startswith("fineweb10B_")]


def check_byte_tokenizer(data: bytes, where: str) -> None:
    """Raise ``InputError`` unless the file describes the byte tokenizer that golfreg has."""
    try:
        values: Any = json.loads(data)
        found = {key: values["config"][key] for key in _BYTE_TOKENIZER}
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{where} does not describe a byte tokenizer: {error!r}") from error
    if found != _BYTE_TOKENIZER:
        raise InputError(f"{where} is another byte tokenizer than golfreg's: {found}")


def _named(values: Any, key: str, name: object, where: str) -> dict[str, Any] | None:
    entries = values.get(key) if isinstance(values, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise InputError(f"{where} has no list `{key}`")
    return next((entry for entry in entries if entry.get("name") == name), None)


def _count(values: dict[str, Any], key: str, lowest: int, highest: int, where: str) -> int:
    value = values.get(key)
    if type(value) is not int or not lowest <= value <= highest:
        raise InputError(f"{where} has `{key}` = {str(value)[:40]!r}", hint=f"a whole number from {lowest} on")
    return value


def _path(value: object, where: str) -> str:
    parts = value.split("/") if isinstance(value, str) else []
    if not parts or not all(part and part not in (".", "..") and part.isprintable() for part in parts):
        raise InputError(f"{where} has the tokenizer file {str(value)[:80]!r}")
    return "/".join(parts)
