"""JSON lines: plain, xz or gzip; any damage is an error that names the file and the line."""

import gzip
import json
import lzma

import pytest

from golfreg.api import ConfigError, InputError
from golfreg.builtin.corpora import jsonl as module
from golfreg.builtin.corpora.jsonl import jsonl, parse_argument

TEXTS = [f"document {i}\nwith naïve text" for i in range(400)]
LINES = "".join(json.dumps({"text": text, "n": 1}) + "\n" for text in TEXTS).encode()


def read(path, cache=None):
    return list(jsonl.load(f"{path};validation={path}", cache).train())


@pytest.mark.parametrize(
    ("name", "pack"), [("a.jsonl", bytes), ("a.jsonl.xz", lzma.compress), ("a.gz", gzip.compress), ("a", lzma.compress)]
)
def test_plain_and_compressed_files_hold_the_same_documents(tmp_path, name, pack):
    path = tmp_path / name
    path.write_bytes(pack(LINES))
    assert read(path) == TEXTS


def test_one_document_in_about_twenty_is_for_validation_wherever_it_stands(tmp_path):
    first, second = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    first.write_bytes(LINES)
    second.write_bytes(b"".join(reversed(LINES.splitlines(keepends=True))))
    a, b = jsonl.load(str(first), tmp_path), jsonl.load(str(second), tmp_path)
    assert sorted([*a.train(), *a.validation()]) == sorted(TEXTS)
    assert 8 <= len(list(a.validation())) <= 40
    assert set(a.validation()) == set(b.validation())
    assert a.fingerprint != b.fingerprint
    assert list(a.train()) == list(a.train())


def test_several_files_and_a_validation_file(tmp_path):
    for name in ("a", "b", "v"):
        (tmp_path / name).write_text(json.dumps({"text": name}))
    corpus = jsonl.load(f"{tmp_path}/a,{tmp_path}/b;validation={tmp_path}/v", tmp_path)
    assert (list(corpus.train()), list(corpus.validation())) == (["a", "b"], ["v"])
    assert corpus.notes == {"files": "a, b", "validation_files": "v"}


def test_a_path_with_a_comma_or_a_semicolon_works_where_it_exists(tmp_path):
    path = tmp_path / "a,b;c=d.jsonl"
    path.write_bytes(LINES)
    assert parse_argument(str(path)) == ([path], [])


def test_a_byte_order_mark_and_blank_lines_are_passed_over(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"text": "one"}\r\n\n  \n{"text": "two"}')
    assert read(path) == ["one", "two"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"{", r"line 2 of .*a\.jsonl` is not JSON"),
        (b'{"text": "\xff"}', r"line 2 of .*` is not UTF-8: byte 10 is 0xff"),
        (b'{"txt": "x"}', "line 2 of .*` has no `text`"),
        (b'{"text": 3}', "line 2 of .*` has no `text`"),
        (b'["text"]', "line 2 of .*` has no `text`"),
        (b'"text"', "line 2 of .*` has no `text`"),
        (b'{"text": "\\ud800"}', "line 2 of .*half of a surrogate pair at character 0"),
        (b"[" * 100_000, "line 2 of .*is not JSON"),
        (b'{"text": ' + b"9" * 5000 + b"}", "line 2 of .*is not JSON"),
        (b'{"text": "a', "line 2 of .*is not JSON"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, message):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"text": "good"}\n' + line + b"\n")
    with pytest.raises(InputError, match=message):
        read(path)


def test_a_huge_line_is_an_error_and_is_not_read_as_a_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_LINE_BYTES", 1000)
    path = tmp_path / "a.xz"
    path.write_bytes(lzma.compress(b'{"text": "good"}\n{"text": "' + b"x" * 5_000_000))
    with pytest.raises(InputError, match="line 2 of .* is longer than 1,000 bytes"):
        read(path)


@pytest.mark.parametrize("pack", [lzma.compress, gzip.compress])
def test_a_truncated_or_damaged_archive_is_named(tmp_path, pack):
    path = tmp_path / "a.packed"
    data = pack(LINES * 10)
    damaged = bytearray(data)
    damaged[len(data) // 2] ^= 0xFF
    for content in (data[:-20], data[: len(data) // 2], data[:14], bytes(damaged)):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"a\.packed` is cut short or damaged after line|is not JSON"):
            read(path)


def test_an_empty_file_has_no_documents(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"")
    assert read(path) == []


@pytest.mark.parametrize(
    ("argument", "error", "message"),
    [
        (None, ConfigError, "needs a file"),
        ("", ConfigError, "needs a file"),
        ("/no/such", InputError, "there is no file `/no/such`"),
        ("a;val=b", ConfigError, "does not know `val=b`"),
        ("{ok};validation=", InputError, "there is no file"),
        ("{ok},", InputError, "there is no file"),
        (";validation={ok}", InputError, "there is no file"),
        ("{dir}", InputError, "there is no file"),
        ("{ok}\0", InputError, "there is no file"),
    ],
)
def test_a_wrong_argument_says_what_to_write(tmp_path, argument, error, message):
    ok = tmp_path / "ok.jsonl"
    ok.write_bytes(LINES)
    if argument is not None:
        argument = argument.replace("{ok}", str(ok)).replace("{dir}", str(tmp_path))
    with pytest.raises(error, match=message) as caught:
        jsonl.load(argument, tmp_path)
    assert "jsonl:PATH" in caught.value.hint
