"""The corpus ``jsonl:PATH[,PATH...][;validation=PATH[,PATH...]]``: one JSON object with a ``text`` a line.

A file may be compressed with xz or gzip; that is told from its first bytes. Without validation
files, one document in twenty, chosen by the hash of its text, is for validation.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from golfreg.api import ConfigError, Documents, InputError
from golfreg.builtin.corpora.files import DAMAGED, check_files, file_digest, open_file, paths_in

MAX_LINE_BYTES = 32 << 20
"""A longer line is an error: it is never read as a whole."""

_VALIDATION_ONE_IN = 20
_FORM = "write `jsonl:PATH[,PATH...]`, then `;validation=PATH` if there are validation documents apart"


class JsonLines:
    """Documents of JSON-lines files, read as a stream: any size, one document in memory."""

    def load(self, argument: str | None, cache_dir: Path) -> Documents:
        train, validation = parse_argument(argument)
        digest = hashlib.sha256()
        for split in (train, validation):
            for path in split:
                digest.update(file_digest(path))
            digest.update(b"|")
        notes = {"files": ", ".join(path.name for path in train)}
        if validation:
            notes["validation_files"] = ", ".join(path.name for path in validation)
            opened = _reader(train, None), _reader(validation, None)
        else:
            notes["validation"] = f"one document in {_VALIDATION_ONE_IN} by hash"
            opened = _reader(train, False), _reader(train, True)
        return Documents(*opened, digest.hexdigest(), "as the files' owner says", notes)


def parse_argument(argument: str | None) -> tuple[list[Path], list[Path]]:
    """The training files and the validation files, each of which exists."""
    if not argument:
        raise ConfigError("the corpus `jsonl` needs a file", hint=_FORM)
    first, mark, second = argument.partition(";")
    if os.path.exists(argument):
        first, mark, second = argument, "", ""
    if mark and not second.startswith("validation="):
        raise ConfigError(f"the corpus `jsonl` does not know `{second}`", hint=_FORM)
    splits = [paths_in(part) for part in (first, second.removeprefix("validation=")) if part or mark]
    check_files([path for split in splits for path in split], _FORM)
    return splits[0], splits[1] if len(splits) > 1 else []


def read_texts(path: Path) -> Iterator[str]:
    """The text of each line that is not blank. ``InputError`` names the file and the line."""
    number = 0
    try:
        with open_file(path) as file:
            while line := file.readline(MAX_LINE_BYTES + 1):
                number += 1
                if len(line) > MAX_LINE_BYTES:
                    raise InputError(
                        f"line {number:,} of `{path}` is longer than {MAX_LINE_BYTES:,} bytes",
                        hint="one document stands on a line; split longer documents",
                    )
                if not line.isspace():
                    yield _text(line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line, path, number)
    except DAMAGED as error:
        raise InputError(
            f"the compressed file `{path}` is cut short or damaged after line {number:,}: {error}",
            hint="copy or download it again",
        ) from error
    except OSError as error:
        raise InputError(f"cannot read `{path}` after line {number:,}: {error.strerror or error}") from error


def _text(line: bytes, path: Path, number: int) -> str:
    where = f"line {number:,} of `{path}`"
    try:
        value = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise InputError(f"{where} is not UTF-8: byte {error.start:,} is 0x{line[error.start]:02x}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where} is not JSON: {error}", hint='a line is an object: {"text": "..."}') from error
    text = value.get("text") if isinstance(value, dict) else None
    if not isinstance(text, str):
        raise InputError(f"{where} has no `text`", hint='a line is an object: {"text": "..."}')
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{where} holds half of a surrogate pair at character {error.start:,}") from error
    return text


def _reader(paths: list[Path], validation: bool | None) -> Callable[[], Iterator[str]]:
    """Opens an iterator over one side of the split; None: over everything."""

    def documents() -> Iterator[str]:
        for path in paths:
            for text in read_texts(path):
                if validation is None or _is_validation(text) == validation:
                    yield text

    return documents


def _is_validation(text: str) -> bool:
    return hashlib.blake2b(text.encode(), digest_size=4).digest()[-1] % _VALIDATION_ONE_IN == 0


jsonl = JsonLines()
