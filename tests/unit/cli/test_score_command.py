"""``golfreg score``: what it asks for before it runs a stranger's code, and what it prints."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from golfreg.api.errors import ConfigError, GolfregError, InputError, UnknownComponentError
from golfreg.cli.score import score
from golfreg.config.plan import Chosen
from golfreg.pack.container import read_container, write_container
from golfreg.pack.header import Header
from golfreg.score.trust import remember

UNIFORM = """
import torch
from torch import nn

class Uniform(nn.Module):
    def features(self, tokens):
        return torch.zeros(*tokens.shape, 1)

    def head(self, x):
        return torch.zeros(*x.shape[:2], 260)

def load_model(path, device, dtype):
    return Uniform()
"""


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    part = Chosen("codec", "none", "golfreg.builtin.codecs.standard:none_codec", "golfreg", "0", "")
    header = Header(architecture=part, quantizer=part, codec=part, vocab_size=260, sequence_length=32, bos_id=1)
    code = {"golfreg/__init__.py": "", "golfreg/pack/__init__.py": "", "golfreg/pack/decode.py": UNIFORM}
    path = tmp_path / "artifact.golfreg"
    path.write_bytes(write_container(header, (), (), code))
    return path


@pytest.fixture
def corpus(tmp_path: Path) -> str:
    words = random.Random(0)
    texts = [" ".join(words.choices(["alpha", "beta", "gamma", "delta", "é"], k=30)) for _ in range(40)]
    path = tmp_path / "text.jsonl"
    path.write_text("".join(json.dumps({"text": f"{i} {text}"}) + "\n" for i, text in enumerate(texts)), "utf-8")
    return f"jsonl:{path}"


Call = Callable[..., Result]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    monkeypatch.setenv("GOLFREG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    app = typer.Typer()
    app.command()(score)

    def run(*arguments: object) -> Result:
        return CliRunner().invoke(app, [str(a) for a in arguments])

    return run


def failure(result: Result, kind: type[GolfregError]) -> str:
    assert isinstance(result.exception, kind), (result.exception, result.output)
    return f"{result.exception.message} / {result.exception.hint}"


def test_a_strangers_artifact_is_not_run_without_a_word(call: Call, artifact: Path, corpus: str) -> None:
    said = failure(call(artifact, "--corpus", corpus, "--tokenizer", "bytes"), ConfigError)
    assert "3 modules of `golfreg`" in said
    assert "--trust-code" in said


def test_a_trusted_artifact_is_scored(call: Call, artifact: Path, corpus: str) -> None:
    options = ("--corpus", corpus, "--tokenizer", "bytes", "--windows", "sliding:8", "--device", "cpu")
    result = call(artifact, *options, "--trust-code", "--json")
    assert result.exception is None, result.output
    values: dict[str, Any] = json.loads(result.stdout)
    assert values["nats_per_token"] == pytest.approx(math.log(260), rel=1e-12)
    assert values["bits_per_byte"] == pytest.approx(values["nats"] / math.log(2) / values["bytes"], rel=1e-12)
    assert (values["windows"], values["sequence_length"], values["documents_mode"]) == ("sliding:8", 32, "isolated")
    assert values["artifact_sha256"] == read_container(artifact).sha256


def test_an_artifact_that_a_run_made_here_is_scored_without_asking(call: Call, artifact: Path, corpus: str) -> None:
    remember(read_container(artifact).sha256)
    result = call(artifact, "--corpus", corpus, "--tokenizer", "bytes", "--device", "cpu")
    assert result.exception is None, result.output
    assert "bits per byte" in result.stdout
    assert "fixed of 32, documents isolated" in result.stdout


@pytest.mark.parametrize(
    ("options", "kind", "said"),
    [
        (("--tokenizer", "bytes"), ConfigError, "no corpus is named"),
        (("--corpus", "docstring"), UnknownComponentError, "did you mean `docstrings`"),
        (("--corpus", "docstrings", "--windows", "sliding:64"), ConfigError, "a window has 32 tokens"),
        (("--corpus", "docstrings", "--documents", "packed"), ConfigError, "`isolated` or `stream`"),
        (("--corpus", "docstrings", "--device", "gpu"), ConfigError, "`auto`, `cpu` or `cuda`"),
    ],
)
def test_a_wrong_option_is_told_before_anything_is_read(
    call: Call, artifact: Path, options: tuple[str, ...], kind: type[GolfregError], said: str
) -> None:
    assert said in failure(call(artifact, *options, "--trust-code"), kind)


def test_another_tokenizer_than_the_artifacts_is_refused(call: Call, corpus: str, artifact: Path) -> None:
    options = ("--corpus", corpus, "--tokenizer", "sp300", "--trust-code")
    said = failure(call(artifact, *options), InputError)
    assert "a vocabulary of 260 with document start 1; the tokenizer" in said
    assert "--tokenizer" in said


@pytest.mark.parametrize("content", [b"", b"\x89GOLFREG", b"text" * 100])
def test_what_is_no_artifact_is_refused(call: Call, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other"
    path.write_bytes(content)
    assert "artifact" in failure(call(path, "--corpus", "docstrings"), InputError)
