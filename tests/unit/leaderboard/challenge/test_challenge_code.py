import base64
import bz2
import lzma
import os
import zlib

import pytest

from golfreg.leaderboard.challenge import unpack
from golfreg.leaderboard.challenge.code import read_code
from golfreg.leaderboard.challenge.files import list_files

SOURCE = "import os\nimport helper\n" + "".join(f"def f{n}(x):\n    return x * {n * 7919}\n\n" for n in range(80))


def runner(data, decode="b85decode", encode=base64.b85encode):
    return f'import base64 as B,zlib\nexec(zlib.decompress(B.{decode}("{encode(data).decode()}")))\n'.encode()


def code_of(tmp_path, **files):
    for name, content in files.items():
        path = tmp_path / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_code(list_files(tmp_path))


@pytest.mark.parametrize(
    ("method", "data"),
    [
        ("base85 + lzma", lzma.compress(SOURCE.encode())),
        ("base85 + lzma", lzma.compress(SOURCE.encode(), lzma.FORMAT_ALONE)),
        (
            "base85 + raw lzma",
            lzma.compress(SOURCE.encode(), lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2, "preset": 9}]),
        ),
        ("base85 + zlib", zlib.compress(SOURCE.encode(), 9)),
        ("base85 + bz2", bz2.compress(SOURCE.encode())),
    ],
)
def test_packed_code_is_unpacked_without_being_run(method, data):
    assert unpack.layers(runner(data)) == [(method, SOURCE.encode())]


def test_base64_and_brotli_are_unpacked():
    brotli = pytest.importorskip("brotli")
    packed = runner(brotli.compress(SOURCE.encode()), "b64decode", base64.b64encode)
    assert unpack.layers(packed) == [("base64 + brotli", SOURCE.encode())]


def test_code_that_is_packed_twice_is_unpacked_twice():
    noise = base64.b85encode(os.urandom(3000)).decode()
    inner = runner(zlib.compress((SOURCE + f"# {noise}\n").encode(), 9))
    found = unpack.layers(runner(zlib.compress(inner, 9)))
    assert [method for method, _ in found] == ["base85 + zlib", "base85 + zlib"]


def test_a_bomb_is_refused_at_the_bound():
    bomb = runner(zlib.compress(b"import os\n" + b"#" * (unpack.MAX_SOURCE_BYTES * 2), 9))
    assert len(bomb) < 200_000
    with pytest.raises(unpack.TooLarge):
        unpack.layers(bomb)


def test_packed_code_that_would_delete_files_is_only_read(tmp_path):
    witness = tmp_path / "witness"
    witness.write_text("here")
    evil = f"import os\nos.remove({str(witness)!r})\n" + SOURCE
    code = code_of(tmp_path, train_gpt_dot_py=runner(zlib.compress(evil.encode(), 9)))
    assert witness.exists()
    assert code.counted["plain"] == len(evil.encode())


def test_each_way_of_counting_has_its_bytes(tmp_path):
    packed = runner(zlib.compress(SOURCE.encode(), 9))
    code = code_of(
        tmp_path,
        train_gpt_dot_py=packed,
        helper_dot_py="import more\nKERNEL = 'csrc/k.cu'\n",
        more_dot_py="x = 1\n",
        csrc__k_dot_cu="__global__ void k() {}\n",
        unused_dot_py="y = 2\n",
    )
    assert list(code.helpers) == ["csrc/k.cu", "helper.py", "more.py"]
    assert code.layers == ("base85 + zlib",)
    assert code.counted["shipped"] == len(packed)
    assert code.counted["plain"] == len(SOURCE.encode())
    assert code.counted["with_helpers"] == len(packed) + sum(code.helpers.values())
    assert code.counted["packed"] < code.counted["plain"]
    assert not code.stub


def test_a_stub_that_runs_another_file_is_known(tmp_path):
    stub = 'exec(open(__file__.replace("train_gpt.py","train_gpt_decode.py")).read())'
    code = code_of(tmp_path, train_gpt_dot_py=stub, train_gpt_decode_dot_py=SOURCE)
    assert code.stub
    assert code.helpers == {"train_gpt_decode.py": len(SOURCE.encode())}


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("", "is empty"),
        (" \n", "is empty"),
        ("def f(:\n", "does not compile"),
        ("return 1\n", "does not compile"),
        ("(" * 5000, "does not compile"),
        (b"\x00\x01", "does not compile"),
        (b"x = '\xff'\n", "does not compile"),
        ("-" * 200_000 + "1\n", "does not compile"),
    ],
)
def test_a_script_that_cannot_run_is_a_problem(tmp_path, script, says):
    code = code_of(tmp_path, train_gpt_dot_py=script)
    assert len(code.problems) == 1
    assert says in code.problems[0]


def test_a_broken_payload_is_a_problem_too(tmp_path):
    code = code_of(tmp_path, train_gpt_dot_py=runner(zlib.compress(("import os\n" + "def f(:\n" * 400).encode() +
                                                                   os.urandom(2000).hex().encode(), 9)))  # fmt: skip
    assert "does not compile" in code.problems[0]


def test_a_huge_script_is_not_read(tmp_path):
    code = code_of(tmp_path, train_gpt_dot_py=b"#" * (5 << 20))
    assert code.problems == ("`train_gpt.py` has over 4,194,304 bytes",)


def test_the_script_with_the_counted_bytes_is_the_script(tmp_path):
    (tmp_path / "train_gpt.py").write_text("x = 1\n")
    (tmp_path / "train_gpt_gdn.py").write_text("x = 1000\n")
    files = list_files(tmp_path)
    assert read_code(files).script == "train_gpt.py"
    assert read_code(files, 9).script == "train_gpt_gdn.py"


def test_links_lead_nowhere(tmp_path):
    (tmp_path / "secret").write_text("s")
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "train_gpt.py").symlink_to(tmp_path / "secret")
    (folder / "logs").symlink_to(tmp_path)
    os.mkfifo(folder / "train.log")
    files = list_files(folder)
    assert files.sizes == {}
    assert len(files.problems) == 3
    assert read_code(files).script == ""
