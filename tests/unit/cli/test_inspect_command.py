"""``golfreg inspect`` lists what is in an artifact, imports no torch, and runs nothing that is in it."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest

from golfreg.api import InputError, Layout, Section, Stream
from golfreg.builtin.codecs.standard import LzmaConfig, lzma_codec
from golfreg.config.plan import Chosen
from golfreg.pack.container import read_container, write_container
from golfreg.pack.header import Header

LZMA = Chosen("codec", "lzma", "golfreg.builtin.codecs.standard:lzma_codec", "", "", "")
HEADER = Header(
    architecture=Chosen("architecture", "evil", "evil_module:run", "", "", "", {"width": 3}),
    quantizer=Chosen("quantizer", "evil", "evil_module:run", "", "", ""),
    codec=LZMA,
    vocab_size=100,
    sequence_length=8,
)
CODE = {"evil_module.py": "raise SystemExit('the code of an artifact ran')\n", "golfreg/__init__.py": ""}


def sections():
    rng = np.random.default_rng(0)
    noisy = rng.integers(-31, 32, (64, 64), np.int8)
    calm = rng.integers(-1, 2, (64, 64)).astype(np.int8)
    return [
        Section(Layout("a.weight", "codes", "qkv", (64, 64), "int8", "q", (-31, 31)), noisy),
        Section(Layout("b.weight", "codes", "qkv", (64, 64), "int8", "", (-31, 31)), calm),
        Section(Layout("a.weight", "scale", "qkv", (64,), "float16", "q"), rng.random(64).astype(np.float16)),
        Section(Layout("[red]markup[/red]", "raw", "scalar", (5,), "float32"), np.ones(5, np.float32)),
    ]


def write(path, header=HEADER, streams=None):
    given = sections()
    streams = streams or lzma_codec.encode(given, LzmaConfig())
    path.write_bytes(write_container(header, [s.layout for s in given], streams, CODE))
    return path


def golfreg(*arguments):
    program = (
        "import sys\n"
        "from golfreg.cli.out import Out\n"
        "import typer\n"
        "from golfreg.cli.inspect import inspect\n"
        "from golfreg.api import GolfregError\n"
        "app = typer.Typer(pretty_exceptions_enable=False)\n"
        "app.command()(inspect)\n"
        "try:\n"
        "    app(standalone_mode=False)\n"
        "except GolfregError as error:\n"
        "    Out().error(error.message, error.hint)\n"
        "    sys.exit(2)\n"
        "assert 'torch' not in sys.modules, 'torch was imported'\n"
        "assert 'evil_module' not in sys.modules\n"
    )
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_json_has_every_section_and_adds_up(tmp_path):
    done = golfreg(write(tmp_path / "a.golfreg"), "--json")
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert [s["tensor"] for s in facts["sections"]] == ["a.weight", "b.weight", "a.weight", "[red]markup[/red]"]
    assert sum(s["bytes"] for s in facts["sections"]) == facts["weight_bytes"] == sum(facts["by_role"].values())
    assert sum(c["bytes"] for c in facts["code"]) == facts["code_bytes"]
    assert facts["weight_bytes"] + facts["code_bytes"] + facts["header_bytes"] == facts["total_bytes"]
    assert facts["total_bytes"] == (tmp_path / "a.golfreg").stat().st_size
    assert facts["parameters"] == 2 * 64 * 64 + 5
    assert facts["components"]["architecture"]["config"] == {"width": 3}


def test_bytes_of_a_shared_stream_follow_the_entropy_and_are_marked(tmp_path):
    done = golfreg(write(tmp_path / "a.golfreg"), "--json")
    facts = json.loads(done.stdout)
    noisy, calm, scale, _ = facts["sections"]
    assert (noisy["attributed"], calm["attributed"], scale["attributed"]) == (True, True, False)
    assert 5.5 < noisy["bits_per_element"] < 6.8
    assert 1.3 < calm["bits_per_element"] < 2.2
    assert (facts["attribution"], done.stderr) == ("entropy", "")


def test_the_table_shows_text_of_files_as_text(tmp_path):
    done = golfreg(write(tmp_path / "a.golfreg"))
    assert done.returncode == 0, done.stderr
    for text in ("[red]markup[/red]", "a.weight", "qkv", "-31..31", "64x64", "evil_module.py", "by role", "parameters"):
        assert text in done.stdout


@pytest.mark.parametrize(
    "codec",
    [
        dataclasses.replace(LZMA, target="evil_module:run"),
        dataclasses.replace(LZMA, config={"dict_size": 1 << 40}),
        dataclasses.replace(LZMA, config={"unknown": 1}),
        dataclasses.replace(LZMA, target="golfreg.builtin.codecs.standard:zlib_codec"),
        # Of a codec that chooses among others all must be installed.
        Chosen("codec", "auto", "golfreg.builtin.codecs.auto:auto", "", "", "", {"codecs": ["evil_module:run"]}),
    ],
)
def test_a_codec_that_is_not_built_in_or_does_not_fit_is_not_run(tmp_path, codec):
    path = write(tmp_path / "a.golfreg", dataclasses.replace(HEADER, codec=codec))
    done = golfreg(path, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["attribution"] == "size"
    assert "split by size" in done.stderr


def test_a_small_file_that_claims_much_is_not_decoded(tmp_path):
    layouts = [Layout("w", "codes", "qkv", (1 << 29,), "int8", "", (-1, 1))]
    path = tmp_path / "a.golfreg"
    path.write_bytes(write_container(HEADER, layouts, [Stream((0,), bytes(40_000))], {}))
    done = golfreg(path, "--json")
    assert json.loads(done.stdout)["attribution"] == "size"
    assert "536,870,912 bytes decoded" in done.stderr


@pytest.mark.parametrize("content", [None, b"", b"\x89GOLFREG", b"text\n" * 100])
def test_what_is_no_artifact_is_an_error_with_its_path(tmp_path, content):
    path = tmp_path / "broken"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match="broken"):
        read_container(path)
    done = golfreg(path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "broken" in done.stderr


def test_the_plot_is_written_beside_what_is_printed(tmp_path):
    path = write(tmp_path / "a.golfreg")
    done = golfreg(path, "--plot", tmp_path / "bytes.svg", "--alone")
    assert done.returncode == 0, done.stderr
    assert "alone" in done.stdout
    assert "~ qkv.q" in (tmp_path / "bytes.svg").read_text()
    refused = golfreg(path, "--plot", tmp_path / "bytes.pdf")
    assert refused.returncode == 2
    assert (refused.stdout, "Traceback" in refused.stderr) == ("", False)
