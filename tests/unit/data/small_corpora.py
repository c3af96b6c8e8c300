"""Corpora and tokenizers that the data tests share."""

import hashlib

from golfreg.api import Documents

WORDS = (
    "the",
    "of",
    "and",
    "model",
    "byte",
    "token",
    "window",
    "golf",
    "state",
    "norm",
    "head",
    "scale",
    "row",
    "code",
)


def documents(count=60, start=0):
    """Texts of different lengths, no two the same."""
    return [
        " ".join(WORDS[(i * i + j) % len(WORDS)] for j in range(20 + i % 7)) + f".\n\n  Note {i}: naïve\ttext\n"
        for i in range(start, start + count)
    ]


def corpus(train=None, validation=None):
    train = documents() if train is None else train
    validation = documents(8, 1000) if validation is None else validation
    fingerprint = hashlib.sha256(repr((train, validation)).encode()).hexdigest()
    return Documents(lambda: iter(train), lambda: iter(validation), fingerprint, "CC0", {"made": "here"})


NASTY = [
    *(" ", "  ", "\n", "\n\n", " a", "a ", "a  b", "\ta", "a\tb", "\x00", "a\x00b", "\r\n"),
    *("\u2581", "a\u2581b", "\u2581\u2581 \u2581", "\ue000\u2581\ue001", "\ufffd", "\u2047", "\u2585"),
    *("<s>", "</s>", "<0x41>", "<unk>", "<pad>", "\ufeffabc", "e\u0301", "\ufb01", "\u3000x", "\u00a0"),
    *("\U0001f600\U0001f468\u200d\U0001f469", "\U0010ffff", "\ue000", "\x7f\x1b[0m", "ab\x00", "\u200b x"),
    *("   lead", "trail   ", "123456", " \n \n ", "\u0085\u2028", "a" * 5000, " " * 300, "\xff\xfe\x80", "\ufdfa"),
]
"""Texts that normalizing tokenizers change."""
