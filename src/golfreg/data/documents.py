"""A corpus of documents becomes token shards: deduplicated, tokenized, written in one stream."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from golfreg.api.errors import InputError
from golfreg.api.values import Documents
from golfreg.data.prove import text_digest
from golfreg.data.tokenizers import Tokenizer, take_bytes
from golfreg.data.writer import ShardWriter

MAX_DOCUMENT_BYTES = 16 << 20
"""Tokenizing takes about 55 bytes of memory for each byte of one document."""

_BATCH_BYTES = 1 << 20


@dataclass
class Written:
    """What one split came to."""

    documents: int = 0
    source_bytes: int = 0
    duplicates: int = 0
    digests: list[bytes] = field(default_factory=list)
    """``text_digest`` of each document, where they were asked for."""


def checked(documents: Iterable[object], what: str) -> Iterator[tuple[str, bytes]]:
    """Each document that is not empty, with its UTF-8 bytes. ``what`` names the split in messages."""
    for number, text in enumerate(documents):
        if not isinstance(text, str):
            raise InputError(f"{what} document {number:,} is not text: {type(text).__name__}")
        try:
            data = text.encode()
        except UnicodeEncodeError as error:
            raise InputError(f"{what} document {number:,} cannot be written in UTF-8: {error.reason}") from error
        if len(data) > MAX_DOCUMENT_BYTES:
            raise InputError(
                f"{what} document {number:,} has {len(data):,} bytes; at most {MAX_DOCUMENT_BYTES:,} are read",
                hint="split it into several documents",
            )
        if data:
            yield text, data


def tokenizer_texts(corpus: Documents, limit: int) -> list[str]:
    """The first ``limit`` bytes of training text, none of it in the validation split."""
    seen = {text_digest(data) for _, data in checked(corpus.validation(), "validation")}

    def unique() -> Iterator[str]:
        for text, data in checked(corpus.train(), "training"):
            digest = text_digest(data)
            if digest not in seen:
                seen.add(digest)
                yield text

    return take_bytes(unique(), limit)


def write_split(
    documents: Iterable[object],
    what: str,
    tokenizer: Tokenizer,
    writer: ShardWriter,
    seen: set[bytes],
    tell: Callable[[str], None],
    limit_tokens: int = 0,
    keep_digests: bool = False,
) -> Written:
    """Tokenize documents that are not in ``seen``, BOS before each, and add them to it.

    After ``limit_tokens`` (0: never) writing stops at the document's end; the documents after it
    are still added to ``seen``, so that what another split gets does not depend on the limit.
    """
    written = Written()
    batch: list[tuple[str, bytes, bytes]] = []
    size = 0
    full = False

    def flush() -> None:
        nonlocal batch, size, full
        arrays = tokenizer.encode([text for text, _, _ in batch])
        for (_, data, digest), tokens in zip(batch, arrays, strict=True):
            if full:
                break
            if tokenizer.bos_id is not None:
                tokens = np.concatenate([np.array([tokenizer.bos_id], np.uint16), tokens])
            writer.append(tokens)
            written.documents += 1
            written.source_bytes += len(data)
            if keep_digests:
                written.digests.append(digest)
            full = 0 < limit_tokens <= writer.tokens
        batch, size = [], 0
        tell(f"{what}: {written.documents:,} documents, {writer.tokens:,} tokens")

    for text, data in checked(documents, what):
        digest = text_digest(data)
        if digest in seen:
            written.duplicates += 1
            continue
        seen.add(digest)
        if full:
            continue
        batch.append((text, data, digest))
        size += len(data)
        if size >= _BATCH_BYTES:
            flush()
    if batch:
        flush()
    return written
