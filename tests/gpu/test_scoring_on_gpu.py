"""The closed scoring process leaves CUDA, Triton's compiler and torch.compile working."""

from __future__ import annotations

import textwrap
from pathlib import Path

import numpy as np
import pytest

from golfreg.api.values import Documents
from golfreg.config.plan import Chosen
from golfreg.config.spec import DataSettings
from golfreg.data.prepare import prepare
from golfreg.pack.container import write_container
from golfreg.pack.header import Header
from golfreg.score.start import score_artifact
from golfreg.score.task import Task

torch = pytest.importorskip("torch")

DECODE = """
import torch
import triton
import triton.language as tl
from torch import nn

@triton.jit
def double(x, y, n, BLOCK: tl.constexpr):
    at = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    tl.store(y + at, 2 * tl.load(x + at, at < n), at < n)

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.embedding = nn.Parameter(torch.randn(260, 8, generator=generator))
        self.out = nn.Parameter(torch.randn(8, 260, generator=generator))
        self.look = COMPILE(lambda tokens: torch.tanh(self.embedding[tokens]).sin())

    def features(self, tokens):
        x = self.look(tokens).contiguous()
        y = torch.empty_like(x)
        double[(triton.cdiv(x.numel(), 256),)](x, y, x.numel(), BLOCK=256)
        return y

    def head(self, x):
        return x @ self.out

def load_model(path, device, dtype):
    return Model().to(device).eval()
"""


@pytest.mark.gpu
@pytest.mark.parametrize("compile_", ["(lambda f: f)", "torch.compile"])
def test_kernels_are_compiled_inside_the_closed_process(tmp_path: Path, compile_: str) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    words, random = ["a", "bc", "def", "ghij"], np.random.default_rng(0)
    texts = [" ".join(random.choice(words, 20)) for _ in range(60)]
    documents = Documents(lambda: iter(texts[:30]), lambda: iter(texts[30:]), "00", "CC0-1.0")
    prepare(lambda: documents, "words", DataSettings(tokenizer="bytes"), tmp_path / "set", lambda done, text: None)
    part = Chosen("codec", "none", "golfreg.builtin.codecs.standard:none_codec", "golfreg", "0", "")
    header = Header(architecture=part, quantizer=part, codec=part, vocab_size=260, sequence_length=64, bos_id=1)
    code = {"golfreg/__init__.py": "", "golfreg/pack/__init__.py": ""}
    code["golfreg/pack/decode.py"] = textwrap.dedent(DECODE).replace("COMPILE", compile_)
    artifact = tmp_path / "artifact"
    artifact.write_bytes(write_container(header, (), (), code))
    task = Task(str(artifact), str(tmp_path / "set"), "", 0, 0, device="cuda", dtype="float32", batch_tokens=512)
    result = score_artifact(task, 300.0)
    assert result["probes"] >= 16
    assert result["peak_gpu_memory_bytes"] > 0
    print({k: result[k] for k in ("isolation", "isolation_network", "isolation_files", "score_seconds", "device")})
