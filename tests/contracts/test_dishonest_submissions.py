"""Submissions that would score better than their bytes deserve are stopped, and the message names them.

Each is a miniature plugin: a directory with a package and its ``.dist-info``, on ``PYTHONPATH`` of
the scoring process as if it were installed, and an artifact that counts the package's code.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from golfreg.api.errors import AnswerIsNo, GolfregError
from golfreg.api.values import Documents
from golfreg.config.plan import Chosen
from golfreg.config.spec import DataSettings
from golfreg.data.prepare import prepare
from golfreg.pack.container import write_container
from golfreg.pack.header import Header
from golfreg.score.start import score_artifact
from golfreg.score.task import Task

DECODE = """
import importlib

def load_model(path, device, dtype):
    return importlib.import_module("golfreg_{name}.model").build()
"""

HONEST = """
import torch
from torch import nn

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.embedding = nn.Parameter(torch.randn(260, 8, generator=generator))
        self.out = nn.Parameter(torch.randn(8, 260, generator=generator))

    def features(self, tokens):
        return self.embedding[tokens]

    def head(self, x):
        return x @ self.out

def build():
    return Model()
"""


def documents() -> Documents:
    words = ["the", "of", "and", "to", "in", "a", "is", "that", "for", "it", "as", "was", "with"]
    random = np.random.default_rng(0)
    texts = [" ".join(random.choice(words, 20)) for _ in range(60)]
    return Documents(lambda: iter(texts[:30]), lambda: iter(texts[30:]), "00", "CC0-1.0")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("data") / "set"
    prepare(documents, "words", DataSettings(tokenizer="bytes"), target, lambda done, text: None)
    return target


Score = Callable[..., dict[str, Any]]


@pytest.fixture
def score(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Score:
    """Install the plugin ``golfreg-NAME``, pack its code, score it. ``uncounted``, ``data``: files left out of it."""

    def run(
        name: str,
        model: str,
        uncounted: dict[str, str] | None = None,
        data: dict[str, bytes] | None = None,
        vocab_size: int = 260,
        **task: Any,
    ) -> dict[str, Any]:
        site, package = tmp_path / "site", f"golfreg_{name}"
        (site / package).mkdir(parents=True)
        info = site / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: golfreg-{name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[golfreg]\n{name} = {package}.plugin\n")
        model = HONEST + textwrap.dedent(model)
        sources = {"__init__.py": "", "plugin.py": "GOLFREG_API = 1\n", "model.py": model}
        for file, text in {**sources, **(uncounted or {})}.items():
            (site / package / file).write_text(text)
        for file, content in (data or {}).items():
            (site / package / file).write_bytes(content)
        monkeypatch.setenv("PYTHONPATH", str(site))
        code = {f"{package}/{file}": text for file, text in sources.items()}
        code |= {"golfreg/__init__.py": "", "golfreg/pack/__init__.py": ""}
        code["golfreg/pack/decode.py"] = DECODE.replace("{name}", name)
        target = f"{package}.model:Model"
        chosen = Chosen("architecture", name, target, f"golfreg-{name}", "1.0", f"{package}.plugin")
        other = Chosen("codec", "none", "golfreg.builtin.codecs.standard:none_codec", "golfreg", "0", "")
        header = Header(
            architecture=chosen, quantizer=other, codec=other, vocab_size=vocab_size, sequence_length=64, bos_id=1
        )
        artifact = tmp_path / "artifact.golfreg"
        artifact.write_bytes(write_container(header, (), (), code))
        settings = {"device": "cpu", "threads": 1, "batch_tokens": 512, "probes": 16, **task}
        return score_artifact(Task(str(artifact), str(dataset), "", 0, 0, **settings), 60.0, tmp_path / "documents")

    return run


def test_an_honest_submission_is_scored(score: Score, tmp_path: Path) -> None:
    result = score("honest", "")
    assert result["bits_per_byte"] > 1
    assert result["tokens"] > 1000
    assert result["probes"] >= 16
    assert result["probed_documents"] > 0
    assert result["isolation"] in ("namespace", "sockets")
    assert (tmp_path / "documents").stat().st_size > 0


def test_one_token_of_peeking_is_stopped(score: Score) -> None:
    peek = """
    def features(self, tokens):
        return self.embedding[tokens] + self.embedding[torch.roll(tokens, -1, 1)]
    Model.features = features
    """
    with pytest.raises(AnswerIsNo, match=r"architecture `peek` of plugin `golfreg-peek` looks ahead"):
        score("peek", peek)


def test_a_leak_across_documents_is_stopped_unless_the_stream_mode_allows_it(score: Score) -> None:
    leak = """
    def features(self, tokens):
        return self.embedding[tokens].cumsum(1)
    Model.features = features
    """
    with pytest.raises(AnswerIsNo, match=r"architecture `carry` of plugin `golfreg-carry` crosses a document's start"):
        score("carry", leak)


def test_the_stream_mode_lets_context_pass_between_documents(score: Score) -> None:
    leak = "\ndef features(self, tokens):\n    return self.embedding[tokens].cumsum(1)\nModel.features = features\n"
    assert score("stream", leak, documents="stream")["probed_documents"] == 0


def test_a_leak_across_the_rows_of_a_batch_is_stopped(score: Score) -> None:
    leak = """
    def features(self, tokens):
        x = self.embedding[tokens]
        x[:-1] += self.embedding[tokens[1:, :1]]
        return x
    Model.features = features
    """
    with pytest.raises(AnswerIsNo, match=r"architecture `rows` of plugin `golfreg-rows` mixes windows of a batch"):
        score("rows", leak)


READ_BY_PATH = """
import sys
from pathlib import Path

