"""Where prepared data is kept, and the name of each dataset there. Standard library only.

The name must be known before any data is read (a dry run shows it), so it is made from what is
cheap to see: the settings, the size and time of the files that they name, and versions.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import asdict
from importlib import metadata
from pathlib import Path
from typing import Any

from golfreg.config.spec import DataSettings

DATA_FORMAT = 1
"""Part of every key: raised when golfreg would make other tokens from the same corpus."""


def cache_root() -> Path:
    """``GOLFREG_CACHE``, else ``golfreg`` in ``XDG_CACHE_HOME`` or in ``~/.cache``."""
    if chosen := os.environ.get("GOLFREG_CACHE"):
        return Path(chosen).expanduser().absolute()
    if xdg := os.environ.get("XDG_CACHE_HOME"):
        return Path(xdg).expanduser().absolute() / "golfreg"
    return Path.home() / ".cache" / "golfreg"


def corpora_dir() -> Path:
    """Where corpora keep what they fetch or make: the ``cache_dir`` that they are given."""
    return cache_root() / "corpora"


def fetched_state(target: Any, argument: str | None) -> str:
    """What is here of a corpus that can be fetched, by its fingerprint; empty for any other, or if nothing is."""
    if not hasattr(target, "stocks"):
        return ""
    return next((stock.fingerprint for stock in target.stocks(corpora_dir()) if stock.argument == argument), "")


def dataset_dir_for(corpus_name: str, argument: str | None, settings: DataSettings, fetched: str = "") -> Path:
    """The directory of this corpus with these settings. ``fetched``: its ``fetched_state``."""
    return cache_root() / "datasets" / dataset_key(corpus_name, argument, settings, fetched)


def dataset_key(corpus_name: str, argument: str | None, settings: DataSettings, fetched: str = "") -> str:
    """A directory name: the same for the same corpus, files, settings and library versions."""
    facts: dict[str, Any] = {
        "format": DATA_FORMAT,
        "corpus": corpus_name,
        "argument": None if argument is None else list(_parts(argument)),
        "settings": {**asdict(settings), "tokenizer": list(_parts(settings.tokenizer))},
        "versions": {name: _version(name) for name in ("numpy", "scipy", "sentencepiece")},
    }
    if fetched:
        facts["fetched"] = fetched
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    tokenizer = re.sub(r"[^A-Za-z0-9_.-]", "_", Path(settings.tokenizer).stem)[:40]
    return f"{corpus_name}-{tokenizer}-{digest[:16]}"


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "absent"


def _parts(argument: str) -> Iterator[object]:
    """An argument cut at ``,``, ``;`` and ``=``, which are kept; a path with its size and time of change."""
    pieces = [argument] if os.path.exists(argument) else re.split("([,;=])", argument)
    for piece in pieces:
        if piece and os.path.isdir(piece):
            path = Path(piece).absolute()
            yield [str(path), [_stat(p) for p in sorted(path.iterdir()) if p.is_file()]]
        elif piece and os.path.isfile(piece):
            yield _stat(Path(piece).absolute())
        else:
            yield piece


def _stat(path: Path) -> list[object]:
    found = path.stat()
    return [str(path), found.st_size, found.st_mtime_ns]
