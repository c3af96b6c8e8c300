"""The proof behind bits per byte: counted bytes are the bytes of the decoded text, document by document."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from golfreg.api.errors import InputError
from golfreg.data.dataset import ByteTable
from golfreg.data.shards import TokenStream
from golfreg.data.tokenizers import Tokenizer

_BATCH_TOKENS = 1 << 19


@dataclass(frozen=True)
class Proof:
    """What was counted. ``target_bytes``: of all tokens but the stream's first, which is never predicted."""

    documents: int
    tokens: int
    decoded_bytes: int
    target_bytes: int
    documents_changed: int
    """Documents whose decoded text is not the source; 0 where the source is not known."""


def text_digest(data: bytes) -> bytes:
    """What documents are compared by: 16 bytes."""
    return hashlib.blake2b(data, digest_size=16).digest()


def split_documents(stream: TokenStream, bos_id: int | None) -> Iterator[np.ndarray]:
    """The documents of a token stream, each with its BOS. Without a BOS token all of it is one document."""
    parts: list[np.ndarray] = []
    for chunk in stream.chunks():
        starts = np.flatnonzero(chunk == bos_id) if bos_id is not None else np.zeros(0, np.int64)
        edges = [0, *starts.tolist(), len(chunk)]
        for i, (start, stop) in enumerate(pairwise(edges)):
            if i > 0 and parts:
                yield np.concatenate(parts)
                parts = []
            if stop > start:
                parts.append(chunk[start:stop])
    if parts:
        yield np.concatenate(parts)


def prove_bytes(
    stream: TokenStream, tokenizer: Tokenizer, table: ByteTable, sources: Sequence[bytes] | None = None
) -> Proof:
    """Count and decode every document of ``stream``; the first where the two differ stops it with ``InputError``.

    ``sources``: ``text_digest`` of the text of each document, where that is known. A lossless
    tokenizer must give back each of them.
    """
    documents = tokens = decoded_bytes = changed = 0
    first_bytes = int(table.base_bytes[stream.read(0, 1)].sum()) if len(stream) else 0
    for batch in _batches(split_documents(stream, tokenizer.bos_id)):
        for document, text in zip(batch, tokenizer.decode(batch), strict=True):
            # A document's first token follows nothing, so it has no leading space to count.
            counted = int(table.base_bytes[document[0]]) + int(table.count(document[:-1], document[1:]).sum())
            if counted != len(text):
                raise InputError(
                    f"the bytes of validation document {documents:,} do not add up with the tokenizer "
                    f"`{tokenizer.name}`: {counted:,} counted, {len(text):,} decoded; it is at token {tokens:,} "
                    f"and starts {text[:60].decode(errors='replace')!r}",
                    hint="bits per byte would be wrong, so nothing is scored; use another tokenizer",
                )
            if sources is not None and (documents >= len(sources) or text_digest(text) != sources[documents]):
                changed += 1
                if tokenizer.lossless:
                    raise InputError(
                        f"the tokenizer `{tokenizer.name}` changes validation document {documents:,}, "
                        f"which starts {text[:60].decode(errors='replace')!r}",
                        hint="golfreg's own tokenizers lose nothing: please report this document",
                    )
            documents += 1
            tokens += len(document)
            decoded_bytes += len(text)
    if sources is not None and documents != len(sources):
        raise InputError(f"{len(sources):,} validation documents were written and {documents:,} are read back")
    return Proof(documents, tokens, decoded_bytes, decoded_bytes - first_bytes, changed)


def _batches(documents: Iterator[np.ndarray]) -> Iterator[list[np.ndarray]]:
    batch: list[np.ndarray] = []
    size = 0
    for document in documents:
        batch.append(document)
        size += len(document)
        if size >= _BATCH_TOKENS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