def build():
    for entry in sys.path:
        path = Path(entry, "golfreg_weights", "weights.bin")
        if path.exists():
            {read}
    return Model()
"""


@pytest.mark.parametrize(
    "read",
    [
        "path.read_bytes()",
        "import numpy; numpy.fromfile(path, 'uint8')",
        "import torch; torch.load(path)",
        "import contextlib\n            with contextlib.suppress(Exception): path.read_bytes()",
        "import ctypes; ctypes.CDLL(str(path))",
    ],
    ids=["pathlib", "numpy", "torch", "caught", "dlopen"],
)
def test_weights_in_the_package_data_are_stopped(score: Score, read: str) -> None:
    data = {"weights.bin": bytes(1000)}
    said = r"plugin `golfreg-weights` \(module `golfreg_weights.model`\) reads `.*weights.bin`"
    with pytest.raises(AnswerIsNo, match=said):
        score("weights", READ_BY_PATH.replace("{read}", read), data=data)


def test_weights_that_compiled_code_opens_are_stopped_where_the_kernel_can(score: Score) -> None:
    from golfreg.score.landlock import available

    if not available():
        pytest.skip("this kernel has no Landlock")
    from safetensors.numpy import save

    data = {"weights.bin": save({"w": np.zeros(4, np.float32)})}
    read = "import safetensors.torch; safetensors.torch.load_file(path)"
    with pytest.raises(AnswerIsNo, match=r"plugin `golfreg-weights` .* raised .*weights.bin"):
        score("weights", READ_BY_PATH.replace("{read}", read), data=data)


def test_the_validation_tokens_cannot_be_read_ahead(score: Score, dataset: Path) -> None:
    read = f"\ndef build():\n    open({str(dataset / 'validation_000000.bin')!r}, 'rb')\n    return Model()\n"
    with pytest.raises(AnswerIsNo, match=r"plugin `golfreg-ahead` .* reads `.*validation_000000.bin`"):
        score("ahead", read)


@pytest.mark.parametrize(
    "call",
    [
        "socket.create_connection(('192.0.2.1', 80), timeout=1)",
        "__import__('urllib.request').request.urlopen('http://192.0.2.1/')",
        "socket.socket(socket.AF_UNIX)",
    ],
)
def test_a_socket_opened_while_scoring_is_stopped(score: Score, call: str) -> None:
    phone = f"""
    import socket
    def features(self, tokens):
        try:
            {call}
        except Exception:
            pass
        return self.embedding[tokens]
    Model.features = features
    """
    with pytest.raises(AnswerIsNo, match=r"plugin `golfreg-phone` \(module `golfreg_phone.model`\) opens a socket"):
        score("phone", phone)


def test_a_program_run_while_scoring_is_stopped(score: Score) -> None:
    shell = """
    import subprocess
    def head(self, x):
        subprocess.run(["cat", "/etc/hostname"])
        return x @ self.out
    Model.head = head
    """
    with pytest.raises(AnswerIsNo, match=r"plugin `golfreg-shell` .* runs the program `cat`"):
        score("shell", shell)


def test_a_module_that_was_not_counted_is_not_served_even_late(score: Score) -> None:
    late = """
    def features(self, tokens):
        from golfreg_late.weights import W
        return self.embedding[tokens]
    Model.features = features
    """
    said = r"plugin `golfreg-late` .* needs golfreg_late.weights: .* was not counted in the artifact"
    with pytest.raises(AnswerIsNo, match=said):
        score("late", late, uncounted={"weights.py": "W = [0.0] * 1000\n"})


def test_installed_golfreg_is_not_served_either(score: Score) -> None:
    with pytest.raises(AnswerIsNo, match=r"plugin `golfreg-harness` .* needs golfreg.data: .* not counted"):
        score("harness", "import golfreg.data.dataset\n")


@pytest.mark.parametrize(
    ("head", "said"),
    [
        ("torch.full((*x.shape[:2], 260), float('nan'))", "NaN or infinite"),
        ("x @ self.out[:, :256]", "where logits of shape \\[\\d+, \\d+, 260\\] are due"),
        ("(x @ self.out).long()", "int64 tensor"),
    ],
)
def test_logits_that_are_no_logits_are_stopped(score: Score, head: str, said: str) -> None:
    model = f"\ndef head(self, x):\n    return {head}\nModel.head = head\n"
    with pytest.raises(AnswerIsNo, match=f"architecture `wrong` of plugin `golfreg-wrong`.*{said}"):
        score("wrong", model)


def test_probabilities_that_do_not_add_up_gain_nothing(score: Score) -> None:
    model = "\ndef head(self, x):\n    return x @ self.out * 0 + 100.0\nModel.head = head\n"
    result = score("sure", model)
    assert result["nats_per_token"] == pytest.approx(np.log(260), rel=1e-9)


def test_a_submission_that_hangs_is_killed_at_the_limit(score: Score, monkeypatch: pytest.MonkeyPatch) -> None:
    from golfreg.score import start

    real = start._watch
    monkeypatch.setattr(start, "_watch", lambda p, r, limit, progress: real(p, r, 1.5, progress))
    with pytest.raises(AnswerIsNo, match=r"longer than the 1.5 s allowed: the artifact was still being decoded"):
        score("hang", "import time\ndef build():\n    time.sleep(600)\n")


def test_an_exception_in_a_submission_is_its_own(score: Score) -> None:
    with pytest.raises(AnswerIsNo, match=r"plugin `golfreg-fail` .* raised ZeroDivisionError"):
        score("fail", "def build():\n    return 1 / 0\n")


def test_a_dataset_of_another_alphabet_is_refused(score: Score) -> None:
    with pytest.raises(GolfregError, match=r"made for a vocabulary of 1024; the dataset .* has 260"):
        score("alphabet", "", vocab_size=1024)
