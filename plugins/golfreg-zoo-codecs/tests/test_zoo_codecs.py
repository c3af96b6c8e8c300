"""Settings, hostile streams, programs that misbehave, and what installing and uninstalling change."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("golfreg_zoo_codecs", reason="install it: pip install -e plugins/golfreg-zoo-codecs")

from golfreg.api import ConfigError, EnvironmentFault, InputError
from golfreg.registry.resolve import load, resolve
from golfreg.registry.settings import make_config
from golfreg_zoo_codecs import programs

HERE = Path(__file__).resolve().parents[1]
NAMES = ("zstd", "brotli", "ppmd", "lrzip", "zpaq")
CODES = np.clip(np.round(np.random.default_rng(0).normal(0, 7, 4000)), -31, 31).astype(np.int8).tobytes()


@pytest.mark.parametrize(
    ("codec", "settings"),
    [
        ("zstd", {"level": 3}), ("zstd", {"try_level_1": False}), ("zstd", {"window_log": 10}),
        ("brotli", {"quality": 1}), ("brotli", {"window": 10}), ("ppmd", {"order": 8}),
        ("ppmd", {"memory_megabytes": 1}),
    ],
)  # fmt: skip
def test_every_setting_decodes_to_the_same_bytes(codec: str, settings: dict[str, object]) -> None:
    target = load(resolve("codec", codec))
    config = make_config(target, settings, codec)
    for data in (CODES, CODES * 40, b"", b"a", bytes(100_000)):
        assert target.decompress(target.compress(data, config), len(data), config) == data


@pytest.mark.parametrize(
    ("codec", "settings"),
    [
        ("zstd", {"level": 23}), ("zstd", {"window_log": 31}), ("brotli", {"quality": 12}), ("brotli", {"window": 9}),
        ("ppmd", {"order": 1}), ("ppmd", {"memory_megabytes": 4096}), ("zstd", {"levle": 3}),
        ("zstd", {"level": "high"}),
    ],
)  # fmt: skip
def test_a_setting_out_of_range_is_refused(codec: str, settings: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        make_config(load(resolve("codec", codec)), settings, codec)


@pytest.mark.parametrize("settings", [{"method": "rar"}, {"level": 0}, {"seconds": 0}])
def test_a_setting_of_lrzip_out_of_range_is_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        make_config(programs.lrzip_codec, settings, "lrzip")


@pytest.mark.parametrize("codec", ["zstd", "brotli", "ppmd"])
def test_damaged_streams_are_refused_or_have_the_size_that_they_should(codec: str) -> None:
    """Half of the mutants of ppmd have a checksum that fits."""
    target = load(resolve("codec", codec))
    config = target.Config()
    draw = random.Random(1)
    coded = [(data, target.compress(data, config)) for data in (CODES, bytes(3000), b"abc" * 700, b"x")]
    for trial in range(600):
        data, stream = draw.choice(coded)
        mutant = bytearray(stream)
        for _ in range(draw.randint(1, 4)):
            at = draw.randrange(len(mutant) + 1)
            match draw.randrange(3):
                case 0:
                    del mutant[at:]
                case 1:
                    mutant[at : at + 1] = draw.randbytes(1)
                case _:
                    mutant[at:at] = draw.randbytes(draw.randrange(40))
        if codec == "ppmd" and trial % 2:
            mutant[:4] = zlib.crc32(bytes(mutant[4:])).to_bytes(4, "little")
        size = draw.choice((len(data), len(data) + 1, 10 * len(data), 0))
        with contextlib.suppress(InputError):
            assert len(target.decompress(bytes(mutant), size, config)) == size


def test_a_zstd_frame_that_asks_for_a_huge_window_is_refused() -> None:
    import zstandard

    parameters = zstandard.ZstdCompressionParameters(
        window_log=27, format=zstandard.FORMAT_ZSTD1_MAGICLESS, write_content_size=False
    )
    stream = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    data = stream.compress(CODES) + stream.flush()
    target = load(resolve("codec", "zstd"))
    with pytest.raises(InputError, match="memory"):
        target.decompress(data, len(CODES), target.Config())


def script(directory: Path, name: str, body: str) -> None:
    path = directory / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("sleep 30; exit 0", "took over 1 s"),
        ("echo out of luck >&2; exit 3", "ended with 3"),
        ("exit 0", "wrote no file"),
        ("head -c 3000000 /dev/zero > coded", "ended with"),
        ("kill -SEGV $$", "ended with"),
    ],
    ids=["sleeps", "fails", "writes nothing", "writes too much", "crashes"],
)
def test_a_program_that_misbehaves_is_one_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, says: str
) -> None:
    script(tmp_path, "lrzip", body)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(EnvironmentFault) as caught:
        programs.lrzip_codec.compress(CODES, programs.LrzipConfig(seconds=1))
    assert says in caught.value.message
    assert caught.value.hint


def test_a_stream_of_another_size_never_reaches_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(tmp_path, "lrzip", f"touch {tmp_path}/ran; head -c 9999999 /dev/zero > data")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    header = b"LRZI\x00\x06"
    with pytest.raises(InputError, match="not lrzip's of 16 bytes"):
        programs.lrzip_codec.decompress(header + (1 << 40).to_bytes(8, "little"), 16, programs.LrzipConfig())
    assert not (tmp_path / "ran").exists()
    with pytest.raises(InputError, match="cannot decode"):
        programs.lrzip_codec.decompress(header + (16).to_bytes(8, "little"), 16, programs.LrzipConfig())
    assert (tmp_path / "ran").exists()


def listed(**environment: str) -> dict[str, dict[str, str]]:
    done = subprocess.run(
        [sys.executable, "-m", "golfreg", "plugins", "list", "--json"],
        env={**os.environ, **environment}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = json.loads(done.stdout)
    return {f"{c['kind']} {c['name']} {c['op']}": c for c in found["components"]} | {
        f"failure {f['component']}": f for f in found["failures"]
    }


@pytest.mark.parametrize(("library", "codec"), [("zstandard", "zstd"), ("brotli", "brotli"), ("pyppmd", "ppmd")])
def test_a_missing_library_disables_one_codec_with_the_command_that_mends_it(
    tmp_path: Path, library: str, codec: str
) -> None:
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nsys.modules[{library!r}] = None\n")
    found = listed(PYTHONPATH=str(tmp_path))
    assert found[f"codec {codec} None"]["status"] == f"missing {library}"
    assert found[f"failure codec `{codec}`"]["hint"] == f"pip install {library}"
    others = {name for name in ("zstd", "brotli", "ppmd") if name != codec}
    assert {found[f"codec {name} None"]["status"] for name in others} == {"ok"}


def test_a_missing_program_is_said_and_one_that_is_there_is_no_promise(tmp_path: Path) -> None:
    script(tmp_path, "lrzip", "exit 0")
    found = listed(PATH=str(tmp_path))
    assert found["codec zpaq None"]["status"] == "missing the program zpaq"
    assert found["codec lrzip None"]["status"] == "ok, but not in a run: it runs lrzip"
    assert not any(name.startswith("failure") for name in found)


def test_a_run_with_a_program_stops_while_it_is_planned(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "golfreg", "run", "--codec", "lrzip", "--device", "cpu"],
        cwd=tmp_path, env={**os.environ, "GOLFREG_CACHE": str(tmp_path)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "runs no program while it is scored" in done.stderr
    assert "golfreg bench codecs" in done.stderr
    assert not (tmp_path / "runs").exists()


def test_installing_adds_the_codecs_and_uninstalling_takes_away_nothing_else(tmp_path: Path) -> None:
    """The files as pip lays them out, on and off the path, in a process that does not see this checkout's install."""
    source, place = tmp_path / "source", tmp_path / "place"
    shutil.copytree(HERE, source, ignore=shutil.ignore_patterns("*.egg-info", "build", "__pycache__"))
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command = [*pip, "--no-build-isolation", "--no-index", "--target", str(place), str(source)]
    if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True).returncode:
        pytest.skip("this environment has no pip")
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    blocked = listed(GOLFREG_DISABLE_PLUGINS="golfreg-zoo-codecs")
    with_it = listed(PYTHONPATH=str(place))
    assert {name for name in with_it if name not in blocked} == {f"codec {name} None" for name in NAMES}
    assert {name: with_it[name] for name in blocked} == blocked
    assert sorted(p.name for p in place.iterdir()) == ["golfreg_zoo_codecs", "golfreg_zoo_codecs-0.1.0.dist-info"]


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["zstd", "brotli", "ppmd"])
def test_a_run_is_packed_and_scored_with_the_codec(tmp_path: Path, codec: str) -> None:
    draw = random.Random(0)
    words = ["one", "token", "after", "another"]
    lines = [json.dumps({"text": " ".join(draw.choices(words, k=30))}) for _ in range(400)]
    (tmp_path / "tiny.jsonl").write_text("\n".join(lines))
    settings = ["train.sequence_length=32", "train.batch_tokens=128", "train.threads=1", "architecture.n_layers=1",
                "architecture.d_model=32", "score.probes=2"]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "golfreg", "run", "--corpus", "jsonl:tiny.jsonl", "--tokenizer", "bytes",
         "--codec", codec,
         "--steps", "3", "--device", "cpu", "--json", *(f"--set={s}" for s in settings)],
        cwd=tmp_path, env={**os.environ, "GOLFREG_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    record = json.loads(done.stdout)
    record = record[0] if isinstance(record, list) else record
    assert record["components"]["codec"]["distribution"] == "golfreg-zoo-codecs"
    library = {"zstd": "zstandard", "brotli": "brotli", "ppmd": "pyppmd"}[codec]
    assert library in record["environment"]["packages"]
