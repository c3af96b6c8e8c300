"""The corpus ``shards:DIR``: token files in the challenge's ``.bin`` format.

``*_train_*.bin`` and ``*_val_*.bin`` as the challenge names them, or ``train_*.bin`` and
``validation_*.bin`` as golfreg does. The tokenizer is the ``*.model`` beside them, or what the
directory's ``dataset.toml`` says; a setting of the run may name another.
"""

from __future__ import annotations

import hashlib
import tomllib
from pathlib import Path
from typing import Any

from golfreg.api import ConfigError, InputError, Shards

_NAMES = (("*_train_*.bin", "*_val_*.bin"), ("train_*.bin", "validation_*.bin"))
_HINT = "shards are named `*_train_*.bin` and `*_val_*.bin`, or `train_*.bin` and `validation_*.bin`"


class ShardDirectory:
    """Token shards of a directory. The tokens themselves are checked when the data is prepared."""

    def load(self, argument: str | None, cache_dir: Path) -> Shards:
        if not argument:
            raise ConfigError("the corpus `shards` needs a directory", hint="write `shards:DIR`")
        directory = Path(argument)
        try:
            if not directory.is_dir():
                raise InputError(f"there is no directory `{directory}`")
            for names in _NAMES:
                train, validation = (sorted(directory.glob(pattern)) for pattern in names)
                if train and validation:
                    break
            else:
                raise InputError(f"`{directory}` does not hold both training and validation shards", hint=_HINT)
            models = sorted(directory.glob("*.model"))
            described = _described(directory / "dataset.toml")
            fingerprint = _fingerprint(train, validation, models)
        except OSError as error:
            raise InputError(f"cannot read `{error.filename or directory}`: {error.strerror}") from error
        notes = {"directory": directory.name}
        if len(models) > 1:
            notes["tokenizers"] = ", ".join(model.name for model in models)
        if "corpus" in described:
            notes["corpus"] = str(described["corpus"])
        tokenizer = str(models[0]) if len(models) == 1 else None
        if not models and described.get("tokenizer") == "bytes":
            tokenizer = "bytes"
        return Shards(
            tuple(map(str, train)),
            tuple(map(str, validation)),
            tokenizer,
            fingerprint,
            str(described.get("licence", "as the files' owner says")),
            notes,
        )


def _described(path: Path) -> dict[str, Any]:
    """What golfreg wrote beside its own shards; nothing beside anyone else's."""
    if not path.is_file():
        return {}
    try:
        return tomllib.loads(path.read_bytes().decode("utf-8"))
    except ValueError as error:
        raise InputError(f"`{path}` is not TOML in UTF-8: {error}") from error


def _fingerprint(*groups: list[Path]) -> str:
    digest = hashlib.sha256()
    for group in groups:
        for path in group:
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        digest.update(b"|")
    return digest.hexdigest()


shards = ShardDirectory()
