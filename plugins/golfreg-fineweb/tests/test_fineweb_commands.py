"""``golfreg data get``, ``data list`` and ``run`` with the stand-in hub: killed, full disks, offline."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("golfreg_fineweb", reason="install it: pip install -e plugins/golfreg-fineweb")

CHALLENGE = "willdepueoai/parameter-golf"
OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_ENDPOINT": "http://127.0.0.1:9"}
Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def golfreg(tmp_path: Path) -> Command:
    """Run the program in ``tmp_path`` with a cache of its own; keyword arguments are environment variables."""

    def call(*arguments: str, prefix: tuple[str, ...] = (), **more: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "GOLFREG_CACHE": str(tmp_path / "cache"), "HF_HOME": str(tmp_path / "hf")}
        return subprocess.run(
            [*prefix, sys.executable, "-m", "golfreg", *arguments],
            cwd=tmp_path, env={**environment, "OMP_NUM_THREADS": "1", **more},
            capture_output=True, text=True, timeout=300,
        )  # fmt: skip

    return call


def place(tmp_path: Path) -> Path:
    return tmp_path / "cache/corpora/fineweb/sp1024"


def test_get_list_and_prepare_work_offline_after_one_command(hub: Any, golfreg: Command) -> None:
    absent = golfreg("data", "prepare", "--corpus=fineweb:sp1024", **OFFLINE)
    assert absent.returncode == 2
    assert "golfreg data get fineweb:sp1024" in absent.stderr
    got = golfreg("data", "get", "fineweb:sp1024", "--train-shards=2", "--json")
    assert got.returncode == 0, got.stderr
    facts = json.loads(got.stdout)
    assert (facts["train_shards"], facts["offered_train_shards"], facts["ready"]) == (2, 3, True)
    assert "GB are free" in got.stderr
    again = golfreg("data", "get", "fineweb:sp1024", "--train-shards=2", "--json", **OFFLINE)
    assert json.loads(again.stdout)["fingerprint"] == facts["fingerprint"]
    listed = json.loads(golfreg("data", "list", "--json", **OFFLINE).stdout)
    by_name = {f["corpus"]: f for f in listed["fetchable"]}
    assert by_name["fineweb:sp1024"]["present_bytes"] == facts["present_bytes"]
    assert by_name["fineweb:sp1024"]["fits_train_shards"] == 3
    assert not by_name["fineweb:sp8192"]["ready"]
    assert by_name["fineweb:sp8192"]["fits_train_shards"] == listed["free_bytes"] // 200_001_024
    shown = golfreg("data", "list", **OFFLINE)
    assert "fineweb:byte260" in shown.stdout
    prepared = golfreg("data", "prepare", "--corpus=fineweb:sp1024", "--json", **OFFLINE)
    assert prepared.returncode == 0, prepared.stderr
    assert json.loads(prepared.stdout)["train_tokens"] == 6000
    more = golfreg("data", "get", "fineweb:sp1024", "--train-shards=3")
    assert more.returncode == 0, more.stderr
    assert "next: golfreg run --corpus fineweb:sp1024" in more.stderr
    after = json.loads(golfreg("data", "prepare", "--corpus=fineweb:sp1024", "--json", **OFFLINE).stdout)
    assert after["train_tokens"] > 6000
    assert not after["reused"]


def test_bytes_of_either_export_are_one_text(hub: Any, golfreg: Command) -> None:
    found = []
    for corpus, more in (("fineweb:sp1024", ["--tokenizer=bytes"]), ("fineweb:byte260", [])):
        assert golfreg("data", "get", corpus).returncode == 0
        done = golfreg("data", "prepare", "--corpus", corpus, "--json", *more, **OFFLINE)
        assert done.returncode == 0, done.stderr
        found.append(json.loads(done.stdout))
    for key in ("validation_bytes", "validation_tokens", "validation_documents", "vocab_size"):
        assert found[0][key] == found[1][key]
    assert found[0]["vocab_size"] == 260


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["data", "get", "fine"], ["fineweb:byte260", "fineweb:sp1024", "fineweb:sp4096", "fineweb:sp8192"]),
        (["data", "get", "fineweb", ":"], ["byte260", "sp1024", "sp4096", "sp8192"]),
        (["run", "--corpus", "fineweb", ":", "sp1"], ["sp1024"]),
        (["run", "--corpus", "jsonl", ":", "READ"], []),
    ],
    ids=lambda value: "" if not value else " ".join(value),
)
def test_the_shell_is_offered_what_can_be_fetched(tmp_path: Path, words: list[str], offered: list[str]) -> None:
    """Bash ends a word at a colon, and wants only what follows it."""
    typed = {"COMP_WORDS": "\n".join(["golfreg", *words]), "COMP_CWORD": str(len(words))}
    code = "import sys; sys.argv[0] = 'golfreg'; from golfreg.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **typed, "_GOLFREG_COMPLETE": "complete_bash", "GOLFREG_CACHE": str(tmp_path)},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.stdout.split() == offered, done.stderr


def test_every_fault_ends_in_one_message_and_exit_2(hub: Any, golfreg: Command) -> None:
    name = "datasets/datasets/fineweb10B_sp1024/fineweb_train_000001.bin"
    kept = hub.repositories[CHALLENGE].pop(name)
    for arguments, says in (
        (["fineweb:sp1024"], "fineweb_train_000001.bin"),
        (["fineweb:sp1024", "--train-shards=99"], "not 99"),
        (["fineweb:sp9999"], "not published"),
        (["fineweb:gpt2"], "gpt2"),
        (["fineweb"], "fineweb:sp1024"),
        (["fineweb:sp1024", "--train-shards=0"], "train-shards"),
    ):
        done = golfreg("data", "get", *arguments)
        assert done.returncode == 2, done.stderr
        assert says in done.stderr
        assert "Traceback" not in done.stderr
    hub.repositories[CHALLENGE][name] = kept
    assert golfreg("data", "get", "fineweb:sp1024").returncode == 0


def enlarge(hub: Any, megabytes: int) -> int:
    """Make the first training shard larger; its size."""
    files = hub.repositories[CHALLENGE]
    count = megabytes << 19
    tokens = np.random.default_rng(0).integers(4, 300, count).astype("<u2")
    header = np.zeros(256, "<i4")
    header[:3] = 20240520, 1, count
    files["datasets/datasets/fineweb10B_sp1024/fineweb_train_000000.bin"] = header.tobytes() + tokens.tobytes()
    manifest = json.loads(files["datasets/manifest.json"])
    manifest["shard_size"] = count
    files["datasets/manifest.json"] = json.dumps(manifest).encode()
    return 1024 + 2 * count


WRITE = 10 << 20
"""The library writes to the disk when it has so much."""


def started_fetch(tmp_path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "golfreg", "data", "get", "fineweb:sp1024", "--train-shards=1"],
        env={**os.environ, "GOLFREG_CACHE": str(tmp_path / "cache"), "HF_HOME": str(tmp_path / "hf")},
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        # A shell that runs the tests in the background has made SIGINT be ignored, and that is inherited.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


def wait_until(true: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """However long it takes: the hub holds the rest back, and pytest's time limit ends what never comes."""
    while not true():
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)


