"""Which modules an artifact needs: ``python -m golfreg.pack.discover ARTIFACT DEVICE DTYPE ANSWER_FILE MODULE...``.

In a clean process it decodes the artifact, runs one forward pass on a few tokens and imports the modules
that are named, then writes as JSON the counted modules that were loaded and the files, other than
source, that were opened inside their packages. An error is written as its message and hint.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from golfreg.api.errors import GolfregError, PluginError
from golfreg.pack.modules import counted_modules, counted_packages, package_places, plugin_of_file

_TOKENS = 16
_CODE_SUFFIXES = (".py", ".pyc")


def main() -> None:
    """Write the answer; exit with the error's code."""
    artifact, device, dtype, answer_file, *wanted = sys.argv[1:]
    opened: set[str] = set()
    sys.addaudithook(lambda event, arguments: _note(opened, event, arguments))
    code = 0
    try:
        _use(artifact, device, dtype)
        for name in wanted:
            importlib.import_module(name)
        answer: dict[str, Any] = {
            "modules": [name for name in counted_modules() if name != "golfreg.pack.discover"],
            "files": data_files(opened),
        }
    except Exception as error:
        traceback.print_exc()
        known = error if isinstance(error, GolfregError) else _blame(error)
        answer, code = {"message": known.message, "hint": known.hint}, known.exit_code
    Path(answer_file).write_text(json.dumps(answer), "utf-8")
    sys.exit(code)


def _use(artifact: str, device: str, dtype: str) -> None:
    import torch

    from golfreg.pack.container import read_container
    from golfreg.pack.decode import load_model

    header = read_container(artifact).header
    model: Any = load_model(artifact, device, dtype)
    count = min(_TOKENS, header.sequence_length)
    tokens_BT = (torch.arange(count, device=device) % header.vocab_size)[None]
    with torch.inference_mode():
        logits_BTV = model.head(model.features(tokens_BT))
    if tuple(logits_BTV.shape) != (1, count, header.vocab_size):
        raise PluginError(
            f"architecture `{header.architecture.name}` gives logits of shape {list(logits_BTV.shape)} "
            f"for {count} tokens of a vocabulary of {header.vocab_size}"
        )


def data_files(opened: set[str]) -> list[str]:
    """Of the opened files those that are inside a counted package and are not its code."""
    places = [(p + os.sep) for name in counted_packages() for p in package_places(name) if os.path.isdir(p)]
    found = {os.path.realpath(p) for p in opened if not p.endswith(_CODE_SUFFIXES) and "__pycache__" not in p}
    return sorted(path for path in found if path.startswith(tuple(places)) and not os.path.isdir(path))


def _note(opened: set[str], event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and arguments and isinstance(arguments[0], str | bytes):
        opened.add(os.fsdecode(arguments[0]))


def _blame(error: Exception) -> GolfregError:
    frames = reversed(traceback.extract_tb(error.__traceback__))
    plugin = next((p for p in (plugin_of_file(frame.filename) for frame in frames) if p), None)
    who = f"plugin `{plugin}`" if plugin else "decoding the packed model"
    return PluginError(
        f"{who} raised {type(error).__name__}: {str(error)[:500]}", "the pack stage's log has the traceback"
    )


if __name__ == "__main__":
    main()
