"""``leaderboard export --format parameter-golf``: one script makes the run again where golfreg is not installed."""

from __future__ import annotations

import json
import os
import random
import re
import subprocess
import sys
import venv
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from packaging.requirements import Requirement

from golfreg.config.record import RunRecord, read_record
from golfreg.data.train_tokenizer import train_sentencepiece
from golfreg.data.writer import ShardWriter
from golfreg.leaderboard.export.folder import export
from golfreg.pack.container import read_container, write_container
from tests.conftest import TINY, WORDS

PLUGIN = Path(__file__).parents[1] / "plugins" / "statistics"
LIBRARIES = ("torch", "numpy", "sentencepiece", "safetensors")
SEED = 5


@pytest.fixture(scope="module")
def challenge(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Shards and tokenizer under the challenge's names, as the environment of its script."""
    import sentencepiece

    home = tmp_path_factory.mktemp("challenge")
    draw = random.Random(0)
    texts = [" ".join(draw.choices(WORDS, k=draw.randint(5, 40))) for _ in range(400)]
    model = train_sentencepiece(texts, 320)
    (home / "fineweb_320_bpe.model").write_bytes(model)
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    data = home / "fineweb10B_sp320"
    data.mkdir()
    for split, part in (("val", texts[:40]), ("train", texts[40:])):
        writer = ShardWriter(data, f"fineweb_{split}")
        for text in part:
            writer.append(np.array([processor.bos_id(), *processor.encode(text)], np.uint16))
        writer.close()
    return {"DATA_PATH": str(data), "TOKENIZER_PATH": str(home / "fineweb_320_bpe.model")}


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory, challenge: dict[str, str]) -> Path:
    """A finished run of golfreg, with a plugin's quantizer that needs calibration."""
    home = tmp_path_factory.mktemp("runs")
    settings = [option for option in TINY if not option.startswith("--tokenizer")]
    done = subprocess.run(
        [
            sys.executable, "-m", "golfreg", "run", "--ruleset=parameter-golf", "--quantizer=weighted", "--steps=3",
            f"--corpus=shards:{challenge['DATA_PATH']}", f"--tokenizer={challenge['TOKENIZER_PATH']}", f"--seed={SEED}",
            *settings, "--set=train.calibration_tokens=512", "--runs=runs",
        ],
        cwd=home,
        env={**os.environ, "GOLFREG_CACHE": str(home), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(PLUGIN)},
        capture_output=True,
        text=True,
        timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    return next(home.glob("runs/*"))


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter of its own that has ``LIBRARIES``, what they require, and nothing else."""
    home = tmp_path_factory.mktemp("bare")
    venv.create(home, symlinks=True, with_pip=False)
    (site,) = home.glob("lib/python*/site-packages")
    for name in required(LIBRARIES):
        distribution = metadata.distribution(name)
        for top in {file.parts[0] for file in distribution.files or () if file.parts[0] not in ("..", "__pycache__")}:
            if not (site / top).exists() and not top.endswith(".pth"):
                (site / top).symlink_to(str(distribution.locate_file(top)))
    return home / "bin" / "python"


def required(names: tuple[str, ...]) -> set[str]:
    """The distributions and, transitively, what they require here."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop().lower()
        if name in found:
            continue
        found.add(name)
        for line in metadata.requires(name) or ():
            wanted = Requirement(line)
            if wanted.marker is None or wanted.marker.evaluate({"extra": ""}):
                waiting.append(wanted.name)
    return found


def start(python: Path, script: Path, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the script as a user of the challenge does."""
    kept = {key: os.environ[key] for key in ("PATH", "HOME", "TMPDIR") if key in os.environ}
    return subprocess.run(
        [python, script], cwd=home, env={**kept, **environment}, capture_output=True, text=True, timeout=240
    )


@pytest.fixture(scope="module")
def folder(run_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export([run_dir], tmp_path_factory.mktemp("records"), author="A. Uthor", github_id="auth").directory


@pytest.fixture(scope="module")
def record(run_dir: Path) -> RunRecord:
    return read_record(run_dir / "record.toml")


def test_the_script_makes_the_same_artifact_and_score_without_golfreg(
    run_dir: Path, folder: Path, record: RunRecord, challenge: dict[str, str], bare_python: Path, tmp_path: Path
) -> None:
    for absent in ("golfreg", "golfreg_statistics", "pluggy", "scipy", "tomli_w", "rich", "typer"):
        tried = subprocess.run([bare_python, "-c", f"import {absent}"], capture_output=True, text=True)
        assert "ModuleNotFoundError" in tried.stderr, absent
    script = folder / "train_gpt.py"
    done = start(bare_python, script, tmp_path, SEED=str(SEED), RUN_ID="once", **challenge)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stderr == ""
    said = dict(re.findall(r"(val_loss|val_bpb):(\d+\.\d+)", done.stdout.splitlines()[-1]))
    assert float(said["val_bpb"]) == pytest.approx(record.score.bits_per_byte, abs=1e-9)
    assert float(said["val_loss"]) == pytest.approx(record.score.nats_per_token, abs=1e-9)

    # The script's bytes in the place of the code, and the model file is the artifact that golfreg scored.
    made = read_container(tmp_path / "final_model.golfreg")
    code = script.read_bytes()
    artifact = (run_dir / "artifact.golfreg").read_bytes()
    assert write_container(made.header, made.layouts, made.streams, code) == artifact
    assert len(code) == record.sizes.code_bytes
    assert made.total_bytes + len(code) == record.sizes.total_bytes
    assert f"Code size: {len(code)} bytes" in done.stdout
    assert f"Total submission size weighted+lzma: {len(artifact)} bytes" in done.stdout
    assert (tmp_path / "logs" / "once.txt").read_text() == done.stdout

    # What depends on no clock stands in golfreg's log as the script says it.
    timed = re.compile(r"(?:train_time|step_avg|eval_time):[\d.]+m?s| in [\d.]+s")
    ours = {timed.sub("", line) for line in (folder / f"train_seed{SEED}.log").read_text().splitlines()}
    same = {timed.sub("", line) for line in done.stdout.splitlines()} & ours
    for begin in ("step:3/3", "seed:5", "gptq:collected", "model_params:", "Serialized model", "final_weighted_lzma"):
        assert any(line.startswith(begin) for line in same), begin


def test_the_folder_is_the_same_each_time_and_passes_the_check(run_dir: Path, folder: Path, tmp_path: Path) -> None:
    again = export([run_dir], tmp_path, author="A. Uthor", github_id="auth").directory
    names = {path.name for path in folder.iterdir()}
    assert names == {"README.md", "requirements.txt", "submission.json", "train_gpt.py", f"train_seed{SEED}.log"}
    for name in names:
        assert (again / name).read_bytes() == (folder / name).read_bytes()
    done = subprocess.run(
        [sys.executable, "-m", "golfreg", "leaderboard", "check", str(folder), "--json"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    (findings,) = json.loads(done.stdout)["entries"].values()
    failed = {f["code"]: f["message"] for f in findings if f["level"] == "FAIL"}
    assert set(failed) == {"GR641"}, failed
    assert "1 seed" in failed["GR641"]


@pytest.mark.parametrize(
    ("environment", "says"),
    [
        ({"DATA_PATH": "nowhere"}, "`nowhere` does not hold both training and validation shards"),
        ({"TOKENIZER_PATH": "no.model"}, "cannot read the tokenizer `no.model`"),
        ({"TOKENIZER_PATH": "bytes"}, "outside the vocabulary of 260"),
        ({"SEED": "many"}, "SEED is `many`"),
        ({"WORLD_SIZE": "8"}, "--nproc_per_node=1"),
        ({"RUN_ID": "taken"}, "choose another RUN_ID"),
    ],
    ids=lambda value: next(iter(value), "") if isinstance(value, dict) else "",
)
def test_bad_input_of_the_script_is_one_clear_message(
    folder: Path, challenge: dict[str, str], bare_python: Path, tmp_path: Path, environment: dict[str, Any], says: str
) -> None:
    (tmp_path / "logs" / "taken").mkdir(parents=True)
    done = start(bare_python, folder / "train_gpt.py", tmp_path, **{**challenge, **environment})
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert says in done.stderr
    assert "Traceback" not in done.stderr