def test_a_killed_fetch_leaves_no_half_file_and_goes_on_where_it_stopped(
    hub: Any, golfreg: Command, tmp_path: Path
) -> None:
    size = enlarge(hub, 26)
    hub.faults["GET", "train_000000.bin"] = [{"held": 2 * WRITE + (1 << 20)}]
    process = started_fetch(tmp_path)
    try:
        wait_until(lambda: any(p.stat().st_size >= WRITE for p in place(tmp_path).rglob("*.incomplete")), process)
    finally:
        process.kill()
        process.communicate()
    (half,) = place(tmp_path).rglob("*.incomplete")
    written = half.stat().st_size
    assert WRITE <= written < size
    assert not (place(tmp_path) / "fineweb_train_000000.bin").exists()
    assert golfreg("data", "prepare", "--corpus=fineweb:sp1024").returncode == 2
    done = golfreg("data", "get", "fineweb:sp1024", "--train-shards=1", "--json")
    assert done.returncode == 0, done.stderr
    assert (place(tmp_path) / "fineweb_train_000000.bin").stat().st_size == size
    assert hub.bodies("train_000000.bin") == ["", f"bytes={written}-"]
    assert not list(place(tmp_path).rglob("*.incomplete"))


def test_an_interrupted_fetch_is_exit_130(hub: Any, tmp_path: Path) -> None:
    enlarge(hub, 26)
    hub.faults["GET", "train_000000.bin"] = [{"held": WRITE + (1 << 20)}]
    process = started_fetch(tmp_path)
    try:
        wait_until(lambda: bool(hub.bodies("train_000000.bin")), process)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate()
    finally:
        process.kill()
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert not (place(tmp_path) / "fineweb_train_000000.bin").exists()


