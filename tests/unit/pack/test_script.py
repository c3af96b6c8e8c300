"""The code as one script: it is read back without running it, it runs as Python, malformed ones are refused."""

from __future__ import annotations

import ast
import base64
import bz2
import hashlib
import random
import subprocess
import sys
import zlib

import pytest

from golfreg.api import InputError
from golfreg.pack import container
from golfreg.pack.container import read_container, write_container
from golfreg.pack.script import packed_script, plain_script, script_size, script_sources, unpacked_script
from golfreg.pack.script_settings import script_settings

HOSTILE_TEXT = "a = '''three''' + \"\"\"more\"\"\"\nb = 'back\\\\slash \\\\n'\nc = \"it's\"\nd = 'é \\r'\ne = '\\\\'\n"
FILES = {
    "made_up/__init__.py": "",
    "made_up/texts.py": HOSTILE_TEXT,
    "golfreg/__init__.py": "",
    "golfreg/runner/__init__.py": "",
    "golfreg/runner/script.py": (
        "import sys\nfrom made_up import texts\n"
        "def main(file, settings):\n    import inspect\n"
        "    assert inspect.getsource(main).startswith('def main(')\n"
        "    try:\n        import golfreg.api\n    except ModuleNotFoundError as error:\n        print(error)\n"
        "    print(texts.a, texts.b, texts.c, repr(texts.d), texts.e, settings['seed'], file)\n"
    ),
}


@pytest.fixture
def header_and_parts(job):
    from golfreg.pack import quantize
    from golfreg.pack.encode import encode
    from golfreg.pack.sections import load_sections

    quantize.run(job)
    header, sections = load_sections(job.run_dir / "sections.bin")
    return header, [s.layout for s in sections], encode(job.plan, sections)


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
def test_a_script_serves_its_sources_and_no_others_of_their_packages(tmp_path, packed):
    plain = plain_script(FILES, {"seed": 7})
    path = tmp_path / "train_gpt.py"
    path.write_bytes(packed_script(plain) if packed else plain.encode())
    done = subprocess.run([sys.executable, "-W", "error", str(path)], capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    expected = {}
    exec(HOSTILE_TEXT, expected)
    first, second = done.stdout.split("\n", 1)
    assert first == "golfreg.api is not in this file"
    values = [expected["a"], expected["b"], expected["c"], repr(expected["d"]), expected["e"], 7, path]
    assert second == " ".join(map(str, values)) + "\n"


def test_both_forms_are_python_in_utf8_and_equal_values_give_equal_bytes():
    plain = plain_script(FILES, {"seed": 7})
    packed = packed_script(plain)
    ast.parse(plain)
    ast.parse(packed.decode("ascii"))
    assert packed_script(plain_script(dict(reversed(FILES.items())), {"seed": 7})) == packed
    assert script_sources(unpacked_script(packed, len(plain.encode()))) == FILES
    assert script_size(packed) == len(plain.encode())


def test_an_artifact_holds_a_script_as_its_code_and_counts_its_bytes(header_and_parts):
    packed = packed_script(plain_script(FILES, {}))
    data = write_container(*header_and_parts, packed)
    read = read_container(data)
    assert read.code == FILES
    assert read.script == packed
    assert read.code_bytes == len(packed)
    assert read_container(data, with_code=False).code == {}
    alone = write_container(*header_and_parts, b"")
    assert read_container(alone).code == {}
    assert len(alone) + len(packed) == len(data)


def test_sources_in_an_archive_are_no_script(header_and_parts):
    assert read_container(write_container(*header_and_parts, FILES)).script == b""


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"print(1)\n", "0 base85 texts"),
        (b'b85decode("abc")b85decode("abc")', "2 base85 texts"),
        (b'b85decode("~")', "does not decode"),
        (b'b85decode("' + base64.b85encode(b"no bzip2 at all") + b'")', "does not decode"),
        (packed_script("no sources here\n"), "no sources"),
        (packed_script("\nSOURCES = {\n"), "malformed"),
        (packed_script("\nSOURCES = {\n\"a.py\": '''x"), "malformed"),
        (packed_script("\nSOURCES = {\n\"../a.py\": '''x\n''',\n}\n"), "not the path of a module"),
        (packed_script("\nSOURCES = {\n\"a.py\": '''x\n''',\n\"a.py\": '''x\n''',\n}\n"), "twice"),
        (b'b85decode("' + base64.b85encode(bz2.compress(b"\xff\xfe")) + b'")', "does not decode"),
    ],
)
def test_a_malformed_script_is_refused(text, says):
    with pytest.raises(InputError, match=says):
        script_sources(unpacked_script(text, script_size(text)))


def test_a_script_that_claims_another_size_is_refused():
    packed = packed_script(plain_script(FILES, {}))
    size = script_size(packed)
    for claim in (0, size - 1, size + 1, 1 << 40):
        with pytest.raises(InputError, match="no script that golfreg made"):
            unpacked_script(packed, claim)


def test_a_bomb_is_not_inflated():
    packed = b'b85decode("' + base64.b85encode(bz2.compress(bytes(1 << 26))) + b'")'
    size = script_size(packed)
    assert size == (1 << 25) + 1
    with pytest.raises(InputError, match="claims 33,554,433 bytes"):
        unpacked_script(packed, size)


def test_resealed_mutants_of_a_script_are_refused_or_read_without_harm(header_and_parts):
    data = write_container(*header_and_parts, packed_script(plain_script(FILES, {"seed": 7})))
    read = read_container(data)
    draw = random.Random(0)
    refused = 0
    for _ in range(400):
        code = bytearray(read.script)
        for _ in range(draw.randint(1, 3)):
            at = draw.randrange(len(code))
            match draw.randrange(3):
                case 0:
                    code[at] = draw.randrange(256)
                case 1:
                    del code[at : at + draw.randint(1, 9)]
                case 2:
                    code[at:at] = draw.randbytes(draw.randint(1, 9))
        try:
            assert isinstance(read_container(resealed(data, read, bytes(code))).code, dict)
        except InputError:
            refused += 1
    assert refused > 300


def resealed(data, read, code):
    """The artifact with another code section and checksums that agree with it."""
    head = data[container._PREFIX.size : read.header_bytes]
    streams = data[read.header_bytes + read.code_bytes :]
    numbers = list(container._PREFIX.unpack_from(data)[2:-2])
    numbers[3], numbers[5] = len(code), zlib.crc32(code)
    prefix = container._PREFIX.pack(container.MAGIC, 1, *numbers, len(streams), bytes(32))[:-32]
    body = head + code + streams
    return prefix + hashlib.sha256(prefix + body).digest() + body


def test_settings_are_those_of_every_seed_and_every_machine(job, with_plan):
    import dataclasses

    plan = job.plan
    other = dataclasses.replace(
        plan,
        spec=dataclasses.replace(plan.spec, seed=plan.spec.seed + 1),
        dataset="/elsewhere",
        spec_digest="1" * 64,
        threads=64,
        corpus=dataclasses.replace(plan.corpus, argument="/home/somebody/data"),
    )
    one, two = (plain_script(FILES, script_settings(p, 5)) for p in (plan, other))
    assert one == two
    assert "somebody" not in two
