"""Text to tokens and back: bytes, a SentencePiece model that is given, or one trained on the corpus."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import sentencepiece

from golfreg.api.errors import ConfigError, InputError
from golfreg.data.dataset import ByteTable
from golfreg.data.shards import MAX_VOCAB

SPACE = "\u2581"
"""SentencePiece writes a space as this character."""

MAX_MODEL_BYTES = 64 << 20
_FIRST_PRIVATE, _LAST_PRIVATE = 0xE000, 0xF8FF


class Tokenizer(Protocol):
    """``lossless``: decoding gives back the text that was encoded, whatever it is."""

    name: str
    digest: str
    vocab_size: int
    bos_id: int | None
    model: bytes | None
    lossless: bool

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        """The tokens of each text, uint16, without BOS."""
        ...

    def decode(self, documents: Sequence[np.ndarray]) -> list[bytes]:
        """The UTF-8 text of each document; control tokens stand for none."""
        ...

    def byte_table(self) -> ByteTable: ...


class ByteTokenizer:
    """The challenge's ``byte260``: pad 0, bos 1, eos 2, unk 3, byte b is b + 4."""

    name = "bytes"
    digest = hashlib.sha256(b"byte260").hexdigest()
    vocab_size = 260
    bos_id: int | None = 1
    first_byte = 4
    """Token of the byte 0."""
    model: bytes | None = None
    lossless = True

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        return [np.frombuffer(text.encode(), np.uint8).astype(np.uint16) + np.uint16(self.first_byte) for text in texts]

    def decode(self, documents: Sequence[np.ndarray]) -> list[bytes]:
        first = self.first_byte
        return [(tokens[tokens >= first] - first).astype(np.uint8).tobytes() for tokens in documents]

    def byte_table(self) -> ByteTable:
        special = np.arange(self.vocab_size) < self.first_byte
        return ByteTable((~special).astype(np.int16), np.zeros(self.vocab_size, np.bool_), special)


class SentencePieceTokenizer:
    """A SentencePiece model. ``model`` is the content of a ``.model`` file, ``where`` what messages call it."""

    def __init__(self, model: bytes, name: str, where: str, lossless: bool = False, threads: int = 1) -> None:
        try:
            self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)
            size, bos = int(self._processor.vocab_size()), int(self._processor.bos_id())
        except (RuntimeError, OSError, ValueError) as error:
            raise InputError(f"{where} is not a SentencePiece model") from error
        if size == 0:
            raise InputError(f"{where} is not a SentencePiece model: it has no tokens")
        if size > MAX_VOCAB:
            raise InputError(f"{where} has {size:,} tokens; shards hold 16-bit tokens, at most {MAX_VOCAB:,}")
        self.name = name
        self.model: bytes | None = model
        self.digest = hashlib.sha256(model).hexdigest()
        self.vocab_size = size
        self.bos_id: int | None = bos if bos >= 0 else None
        self.lossless = lossless
        self._threads = max(1, threads)

    def encode(self, texts: Sequence[str]) -> list[np.ndarray]:
        ids = self._processor.encode(list(texts), out_type=int, num_threads=self._threads)
        if self.lossless:
            for i, text in enumerate(texts):
                if SPACE in text:
                    ids[i] = self._encode_with_space_sign(text)
        return [np.array(x, np.uint16) for x in ids]

    def decode(self, documents: Sequence[np.ndarray]) -> list[bytes]:
        texts = self._processor.decode([x.tolist() for x in documents], num_threads=self._threads)
        return [text.encode() for text in texts]

    def byte_table(self) -> ByteTable:
        p = self._processor
        base = np.zeros(self.vocab_size, np.int16)
        leading = np.zeros(self.vocab_size, np.bool_)
        boundary = np.ones(self.vocab_size, np.bool_)
        for token in range(self.vocab_size):
            if p.is_control(token) or p.is_unknown(token) or p.is_unused(token):
                continue
            boundary[token] = False
            piece: str = p.id_to_piece(token)
            leading[token] = not p.is_byte(token) and piece.startswith(SPACE)
            base[token] = 1 if p.is_byte(token) else len(piece.removeprefix(SPACE).encode())
        return ByteTable(base, leading, boundary)

    def _encode_with_space_sign(self, text: str) -> list[int]:
        """Encode a text that holds U+2581 itself, which SentencePiece would give back as a space.

        The sign is encoded as a character that the vocabulary spells in bytes, and these bytes are
        then replaced by the sign's own.
        """
        bytes_at = {self._processor.id_to_piece(i): i for i in range(self.vocab_size) if self._processor.is_byte(i)}

        def spelled(character: str) -> list[int]:
            return [bytes_at[f"<0x{b:02X}>"] for b in character.encode()]

        for code in range(_FIRST_PRIVATE, _LAST_PRIVATE + 1):
            stand_in = chr(code)
            if stand_in in text:
                continue
            old = spelled(stand_in)
            ids: list[int] = self._processor.encode(text.replace(SPACE, stand_in), out_type=int)
            places = [i for i in range(len(ids) - 2) if ids[i : i + 3] == old]
            if len(places) == text.count(SPACE):
                new = spelled(SPACE)
                for i in places:
                    ids[i : i + 3] = new
                return ids
        raise InputError("a document holds U+2581 and every private-use character, so that no stand-in is left for it")


def sentencepiece_size(setting: str) -> int | None:
    """N of the tokenizer setting ``spN``, else None."""
    match = re.fullmatch(r"sp([0-9]{1,9})", setting)
    if not match:
        return None
    size = int(match[1])
    if not 261 <= size <= MAX_VOCAB:
        raise ConfigError(f"the tokenizer `{setting}` has a vocabulary outside 261 to {MAX_VOCAB:,}", "write `sp1024`")
    return size


def make_tokenizer(setting: str, train: Callable[[int], Any], threads: int = 1) -> Tokenizer:
    """The tokenizer of a setting. ``train(size)`` is called for ``spN`` and returns the content of a model."""
    if setting == "bytes":
        return ByteTokenizer()
    if size := sentencepiece_size(setting):
        return SentencePieceTokenizer(train(size), setting, "the trained tokenizer", lossless=True, threads=threads)
    return read_tokenizer(Path(setting), threads)


def read_tokenizer(path: Path, threads: int = 1) -> SentencePieceTokenizer:
    """A ``.model`` file."""
    hint = "a tokenizer is `spN` (trained here, N tokens), `bytes`, or the path of a SentencePiece `.model`"
    try:
        if path.stat().st_size > MAX_MODEL_BYTES:
            raise InputError(f"the tokenizer `{path}` has over {MAX_MODEL_BYTES:,} bytes", hint=hint)
        model = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read the tokenizer `{path}`: {error.strerror}", hint=hint) from error
    except ValueError as error:
        raise InputError(f"the tokenizer {str(path)!r} is not a path", hint=hint) from error
    return SentencePieceTokenizer(model, path.name, f"the tokenizer `{path}`", threads=threads)


def take_bytes(texts: Iterable[str], limit: int) -> list[str]:
    """The first texts of a corpus, ``limit`` bytes of UTF-8 in all; the last one is cut."""
    taken, room = [], limit
    for text in texts:
        data = text.encode()[:room]
        taken.append(data.decode(errors="ignore"))
        room -= len(data)
        if room <= 0:
            break
    return taken
