"""A dataset in the words of a record."""

from __future__ import annotations

from typing import Any

from golfreg.data.dataset import Dataset


def summary(dataset: Dataset) -> dict[str, Any]:
    """What a record says of a dataset."""
    values: dict[str, Any] = {
        "corpus": dataset.corpus,
        "tokenizer": dataset.tokenizer,
        "tokenizer_digest": dataset.tokenizer_digest,
        "vocab_size": dataset.vocab_size,
        "train_tokens": dataset.train_tokens,
        "validation_tokens": dataset.validation_token_count,
        "validation_documents": dataset.validation_documents,
        "validation_bytes": dataset.validation_bytes,
        "validation_source_bytes": dataset.validation_source_bytes,
        "validation_documents_changed": dataset.validation_documents_changed,
        "fingerprint": dataset.fingerprint,
        "licence": dataset.licence,
        "notes": dict(dataset.notes),
    }
    if dataset.bos_id is not None:
        values["bos_id"] = dataset.bos_id
    return values
