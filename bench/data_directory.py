"""The data of the GPU benches: a directory that somewhere below it holds these files, whatever its layout.

``web_0.jsonl.xz``, ``web_1.jsonl.xz``, ``web_2.jsonl.xz`` to train on, ``fineweb_eval.jsonl`` to score, and the
SentencePiece models ``fineweb_8192_bpe.model`` and ``fineweb_1024_bpe.model`` (or ``fineweb_1024_bpe.derived.model``).
"""

from __future__ import annotations

from pathlib import Path

from golfreg.api.errors import ConfigError

TRAIN = ("web_0.jsonl.xz", "web_1.jsonl.xz", "web_2.jsonl.xz")
VALIDATION = "fineweb_eval.jsonl"
TOKENIZERS = {
    8192: ("fineweb_8192_bpe.model",),
    1024: ("fineweb_1024_bpe.model", "fineweb_1024_bpe.derived.model"),
}


def data_settings(directory: Path | None, vocabulary: int) -> list[str]:
    """``key=value`` of the corpus and the tokenizer. None: golfreg's own corpus, with a tokenizer trained on it.

    ConfigError names a file that is not there.
    """
    if directory is None:
        return ["components.corpus=docstrings", f"data.tokenizer=sp{vocabulary}"]
    corpus = ",".join(str(_find(directory, (name,))) for name in TRAIN)
    return [
        f"components.corpus=jsonl:{corpus};validation={_find(directory, (VALIDATION,))}",
        f"data.tokenizer={_find(directory, TOKENIZERS[vocabulary])}",
    ]


def _find(directory: Path, names: tuple[str, ...]) -> Path:
    for name in names:
        found = sorted(directory.rglob(name))
        if found:
            return found[0].resolve()
    raise ConfigError(f"`{directory}` holds no `{names[0]}`", "bench/data_directory.py says what is needed")
