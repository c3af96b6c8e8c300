"""Fixtures for tests that run golfreg as a user does: as a program, on a small corpus of their own."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Golfreg = Callable[..., subprocess.CompletedProcess[str]]

WORDS = (
    "the model reads one token after another and guesses what comes next from all that it has seen so far in this"
    " document a short window holds two hundred bytes of text each guess costs some bits we count them"
).split()

TINY = [
    "--tokenizer=bytes",
    "--device=cpu",
    "--set=train.sequence_length=32",
    "--set=train.batch_tokens=128",
    "--set=train.threads=1",
    "--set=train.warmup_steps=2",
    "--set=architecture.n_layers=2",
    "--set=architecture.d_model=32",
    "--set=score.batch_tokens=2048",
    "--set=score.probes=2",
]
"""Settings that make a run take seconds."""


@pytest.fixture(scope="session")
def tiny_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A JSON-lines file of 400 short documents."""
    draw = random.Random(0)
    path = tmp_path_factory.mktemp("corpus") / "tiny.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for number in range(400):
            text = f"{number}: " + " ".join(draw.choices(WORDS, k=draw.randint(5, 40)))
            file.write(json.dumps({"text": text}) + "\n")
    return path


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache of prepared data for the whole session."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def golfreg(tmp_path: Path, cache: Path) -> Golfreg:
    """Run the program in ``tmp_path``; keyword arguments are environment variables."""

    def call(*arguments: str | Path, timeout: float = 240, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "golfreg", *map(str, arguments)],
            cwd=tmp_path,
            env={**os.environ, "GOLFREG_CACHE": str(cache), "OMP_NUM_THREADS": "1", **environment},
            capture_output=True,
            text=True,
            timeout=timeout,
        )

    return call


def in_the_interpreter(file: str) -> str:
    """What pytest prints of this test file in a process with Triton's interpreter; a failure there fails here."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", file],
        env={**os.environ, "TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    return done.stdout
