"""The corpus ``docstrings``: documentation strings of the installed numpy and scipy.

Read from the source files with ``ast``; nothing of numpy or scipy is imported. A document is the
documentation of one source file. A string that already stood in an earlier document is left out,
before the split, so that none is on both sides of it. Tests are not read.
"""

from __future__ import annotations

import ast
import gc
import hashlib
import inspect
import warnings
from collections.abc import Iterator, Sequence
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from golfreg.api import ConfigError, Documents, EnvironmentFault

PACKAGES = ("numpy", "scipy")
LICENCE = "BSD-3-Clause"

_VALIDATION_ONE_IN = 20
_LEAST_CHARACTERS = 20


class Docstrings:
    """About 7 MB of English and doctests; the same text for the same two versions."""

    def load(self, argument: str | None, cache_dir: Path) -> Documents:
        if argument is not None:
            raise ConfigError(f"the corpus `docstrings` takes no argument, not `{argument}`")
        found: list[tuple[str, str]] = []
        seen: set[str] = set()
        notes: dict[str, str] = {}
        skipped = 0
        for package in PACKAGES:
            root = _root(package)
            notes[package] = metadata.version(package)
            for path in sorted(root.rglob("*.py")):
                name = path.relative_to(root.parent).as_posix()
                if "tests" in name.split("/"):
                    continue
                strings = docstrings_of(path.read_bytes())
                if strings is None:
                    skipped += 1
                    continue
                new = [s for s in dict.fromkeys(strings) if s not in seen]
                seen.update(new)
                if new:
                    found.append((hashlib.sha256(name.encode()).hexdigest(), "\n\n\n".join(new)))
        if not found:
            raise EnvironmentFault(
                f"the installed {' and '.join(PACKAGES)} have no source files to read documentation from",
                hint="use another corpus: `--corpus jsonl:PATH`",
            )
        # By the hash of the path: no two neighbours are of one subpackage, and a prefix is a fair sample.
        found.sort()
        train = [text for key, text in found if int(key, 16) % _VALIDATION_ONE_IN]
        validation = [text for key, text in found if int(key, 16) % _VALIDATION_ONE_IN == 0]
        notes["documents"] = str(len(found))
        notes["files_not_parsed"] = str(skipped)
        return Documents(lambda: iter(train), lambda: iter(validation), _fingerprint(train, validation), LICENCE, notes)


def docstrings_of(source: bytes) -> list[str] | None:
    """The documentation strings of one file, in order; None if it is not Python for this interpreter."""
    if b'"""' not in source and b"'''" not in source:
        return []
    collecting = gc.isenabled()
    gc.disable()  # A syntax tree is millions of objects and no garbage: the collector would double the time.
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
        return [s for s in map(inspect.cleandoc, _strings(tree, tree.body)) if _is_text(s)]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    finally:
        if collecting:
            gc.enable()


def _strings(owner: ast.AST | None, body: Sequence[ast.stmt]) -> Iterator[str]:
    """Docstrings of modules, classes and their functions, and the strings given to numpy's ``add_newdoc``."""
    if isinstance(owner, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        text = ast.get_docstring(owner, clean=False)
        if text:
            yield text
        if isinstance(owner, ast.FunctionDef | ast.AsyncFunctionDef):
            return
    for statement in body:
        match statement:
            case ast.ClassDef() | ast.FunctionDef() | ast.AsyncFunctionDef():
                yield from _strings(statement, statement.body)
            case ast.If() | ast.Try():
                yield from _strings(None, statement.body)
                yield from _strings(None, statement.orelse)
            case ast.Expr(value=ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) as call):
                if "newdoc" in name:
                    for argument in call.args:
                        for node in ast.walk(argument):
                            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                                yield node.value


def _is_text(string: str) -> bool:
    try:
        string.encode()
    except UnicodeEncodeError:
        return False
    return len(string) >= _LEAST_CHARACTERS


def _root(package: str) -> Path:
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise EnvironmentFault(f"the corpus `docstrings` reads {package}, which is not installed")
    return Path(spec.origin).parent


def _fingerprint(train: list[str], validation: list[str]) -> str:
    digest = hashlib.sha256()
    for split in (train, validation):
        for text in split:
            data = text.encode()
            digest.update(len(data).to_bytes(8, "little") + data)
        digest.update(b"\xff" * 8)
    return digest.hexdigest()


docstrings = Docstrings()
