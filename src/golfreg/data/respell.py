"""Token shards in bytes: their documents decoded and written with the byte tokenizer."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from golfreg.data.prove import prove_bytes, split_documents
from golfreg.data.shards import TokenStream
from golfreg.data.tokenizers import ByteTokenizer, Tokenizer
from golfreg.data.writer import ShardWriter

_BATCH_TOKENS = 1 << 19


def write_in_bytes(
    paths: tuple[str, ...],
    old: Tokenizer,
    writer: ShardWriter,
    tell: Callable[[str], None],
    limit_tokens: int = 0,
    prove: bool = False,
) -> None:
    """Write the text of every document of the shards, BOS before each; after ``limit_tokens`` stop at its end.

    ``prove``: first that the bytes of the shards add up by their own tokenizer, so that what is
    written is the text that they stand for. A document is what ``old.decode`` says it is.
    """
    stream = TokenStream(paths)
    stream.check(old.vocab_size)
    if prove:
        tell("proving the bytes of the shards")
        prove_bytes(stream, old, old.byte_table())
    batch: list[np.ndarray] = []
    size = 0

    def flush() -> bool:
        """Whether the limit was reached."""
        nonlocal batch, size
        for text in old.decode(batch):
            codes = np.frombuffer(text, np.uint8).astype(np.uint16) + np.uint16(ByteTokenizer.first_byte)
            writer.append(np.concatenate([np.array([ByteTokenizer.bos_id], np.uint16), codes]))
            if 0 < limit_tokens <= writer.tokens:
                return True
        batch, size = [], 0
        tell(f"{writer.prefix}: {writer.tokens:,} bytes")
        return False

    for document in split_documents(stream, old.bos_id):
        batch.append(document)
        size += len(document)
        if size >= _BATCH_TOKENS and flush():
            return
    if batch:
        flush()
