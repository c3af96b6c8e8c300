"""``golfreg run`` as a user meets it: results, plans, seeds, limits, and clear errors for bad input."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.conftest import TINY, Golfreg


def tail(text: str) -> str:
    """The last line that says what went wrong, for messages of assertions."""
    return text[-2000:]


RUN = ("run", "--arch=mamba3", "--codec=lzma", "--steps=4", "--seed=5", *TINY)


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, tiny_corpus: Path, cache: Path
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The directory of one run, and what the program printed."""
    here = tmp_path_factory.mktemp("finished")
    done = subprocess.run(
        [sys.executable, "-m", "golfreg", *RUN, f"--corpus=jsonl:{tiny_corpus}"],
        cwd=here,
        env={**os.environ, "GOLFREG_CACHE": str(cache), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, tail(done.stderr)
    (run_dir,) = (here / "runs").iterdir()
    return run_dir, done


def test_run_prints_where_the_bytes_and_seconds_went(finished: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    run_dir, done = finished
    for word in ("bits per byte", "code", "weights", "header", "headroom", "score", "record.toml", "cpu-smoke"):
        assert word in done.stdout
    assert "no GPU was found" in done.stderr or "the CPU was asked for" in done.stderr
    table = tomllib.loads((run_dir / "record.toml").read_text())
    sizes = table["sizes"]
    assert sizes["code_bytes"] + sizes["weight_bytes"] + sizes["header_bytes"] == sizes["total_bytes"]
    assert (run_dir / "artifact.golfreg").stat().st_size == sizes["total_bytes"] == table["artifact"]["bytes"]


def test_the_same_seed_gives_the_same_bytes(
    golfreg: Golfreg, tiny_corpus: Path, finished: tuple[Path, subprocess.CompletedProcess[str]]
) -> None:
    done = golfreg(*RUN, f"--corpus=jsonl:{tiny_corpus}", "--json")
    assert done.returncode == 0, tail(done.stderr)
    first = tomllib.loads((finished[0] / "record.toml").read_text())
    assert json.loads(done.stdout)["artifact"]["sha256"] == first["artifact"]["sha256"]


def test_state_carried_from_window_to_window_scores_as_one_window_over_everything(
    golfreg: Golfreg, finished: tuple[Path, subprocess.CompletedProcess[str]]
) -> None:
    scores = {}
    for windows, length in (("stateful", 24), ("fixed", 100_000)):
        artifact = finished[0] / "artifact.golfreg"
        done = golfreg("score", artifact, f"--windows={windows}", f"--sequence-length={length}", "--json")
        assert done.returncode == 0, tail(done.stderr)
        scores[windows] = json.loads(done.stdout)
    assert scores["stateful"]["windows"] == "stateful"
    assert scores["stateful"]["window_count"] > 40
    assert scores["fixed"]["window_count"] == 1
    assert scores["stateful"]["bits_per_byte"] == pytest.approx(scores["fixed"]["bits_per_byte"], rel=1e-5)


def test_two_seeds_are_two_runs_of_one_configuration(golfreg: Golfreg, tiny_corpus: Path, tmp_path: Path) -> None:
    done = golfreg(
        "run", "--arch=transformer", "--codec=zlib", "--quantizer=int8", f"--corpus=jsonl:{tiny_corpus}",
        "--steps=3", "--seeds=1,2", "--json", "--set=mixer.n_heads=4", "--set=mixer.n_kv_heads=2", *TINY,
    )  # fmt: skip
    assert done.returncode == 0, tail(done.stderr)
    one, two = json.loads(done.stdout)
    assert one["run"]["spec_digest"] == two["run"]["spec_digest"]
    assert (one["run"]["seed"], two["run"]["seed"]) == (1, 2)
    assert one["artifact"]["sha256"] != two["artifact"]["sha256"]
    added = golfreg("leaderboard", "add", *(Path(r["files"]["record"]).parent for r in (one, two)))
    assert added.returncode in (0, 1), tail(added.stderr)
    assert "Traceback" not in added.stderr


def test_a_dry_run_shows_the_origin_of_every_value_and_makes_nothing(golfreg: Golfreg, tmp_path: Path) -> None:
    done = golfreg("run", "--dry-run", "--arch=mamba3", "--set=mixer.d_state=32", "--seed=3", GOLFREG_TRAIN__STEPS="7")
    assert done.returncode == 0, tail(done.stderr)
    lines = {line.split()[0]: line for line in done.stdout.splitlines() if line.strip()}
    assert "--set mixer.d_state=32" in lines["mixer.mamba3.d_state"]
    assert "GOLFREG_TRAIN__STEPS" in lines["train.steps"]
    assert "--seed" in lines["seed"]
    assert "pattern mamba3" in lines["architecture.mixer"]
    assert "1,2" in done.stdout
    assert not (tmp_path / "runs").exists()
    as_json = golfreg("run", "--dry-run", "--json")
    assert json.loads(as_json.stdout)["parameters"] > 1_000_000


def test_over_the_cap_is_exit_1_with_the_numbers(golfreg: Golfreg, tiny_corpus: Path) -> None:
    done = golfreg(
        "run", "--quantizer=none", "--codec=none", f"--corpus=jsonl:{tiny_corpus}", "--steps=1", *TINY,
        "--set=architecture.d_model=512", "--set=architecture.n_layers=4",
        "--set=train.batch_tokens=32", "--arch=transformer", "--set=mixer.n_heads=8", "--set=mixer.n_kv_heads=8",
    )  # fmt: skip
    assert done.returncode == 1, tail(done.stderr)
    assert "16,000,000" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_diverged_run_stops_with_the_step_and_keeps_a_checkpoint(
    golfreg: Golfreg, tiny_corpus: Path, tmp_path: Path
) -> None:
    done = golfreg(
        "run", f"--corpus=jsonl:{tiny_corpus}", "--steps=40", *TINY, "--set=train.matrix_lr=1e37",
        "--set=train.embedding_lr=1e37", "--set=train.checkpoint_steps=1", "--set=train.grad_clip=0",
    )  # fmt: skip
    assert done.returncode == 1, tail(done.stderr)
    assert "step" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.glob("runs/*/train/step_*"))


@pytest.mark.parametrize(
    ("arguments", "says", "hint"),
    [
        (["--codec=lzmaa"], "codec `lzmaa` is not registered", "did you mean `lzma`"),
        (["--arch=mamba"], "architecture `mamba`", "mamba3"),
        (["--set=mixer.d_stat=1"], "d_stat", "d_state"),
        (["--set=train.steps=many"], "train.steps", "train.steps = 3"),
        (["--recipe=smokey"], "smokey", "smoke"),
        (["--recipe=missing.toml"], "missing.toml", "path"),
        (["--corpus=jsonl:missing.jsonl"], "missing.jsonl", ""),
        (["--corpus=shards:nowhere"], "nowhere", ""),
        (["--tokenizer=missing.model"], "missing.model", "`spN`"),
        (["--seeds=1,1"], "--seeds", "distinct"),
        (["--seeds=1,x"], "--seeds", "1,2,3"),
        (["--resume=nowhere"], "nowhere", "path"),
        (["--resume=nowhere", "--codec=zlib"], "--codec", "leave them out"),
        (["--device=cuda"], "no GPU", "--device cpu"),
        (["--nonsense"], "nonsense", ""),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_input_is_one_clear_message_and_exit_2(
    golfreg: Golfreg, arguments: list[str], says: str, hint: str
) -> None:
    import torch

    if arguments == ["--device=cuda"] and torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    done = golfreg("run", *arguments)
    assert done.returncode == 2, tail(done.stderr)
    assert says in done.stderr
    assert hint in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "empty"),
        (b'{"text": "short"}\n', ""),
        (b'{"text": "\xff\xfe"}\n' * 50, "UTF-8"),
        (b"not json\n", "line 1"),
        (b'{"txet": "a"}\n', "text"),
        (b'{"text": 3}\n', "text"),
    ],
    ids=["empty", "too short for a window", "not UTF-8", "not JSON", "no text field", "text is a number"],
)
def test_a_bad_corpus_is_a_clear_error(golfreg: Golfreg, tmp_path: Path, content: bytes, says: str) -> None:
    (tmp_path / "bad.jsonl").write_bytes(content)
    done = golfreg("run", "--corpus=jsonl:bad.jsonl", "--steps=1", *TINY)
    assert done.returncode == 2, tail(done.stderr)
    assert says in done.stderr
    assert "error:" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("options", ["size=400k", "size=4m,ro"], ids=["full", "read-only"])
def test_a_full_or_read_only_disk_is_said_and_what_was_done_is_kept(
    tiny_corpus: Path, tmp_path: Path, cache: Path, options: str
) -> None:
    unshare = shutil.which("unshare")
    place = tmp_path / "small"
    place.mkdir()
    mount = f"mount -t tmpfs -o {options} tmpfs {place}"
    if unshare is None or subprocess.run([unshare, "-m", "sh", "-c", mount], capture_output=True).returncode:
        pytest.skip("mounting a small disk is not allowed here")
    command = shlex.join([
        sys.executable, "-m", "golfreg", "run", f"--corpus=jsonl:{tiny_corpus}", "--steps=3", *TINY,
        "--set=architecture.d_model=128", f"--runs={place}/runs",
    ])  # fmt: skip
    done = subprocess.run(
        [unshare, "-m", "sh", "-c", f"{mount} && GOLFREG_CACHE={cache} OMP_NUM_THREADS=1 {command}"],
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 2, tail(done.stderr)
    assert "error:" in done.stderr
    assert "hint:" in done.stderr
    assert "Traceback" not in done.stderr
