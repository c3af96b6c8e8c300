"""Runs become a folder of the challenge: figures over the seeds, one script, and a clear no for what cannot be one."""

from __future__ import annotations

import ast
import hashlib
import json
import random
import statistics
import subprocess
import sys

import numpy as np
import pytest

from golfreg.api import AnswerIsNo, ConfigError, InputError, Layout, Section
from golfreg.builtin.codecs.standard import LzmaConfig, lzma_codec
from golfreg.config.plan import Chosen
from golfreg.config.record import record_to_toml
from golfreg.leaderboard.challenge.logs import read_log
from golfreg.leaderboard.export.folder import export
from golfreg.pack.container import write_container
from golfreg.pack.header import Header
from golfreg.pack.script import packed_script, plain_script
from golfreg.testing.records import changed, example_record

SOURCES = {
    "golfreg/__init__.py": "",
    "golfreg/words.py": "WORDS = [\n" + "".join(f"    {n * 7919 % 99991},\n" for n in range(500)) + "]\n",
}
SCRIPT = packed_script(plain_script(SOURCES, {"plan": {"track": "parameter-golf"}}))


def artifact(code, weights=64):
    def chosen(kind):
        return Chosen(kind, "tiny", f"tiny.{kind}:target", "", "", "")

    header = Header(chosen("architecture"), chosen("quantizer"), chosen("codec"), vocab_size=256, sequence_length=64)
    data = np.frombuffer(random.Random(0).randbytes(4 * weights), np.int8)
    section = Section(Layout("w", "codes", "qkv", (4 * weights,), "int8", alphabet=(-128, 127)), data)
    return write_container(header, [section.layout], lzma_codec.encode([section], LzmaConfig()), code)


@pytest.fixture
def make_run(tmp_path):
    """A finished run directory of a seed, true of its artifact."""

    def make(
        seed=1, bits_per_byte=1.2, code=SCRIPT, weights=64, digest="0123456789abcdef", ruleset="parameter-golf", **data
    ):
        run_dir = tmp_path / f"run_{seed}_{bits_per_byte}_{len(list(tmp_path.iterdir()))}"
        run_dir.mkdir()
        packed = artifact(code, weights)
        (run_dir / "artifact.golfreg").write_bytes(packed)
        record = example_record(seed, bits_per_byte=bits_per_byte)
        record = changed(record, "run", spec_digest=digest, ruleset=ruleset, track=ruleset)
        record = changed(record, "artifact", sha256=hashlib.sha256(packed).hexdigest(), bytes=len(packed))
        record = changed(record, "times", calibrate_seconds=1.5)
        record.settings["data"] = data
        (run_dir / "record.toml").write_text(record_to_toml(record), "utf-8")
        rows = [{"step": n, "loss": 5.0 / n, "train_seconds": 0.4 * n, "rate": 1.0} for n in range(1, 101)]
        lines = [json.dumps(row) for row in rows]
        (run_dir / "metrics.jsonl").write_text("\n".join(lines) + '\n{"step": 101, "lo')
        return run_dir

    return make


def test_seeds_become_one_folder_with_mean_and_deviation(make_run, tmp_path):
    scores = {3: 1.21, 1: 1.2, 2: 1.195}
    done = export([make_run(s, bpb) for s, bpb in scores.items()], tmp_path / "out", author="A", github_id="a")
    values = json.loads((done.directory / "submission.json").read_text())
    assert values == done.values
    assert values["seeds"] == [1, 2, 3]
    assert values["val_bpb"] == pytest.approx(statistics.mean(scores.values()), abs=1e-12)
    assert values["val_bpb_std"] == pytest.approx(statistics.stdev(scores.values()), abs=1e-12)
    assert [values["seed_results"][str(s)]["val_bpb"] for s in (1, 2, 3)] == pytest.approx([1.2, 1.195, 1.21])
    assert values["bytes_code"] == len(SCRIPT) == (done.directory / "train_gpt.py").stat().st_size
    assert values["bytes_total"] == len(artifact(SCRIPT))
    assert values["bytes_total"] == values["bytes_code"] + values["bytes_model"]
    assert done.directory.name == "2026-05-01_mamba3_int6_lzma"
    assert not (done.directory / "runs").exists()
    readme = (done.directory / "README.md").read_text()
    assert f"{values['val_bpb']:.6f}" in readme
    assert f"{values['val_bpb_std']:.6f}" in readme