def test_a_file_size_limit_is_one_clear_error(hub: Any, golfreg: Command, tmp_path: Path) -> None:
    enlarge(hub, 4)
    prefix = ("bash", "-c", 'ulimit -f 2000; exec "$@"', "bash")
    done = golfreg("data", "get", "fineweb:sp1024", "--train-shards=1", prefix=prefix)
    assert done.returncode == 2, done.stderr
    assert "error: cannot write" in done.stderr
    assert "hint:" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (place(tmp_path) / "fineweb_train_000000.bin").exists()
    assert golfreg("data", "get", "fineweb:sp1024", "--train-shards=1").returncode == 0


@pytest.mark.parametrize("checked", [True, False], ids=["seen before", "seen while writing"])
def test_a_full_disk_is_one_clear_error_and_nothing_half(hub: Any, tmp_path: Path, checked: bool) -> None:
    """Once as it is, and once where the free space was there only until it was needed."""
    enlarge(hub, 4)
    unshare = shutil.which("unshare")
    small = tmp_path / "small"
    small.mkdir()
    mount = f"mount -t tmpfs -o size=2m tmpfs {small}"
    if unshare is None or subprocess.run([unshare, "-m", "sh", "-c", mount], capture_output=True).returncode:
        pytest.skip("mounting a small disk is not allowed here")
    if not checked:
        (tmp_path / "sitecustomize.py").write_text(
            "import collections, shutil\n"
            "usage = collections.namedtuple('usage', 'total used free')(1 << 40, 0, 1 << 40)\n"
            "shutil.disk_usage = lambda place: usage\n"
        )
    command = shlex.join([sys.executable, "-m", "golfreg", "data", "get", "fineweb:sp1024", "--train-shards=1"])
    look = f"find {small} -name 'fineweb_*' -size +0"
    done = subprocess.run(
        [unshare, "-m", "sh", "-c", f"{mount} && {command}; code=$?; {look}; exit $code"],
        env={**os.environ, "GOLFREG_CACHE": str(small), "HF_HOME": str(tmp_path / "hf"), "PYTHONPATH": str(tmp_path)},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert ("bytes are needed" if checked else "No space left") in done.stderr
    assert "hint:" in done.stderr
    assert "Traceback" not in done.stderr
    assert "fineweb_train" not in done.stdout


def test_a_plan_says_that_the_vocabulary_is_not_known_yet(hub: Any, golfreg: Command) -> None:
    done = golfreg("run", "--dry-run", "--json", "--corpus=fineweb:sp1024", "--device=cpu", **OFFLINE)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["parameters"] is None


@pytest.mark.slow
@pytest.mark.parametrize("corpus", ["fineweb:sp1024", "fineweb:byte260"])
def test_a_run_uses_what_was_fetched(hub: Any, golfreg: Command, corpus: str) -> None:
    assert golfreg("data", "get", corpus).returncode == 0
    settings = ["train.sequence_length=32", "train.batch_tokens=512", "train.threads=1", "architecture.n_layers=1",
                "architecture.d_model=32", "score.probes=2"]  # fmt: skip
    done = golfreg(
        "run", "--corpus", corpus, "--steps=40", "--device=cpu", "--json", *(f"--set={s}" for s in settings), **OFFLINE
    )
    assert done.returncode == 0, done.stderr[-2000:]
    record = json.loads(done.stdout)
    record = record[0] if isinstance(record, list) else record
    assert record["components"]["corpus"]["distribution"] == "golfreg-fineweb"
    assert "huggingface_hub" in record["environment"]["packages"]
    assert 0.5 < record["score"]["bits_per_byte"] < 8
    print(corpus, record["score"]["bits_per_byte"])
