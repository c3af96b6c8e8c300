"""A corpus of token shards becomes a dataset: checked, and linked rather than copied where possible."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

import numpy as np

from golfreg.api.errors import InputError
from golfreg.api.values import Shards
from golfreg.config.spec import DataSettings
from golfreg.data.shards import TokenStream
from golfreg.data.tokenizers import ByteTokenizer, Tokenizer, make_tokenizer, read_tokenizer, sentencepiece_size
from golfreg.data.writer import ShardWriter


def shards_tokenizer(corpus: Shards, settings: DataSettings, threads: int) -> Tokenizer:
    """The tokenizer that the settings give, if they give one; else the one that came with the shards.

    ``spN`` asks for training on text, which shards do not have, so it does not count as given. ``bytes``
    stands for shards that are written again (``respelled``), unless they are of bytes already.
    """
    if sentencepiece_size(settings.tokenizer) is None:
        return make_tokenizer(settings.tokenizer, lambda size: b"", threads)
    if corpus.tokenizer == "bytes":
        return make_tokenizer("bytes", lambda size: b"")
    if corpus.tokenizer is None:
        found = corpus.notes.get("tokenizers")
        raise InputError(
            "the shards come with several tokenizers: " + found if found else "the shards come without a tokenizer",
            hint="name the one that made them: `data.tokenizer` is `bytes` or the path of a `.model`",
        )
    return read_tokenizer(Path(corpus.tokenizer), threads)


def respelled(corpus: Shards, settings: DataSettings, threads: int) -> Tokenizer | None:
    """The tokenizer of shards that are to be written again in bytes; None where the shards are used as they are."""
    if settings.tokenizer != ByteTokenizer.name or corpus.tokenizer in (None, ByteTokenizer.name):
        return None
    return read_tokenizer(Path(corpus.tokenizer), threads)


def link_shards(paths: tuple[str, ...], directory: Path, prefix: str, vocab_size: int) -> dict[str, str]:
    """Check every token and put the shards into ``directory``: name to SHA-256 of each.

    A hard link costs no space; where there can be none (another file system), it is a copy.
    """
    TokenStream(paths).check(vocab_size)
    digests: dict[str, str] = {}
    for i, path in enumerate(paths):
        target = directory / f"{prefix}_{i:06d}.bin"
        try:
            os.link(os.path.realpath(path), target)
        except OSError:
            shutil.copyfile(path, target)
        with target.open("rb") as file:
            digests[target.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return digests


def cut_validation(paths: tuple[str, ...], writer: ShardWriter, limit: int, bos_id: int | None) -> None:
    """Write the shards' tokens up to the end of the document in which token ``limit`` stands."""
    stream = TokenStream(paths)
    position = 0
    for chunk in stream.chunks():
        if bos_id is None:
            stop = limit - position
            if stop < len(chunk):
                writer.append(chunk[:stop])
                return
        else:
            starts = np.flatnonzero(chunk == bos_id)
            later = starts[starts + position >= limit]
            if len(later):
                writer.append(chunk[: int(later[0])])
                return
        writer.append(chunk)
        position += len(chunk)
