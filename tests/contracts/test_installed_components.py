"""The conformance kit over every built-in component. A plugin's own tests run it over the plugin's."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np

from golfreg.testing import conformance


def _jsonl(directory: Path) -> str:
    path = directory / "documents.jsonl"
    path.write_text("".join(json.dumps({"text": f"Document {i}: caf\u00e9 \U0001f600\n"}) + "\n" for i in range(400)))
    return str(path)


def _shards(directory: Path) -> str:
    for name, first in (("train_000000", 1), ("train_000001", 2), ("val_000000", 3)):
        tokens = np.arange(first, first + 500, dtype="<u2")
        header = np.zeros(256, "<i4")
        header[:3] = 20240520, 1, len(tokens)
        (directory / f"made_{name}.bin").write_bytes(header.tobytes() + tokens.tobytes())
    return str(directory)


def _genome(directory: Path) -> str:
    path = directory / "genome.fa"
    draw = random.Random(0)
    path.write_text("".join(f">{i}\n{''.join(draw.choices('ACGTacgtN', k=700))}\n" for i in range(200)))
    return f"{path};document=256"


test_every_built_in_component_keeps_its_contract = conformance(
    distribution="golfreg", arguments={"jsonl": _jsonl, "shards": _shards, "genome": _genome}
)
