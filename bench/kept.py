"""Measurements kept in a JSON file as they are made: a bench that was cut off goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

CRASHED = "the process ended here"


class Kept:
    """``found``: what the file holds, by name. ``again``: measure what is there too."""

    def __init__(self, path: Path, again: bool) -> None:
        self.path, self.again = path, again
        self.found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}

    def part(self, name: str, made: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What is in the file, or what is measured now; ``failed`` says what went wrong.

        What failed is measured again, but not what ended the process: it would do so each time.
        """
        if self.again or name not in self.found or self.found[name].get("failed") not in (None, CRASHED):
            print(f"{name} ...", flush=True)
            self.found[name] = {"failed": CRASHED}
            self.write()
            try:
                self.found[name] = made()
            except Exception as error:
                self.found[name] = {"failed": f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]}
            self.write()
        return dict(self.found[name])

    def write(self) -> None:
        self.path.write_text(json.dumps(self.found, indent=1))