def test_a_log_reads_as_the_challenges_logs_do(make_run, tmp_path):
    done = export([make_run(7, 1.25)], tmp_path / "out", author="A")
    log = read_log("train_seed7.log", (done.directory / "train_seed7.log").read_bytes())
    assert (log.seed, log.key, log.steps, log.parameters) == (7, 7, 100, 1_200_000)
    assert log.metrics[-1].bits_per_byte == pytest.approx(1.25, abs=1e-11)
    assert log.code_bytes == len(SCRIPT)
    assert log.total_bytes == len(artifact(SCRIPT))
    assert log.train_seconds == pytest.approx(40.0)
    assert log.calibrate_seconds == pytest.approx(1.5)
    assert log.passes_seconds == pytest.approx(12.5, abs=0.6)


def test_the_readable_script_holds_the_same_sources_and_counts_its_own_bytes(make_run, tmp_path):
    done = export([make_run()], tmp_path / "out", author="A", plain=True)
    text = (done.directory / "train_gpt.py").read_text("utf-8")
    assert text == plain_script(SOURCES, {"plan": {"track": "parameter-golf"}})
    ast.parse(text)
    assert done.values["bytes_code"] == len(text.encode()) > len(SCRIPT)
    assert f"Code size: {len(text.encode())} bytes" in (done.directory / "train_seed1.log").read_text()
    assert (
        f"count the packed form of the same text, {len(SCRIPT):,} bytes" in (done.directory / "README.md").read_text()
    )


def test_a_readable_script_over_the_cap_is_a_no_with_the_numbers(make_run, tmp_path, monkeypatch):
    run = make_run()
    from dataclasses import replace

    from golfreg.leaderboard.export import folder

    tight = folder.load_ruleset("parameter-golf")
    limits = replace(tight.limits, cap_bytes=len(artifact(SCRIPT)))
    monkeypatch.setattr(folder, "load_ruleset", lambda name: replace(tight, limits=limits))
    export([run], tmp_path / "packed", author="A")
    with pytest.raises(AnswerIsNo, match=rf"over the cap of {limits.cap_bytes:,}"):
        export([run], tmp_path / "out", author="A", plain=True)
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_exported_is_refused_with_the_reason(make_run, tmp_path):
    other_script = packed_script(plain_script({"golfreg/__init__.py": "x = 1\n"}, {}))
    cases = [
        ([make_run(code=SOURCES)], "counted as compressed sources"),
        ([make_run(1), make_run(1, 1.3)], "are both of seed 1"),
        ([make_run(1), make_run(2, digest="fedcba9876543210")], "different settings"),
        ([make_run(1), make_run(2, code=other_script)], "no one script made both"),
        ([make_run(validation_tokens=1000)], "a part of the validation text"),
        ([tmp_path], "is no run directory"),
    ]
    for runs, says in cases:
        with pytest.raises(InputError, match=says):
            export(runs, tmp_path / "out", author="A")
    with pytest.raises(ConfigError, match="1 to"):
        export([], tmp_path / "out", author="A")
    assert not (tmp_path / "out").exists()


def test_nothing_is_overwritten_and_names_stay_text(make_run, tmp_path):
    run = make_run()
    name = "../../<b>*up*</b>"
    done = export([run], tmp_path / "out", author="<script>", name=name)
    assert done.directory.parent == tmp_path / "out"
    assert done.directory.name == "2026-05-01_b_up_b"
    readme = (done.directory / "README.md").read_text()
    assert "<script>" not in readme
    assert "<b>" not in readme
    with pytest.raises(InputError, match="there already"):
        export([run], tmp_path / "out", author="<script>", name=name)
    for bad in ("a\x1b[31m", "x" * 201):
        with pytest.raises(ConfigError, match="--author"):
            export([run], tmp_path / "out", author=bad)


def test_a_record_with_odd_training_settings_is_refused(make_run, tmp_path):
    run = make_run()
    path = run / "record.toml"
    path.write_text(path.read_text().replace("steps = 100\n\n[settings.arch", 'steps = "many"\n\n[settings.arch'))
    with pytest.raises(InputError, match="settings.train"):
        export([run], tmp_path / "out", author="A")


def test_the_command_imports_no_torch(make_run, tmp_path):
    run = make_run()
    program = (
        "import sys\nsys.argv[1:] = ['leaderboard', 'export', sys.argv[1], '--format', 'parameter-golf', '--json']\n"
        "from golfreg.cli.main import main\n"
        "try:\n    main()\nfinally:\n    assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, run], cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (tmp_path / told["directory"] / "train_gpt.py").read_bytes() == SCRIPT
    assert told["submission"]["author"] == "anonymous"


def test_an_unknown_format_is_said_with_the_nearest(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "golfreg", "leaderboard", "export", "run", "--format", "parameter-gold"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 2
    assert "did you mean `parameter-golf`" in done.stderr
