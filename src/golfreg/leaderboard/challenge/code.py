"""The code of a record folder: which script it is, what it holds and brings along, and its bytes counted each way.

``shipped``: the script as it lies there. ``plain``: the source that it holds, unpacked; the same for
a readable one. ``with_helpers``: the script and every .py, .cpp, .cu, .c file that it imports, runs or
compiles. ``packed``: source and helpers as one LZMA stream in base85, not minified. Tokenizers and
data preparation count in none.
"""

from __future__ import annotations

import ast
import hashlib
import lzma
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from golfreg.api.errors import InputError
from golfreg.config.strict import shown
from golfreg.leaderboard.challenge import unpack
from golfreg.leaderboard.challenge.files import MAX_SCRIPT_BYTES, RecordFiles

HELPERS = (".py", ".cpp", ".cc", ".cu", ".c", ".cuh", ".h")
STUB_BYTES = 1_000
"""A readable script this short, and shorter than a file that it runs, is a stub."""
RUNNER_BYTES = 120
"""The lines around a packed literal."""
MAX_HELPERS = 50


@dataclass(frozen=True)
class Code:
    """``script``: name of the counted script; empty without one. ``layers``: how it is packed, outermost first.

    ``helpers``: bytes of what it imports, runs or compiles. ``counted``: bytes by way of counting.
    ``problems``: why it would not run. ``unchecked``: what only a newer Python can compile.
    """

    script: str = ""
    digest: str = ""
    layers: tuple[str, ...] = ()
    stub: bool = False
    helpers: dict[str, int] = field(default_factory=dict)
    counted: dict[str, int] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()


def read_code(files: RecordFiles, counted: int | None = None) -> Code:
    """The folder's code, read and never run. ``counted``: bytes of code as declared or logged, to know it by."""
    name = main_script(files, counted)
    if not name:
        return Code()
    problems: list[str] = []
    unchecked: list[str] = []
    try:
        shipped = files.read(name, MAX_SCRIPT_BYTES)
    except InputError as error:
        return Code(script=name, problems=(error.message,))
    if not shipped.strip():
        return Code(script=name, counted={"shipped": 0}, problems=(f"`{shown(name)}` is empty",))
    source, methods = shipped, []
    try:
        for method, inner in unpack.layers(shipped):
            methods.append(method)
            source = inner
    except unpack.TooLarge as error:
        problems.append(f"`{shown(name)}`: {error}")
    sources = {name: source}
    _collect(files, name, sources, problems, unchecked)
    helpers = {one: files.sizes[one] for one in sorted(sources) if one != name}
    return Code(
        script=name,
        digest=hashlib.sha256(shipped).hexdigest(),
        layers=tuple(methods),
        stub=not methods and len(shipped) < min(STUB_BYTES, max(helpers.values(), default=0)),
        helpers=helpers,
        counted={
            "shipped": len(shipped),
            "plain": len(source),
            "with_helpers": len(shipped) + sum(helpers.values()),
            "packed": _packed(b"".join(sources.values())),
        },
        problems=tuple(problems),
        unchecked=tuple(unchecked),
    )


def main_script(files: RecordFiles, counted: int | None = None) -> str:
    """The ``train*.py`` of the folder itself that has the counted bytes, else ``train_gpt.py``, else the largest."""
    names = [name for name in files.sizes if re.fullmatch(r"train\w*\.py", name)]
    of_that_size = [name for name in names if files.sizes[name] == counted]
    if of_that_size:
        return of_that_size[0]
    if "train_gpt.py" in names:
        return "train_gpt.py"
    return max(names, key=lambda name: (name.startswith("train_gpt"), files.sizes[name]), default="")


def _collect(
    files: RecordFiles, name: str, sources: dict[str, bytes], problems: list[str], unchecked: list[str]
) -> None:
    """Add what a source needs of the folder, and what that needs."""
    by_name: dict[str, str] = {}
    for path in files.sizes:
        if path.endswith(HELPERS):
            by_name.setdefault(path.rsplit("/", 1)[-1], path)
    waiting = [name]
    while waiting and len(sources) <= MAX_HELPERS:
        current = waiting.pop()
        if not current.endswith(".py"):
            continue
        names: Iterable[str] = ()
        try:
            names = _names(unpack.parse(sources[current]))
        except unpack.NewerSyntax as error:
            unchecked.append(f"`{shown(current)}` may need a newer Python: {shown(str(error), 120)}")
            names = _names_in_text(sources[current])
        except ValueError as error:
            problems.append(f"`{shown(current)}` does not compile: {shown(str(error), 120)}")
        for needed in (by_name[one] for one in names if one in by_name):
            if needed not in sources and files.sizes[needed] <= MAX_SCRIPT_BYTES:
                try:
                    sources[needed] = files.read(needed, MAX_SCRIPT_BYTES)
                except InputError as error:
                    problems.append(error.message)
                    continue
                waiting.append(needed)


def _names(tree: ast.Module) -> Iterator[str]:
    """Names of the files that a module imports, or mentions: a source to compile, a script to run."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] + ".py" for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (part + ".py" for part in node.module.split("."))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) < 200:
            yield node.value.rsplit("/", 1)[-1]


def _names_in_text(source: bytes) -> Iterator[str]:
    """The same of a source that this Python cannot parse."""
    text = source.decode("utf-8", "replace")
    for match in re.finditer(r"\b(?:import|from)\s+([\w.]{1,100})", text):
        yield from (part + ".py" for part in match[1].split("."))
    yield from re.findall(r"[\w.-]{1,100}\.(?:py|cpp|cc|cuh?|c|h)\b", text)


def _packed(source: bytes) -> int:
    """Bytes of a runner around the source as raw LZMA in base85: four bytes become five characters."""
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 9 | lzma.PRESET_EXTREME, "dict_size": 1 << 20}]
    packed = len(lzma.compress(source, lzma.FORMAT_RAW, filters=filters))
    return RUNNER_BYTES + packed + (packed + 3) // 4
