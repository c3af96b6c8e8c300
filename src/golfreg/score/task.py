"""What the scoring process is told and what it answers, as JSON files. Standard library only."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

TASK_FILE = "task.json"
RESULT_FILE = "result.json"
DOCUMENTS_FILE = "documents.safetensors"
CODE_DIR = "code"


@dataclass(frozen=True)
class Task:
    """One scoring. ``sequence_length`` 0: the artifact's. ``device`` and ``dtype`` may be ``auto``."""

    artifact: str
    dataset: str
    scratch: str
    """An empty directory of the caller's: code is extracted there, and the answer is left there."""
    parent: int
    events: int
    """Descriptor of a pipe for progress, one JSON object a line."""
    device: str = "auto"
    dtype: str = "auto"
    threads: int = 0
    windows: str = "fixed"
    sequence_length: int = 0
    batch_tokens: int = 16_384
    documents: str = "isolated"
    probes: int = 16

    def write(self) -> Path:
        """Write it into the scratch directory."""
        path = Path(self.scratch) / TASK_FILE
        path.write_text(json.dumps(asdict(self)), "utf-8")
        return path

    @staticmethod
    def read(path: Path) -> Task:
        values: dict[str, Any] = json.loads(path.read_text("utf-8"))
        return Task(**values)
