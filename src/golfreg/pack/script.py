"""The code section as a script: one Python file that holds every counted source, as the challenge ships its code.

Plain, it is readable: settings, sources, and an import hook that serves the sources as modules. Packed,
it is one line that decompresses the plain text and runs it. The packed text is what an artifact stores
and what its code is counted as; both are UTF-8 and parse as Python. Reading one never runs it.
"""

from __future__ import annotations

import base64
import bz2
import pprint
import re
from collections.abc import Mapping
from typing import Any

from golfreg.api.codec import read_exactly
from golfreg.api.errors import InputError
from golfreg.pack.archive import MAX_DECODED_BYTES, MAX_FILES, checked_path

MAIN = "golfreg.runner.script"
"""The module whose ``main(file, settings)`` the script calls."""

_OPEN, _SHUT = b'import base64,bz2\nexec(bz2.decompress(base64.b85decode("', b'")))\n'
_PAYLOAD = re.compile(rb'b85decode\("([0-9A-Za-z!#$%&()*+;<=>?@^_`{|}~-]+)"\)')
_SOURCES = "\nSOURCES = {\n"
_HEAD = '''\
"""Trains a language model, quantizes and packs it, and scores the packed file. Made by golfreg.

DATA_PATH=DIR TOKENIZER_PATH=FILE.model SEED=1337 python train_gpt.py      (--help says what else can be set)
"""
import importlib.abc
import importlib.util
import os
import sys

SETTINGS = '''
_TAIL = '''}


class Sources(importlib.abc.MetaPathFinder, importlib.abc.ExecutionLoader):
    """Serves the modules of SOURCES, and no others of their packages."""

    def path_of(self, name):
        stem = name.replace(".", "/")
        return next((path for path in (f"{stem}/__init__.py", f"{stem}.py") if path in SOURCES), None)

    def find_spec(self, name, path=None, target=None):
        if self.path_of(name):
            return importlib.util.spec_from_loader(name, self)
        top = name.partition(".")[0]
        if self.path_of(top):
            raise ModuleNotFoundError(f"{name} is not in this file", name=name)

    def is_package(self, name):
        return self.path_of(name).endswith("/__init__.py")

    def get_filename(self, name):
        return os.path.join(os.path.abspath(__file__), self.path_of(name))

    def get_source(self, name):
        return SOURCES[self.path_of(name)]


sys.meta_path.insert(0, Sources())
if __name__ == "__main__":
    from %s import main

    main(os.path.abspath(__file__), SETTINGS)
'''


def plain_script(files: Mapping[str, str], settings: Mapping[str, Any]) -> str:
    """The readable script of path to source; ``settings`` are what ``MAIN`` gets. Equal values give equal text."""
    told = pprint.pformat(dict(settings), width=118, compact=True, sort_dicts=False)
    sources = "".join(f'"{checked_path(path)}": {_literal(files[path])},\n' for path in sorted(files))
    return f"{_HEAD}{told}\n{_SOURCES}{sources}{_TAIL % MAIN}"


def packed_script(plain: str) -> bytes:
    """The self-extracting form of a plain script: bzip2, which packs sources better than LZMA, in base85; ASCII."""
    return _OPEN + base64.b85encode(bz2.compress(plain.encode())) + _SHUT


def unpacked_script(packed: bytes, size: int) -> str:
    """The plain script, of ``size`` bytes, that a packed one holds. InputError if it holds none."""
    if size > MAX_DECODED_BYTES:
        raise _wrong(f"it claims {size:,} bytes decoded")
    try:
        return read_exactly(bz2.BZ2Decompressor(), _payload(packed), size, (OSError, EOFError)).decode()
    except (InputError, ValueError) as error:
        raise _wrong(f"its base85 text does not decode: {error}") from None


def script_size(packed: bytes) -> int:
    """Bytes of the plain script that a packed one holds. InputError if it holds none, or one that is too large."""
    try:
        return len(bz2.BZ2Decompressor().decompress(_payload(packed), MAX_DECODED_BYTES + 1))
    except (OSError, EOFError, ValueError) as error:
        raise _wrong(f"its base85 text does not decode: {error}") from None


def _payload(packed: bytes) -> bytes:
    found = _PAYLOAD.findall(packed)
    if len(found) != 1:
        raise _wrong(f"it has {len(found)} base85 texts, not one")
    return base64.b85decode(found[0])


def script_sources(plain: str) -> dict[str, str]:
    """Path to source of a plain script, found without running it. InputError if it is malformed."""
    at = plain.find(_SOURCES)
    if at < 0:
        raise _wrong("it has no sources")
    at += len(_SOURCES)
    files: dict[str, str] = {}
    while not plain.startswith("}\n", at):
        middle = plain.find("\": '''", at, at + 300)
        end = plain.find("''',\n", middle + 6)
        if middle < 0 or end < 0 or plain[at] != '"' or len(files) >= MAX_FILES:
            raise _wrong(f"source {len(files)} is malformed")
        path = checked_path(plain[at + 1 : middle])
        if path in files:
            raise _wrong(f"`{path}` stands in it twice")
        files[path] = _ESCAPED.sub(_unescaped, plain[middle + 6 : end].removeprefix("\\\n"))
        at = end + 5
    return files


_ESCAPED = re.compile(r"\\([\\'r])")


def _unescaped(match: re.Match[str]) -> str:
    return "\r" if match[1] == "r" else match[1]


def _literal(source: str) -> str:
    """A source, which ends with a line's end or is empty, as a triple-quoted literal that spans its lines."""
    escaped = source.replace("\\", "\\\\").replace("'''", "\\'\\'\\'").replace("\r", "\\r")
    return "'''\\\n" + escaped + "'''"


def _wrong(what: str) -> InputError:
    return InputError(f"the artifact's code is no script that golfreg made: {what}", "make the artifact again")
