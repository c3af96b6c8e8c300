"""Trains the SentencePiece tokenizer ``spN`` on a corpus, and keeps it by the fingerprint of its text."""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import sentencepiece

from golfreg.api.errors import ConfigError, InputError
from golfreg.config.job import write_whole

# The special tokens, the digits and the byte fallback are the challenge's
# (openai/parameter-golf, data/download_hf_docs_and_tokenize.py). Three settings differ, so that
# no text is lost: no normalization, no space removed, and a space put before each document, which
# is what decoding takes away again and what the leading-space rule does not count.
SETTINGS: dict[str, Any] = {
    "model_type": "bpe",
    "byte_fallback": True,
    "split_digits": True,
    "character_coverage": 0.999,
    "normalization_rule_name": "identity",
    "remove_extra_whitespaces": False,
    "add_dummy_prefix": True,
    # A piece of several spaces would be counted as three bytes each by the challenge's byte table.
    "allow_whitespace_only_pieces": False,
    "pad_id": 0,
    "bos_id": 1,
    "eos_id": 2,
    "unk_id": 3,
    "max_sentence_length": 1 << 30,
    "num_threads": 1,
}

_SPACE = "\u2581"
"""SentencePiece's sign for a space."""

# The trainer skips a whole text that holds one of these (NUL; U+2585 and U+2581 are its own signs).
_RESERVED = str.maketrans({"\x00": " ", "\u2581": " ", "\u2585": " "})


def train_sentencepiece(texts: Sequence[str], vocab_size: int) -> bytes:
    """The content of a ``.model`` file; the same bytes for the same texts, size and SentencePiece version."""
    model = _train(texts, vocab_size)
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    if processor.piece_to_id(_SPACE) == processor.unk_id():
        # Long documents without spaces, such as genomes: the space before each is too rare for the coverage, and in
        # byte fallback decoding would not take it away again.
        model = _train(texts, vocab_size, required_chars=_SPACE)
    return model


def _train(texts: Sequence[str], vocab_size: int, **more: Any) -> bytes:
    model = io.BytesIO()
    # The trainer cuts nothing else off than line ends, and those belong to the documents.
    sentences = (text.translate(_RESERVED) for text in texts if text)
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=sentences, model_writer=model, vocab_size=vocab_size, minloglevel=3, **SETTINGS, **more
        )
    except RuntimeError as error:
        if "sentences_.empty()" in str(error):
            raise InputError(
                f"the corpus has no training text to make the tokenizer `sp{vocab_size}` of",
                hint="is a file empty, or are all its documents for validation?",
            ) from error
        raise ConfigError(_why(str(error), vocab_size), hint="use a smaller `spN`, or `bytes`") from error
    return model.getvalue()


def trained_model(texts: Sequence[str], vocab_size: int, cache_dir: Path) -> bytes:
    """``train_sentencepiece``, kept in ``cache_dir`` as ``KEY-DIGEST.model`` and checked when it is used again."""
    key = hashlib.sha256(json.dumps([sentencepiece.__version__, vocab_size, SETTINGS], sort_keys=True).encode())
    for text in texts:
        data = text.encode()
        key.update(len(data).to_bytes(8, "little") + data)
    name = f"sp{vocab_size}-{key.hexdigest()[:32]}"
    for path in sorted(cache_dir.glob(f"{name}-*.model")):
        model = path.read_bytes()
        if path.stem == f"{name}-{hashlib.sha256(model).hexdigest()[:32]}":
            return model
    model = train_sentencepiece(texts, vocab_size)
    cache_dir.mkdir(parents=True, exist_ok=True)
    write_whole(cache_dir / f"{name}-{hashlib.sha256(model).hexdigest()[:32]}.model", model)
    return model


def _why(message: str, vocab_size: int) -> str:
    start = f"the tokenizer `sp{vocab_size}` cannot be trained on this corpus: "
    if most := re.search(r"value <= (\d+)", message):
        return start + f"its text yields at most {most[1]} tokens"
    if least := re.search(r"required_chars[^0-9]*\d+ vs (\d+)", message):
        return start + f"its characters alone need {least[1]} tokens"
    return start + " ".join(message.split())[-200:]
