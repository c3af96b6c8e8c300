"""``golfreg bench codecs`` codes weights again with every codec, checks them, and runs nothing of the artifact."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from golfreg.api import Layout, Section
from golfreg.builtin.codecs.standard import LzmaConfig, lzma_codec
from golfreg.config.plan import Chosen
from golfreg.pack.container import write_container
from golfreg.pack.header import Header

HEADER = Header(
    architecture=Chosen("architecture", "evil", "evil_module:run", "", "", ""),
    quantizer=Chosen("quantizer", "evil", "evil_module:run", "", "", ""),
    codec=Chosen("codec", "lzma", "golfreg.builtin.codecs.standard:lzma_codec", "", "", "", {"lc": 1}),
    vocab_size=100,
    sequence_length=8,
)


def write(path: Path, header: Header = HEADER) -> Path:
    codes = np.random.default_rng(0).integers(-3, 4, (200, 100)).astype(np.int8)
    sections = [Section(Layout("a.weight", "codes", "qkv", (200, 100), "int8", "", (-31, 31)), codes)]
    streams = lzma_codec.encode(sections, LzmaConfig(lc=1))
    code = {"evil_module.py": "raise SystemExit('the code of an artifact ran')\n"}
    path.write_bytes(write_container(header, [s.layout for s in sections], streams, code))
    return path


def bench(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "golfreg", "bench", "codecs", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_codecs_are_sorted_by_the_bytes_that_they_make(tmp_path: Path) -> None:
    done = bench(write(tmp_path / "a.golfreg"), "--codec=none", "--codec=lzma", "--codec=bz2", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["parameters"] == 20_000
    sizes = {f["codec"]: f["bytes"] for f in found["codecs"]}
    assert list(sizes) == sorted(sizes, key=lambda name: sizes[name])
    assert sizes["none"] == 20_000
    assert sizes["lzma"] < sizes["none"]
    assert all(f["bits_per_parameter"] == 8 * f["bytes"] / 20_000 for f in found["codecs"])


def test_the_table_shows_every_codec_that_was_asked_for(tmp_path: Path) -> None:
    done = bench(write(tmp_path / "a.golfreg"), "--codec=zlib", "--codec=bz2")
    assert done.returncode == 0, done.stderr
    assert "zlib" in done.stdout
    assert "bz2" in done.stdout
    assert "lzma" not in done.stdout


@pytest.mark.parametrize(
    ("target", "arguments", "says"),
    [
        ("evil_module:codec", ["--codec=zlib"], "not installed"),
        ("golfreg.builtin.codecs.standard:lzma_codec", ["--codec=lzmaa"], "lzmaa"),
        ("golfreg.builtin.codecs.standard:zlib_codec", ["--codec=zlib"], "not installed"),
    ],
    ids=["a stranger's codec", "no such codec", "another target"],
)
def test_what_cannot_be_compared_is_one_clear_error(
    tmp_path: Path, target: str, arguments: list[str], says: str
) -> None:
    header = dataclasses.replace(HEADER, codec=dataclasses.replace(HEADER.codec, target=target))
    done = bench(write(tmp_path / "a.golfreg", header), *arguments)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert "ran" not in done.stderr


def test_a_damaged_artifact_is_one_clear_error(tmp_path: Path) -> None:
    path = write(tmp_path / "a.golfreg")
    path.write_bytes(path.read_bytes()[:-9])
    done = bench(path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
