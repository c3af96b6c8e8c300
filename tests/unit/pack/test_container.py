"""The artifact's container: what is written is read back; what is damaged or hostile is refused with its place."""

import dataclasses
import hashlib
import json
import tracemalloc
import zlib

import numpy as np
import pytest

from golfreg.api import InputError, Layout, Section
from golfreg.builtin.codecs.standard import LzmaConfig, lzma_codec
from golfreg.config.plan import Chosen
from golfreg.pack import archive, container
from golfreg.pack.archive import extract_code
from golfreg.pack.container import read_container, write_container
from golfreg.pack.header import Header, StreamEntry, header_json, parse_header

CODE = {"tiny/__init__.py": "", "tiny/net.py": "x = 'é'\n", "lone.py": "y = 1\n"}


def chosen(kind, name="tiny", **config):
    return Chosen(kind, name, f"tiny.{name}:target", "", "", "", config)


HEADER = Header(
    architecture=chosen("architecture", width=16, rates=[0.5, 1.0]),
    quantizer=chosen("quantizer", overrides={"qkv": 5}),
    codec=Chosen("codec", "lzma", "golfreg.builtin.codecs.standard:lzma_codec", "", "", ""),
    vocab_size=256,
    sequence_length=64,
    bos_id=1,
    mixers={"attention": chosen("mixer", "attention")},
)


def sections():
    rng = np.random.default_rng(0)
    return [
        Section(Layout("w", "codes", "qkv", (8, 16), "int8", "q", (-31, 31)), rng.integers(-31, 32, (8, 16), np.int8)),
        Section(Layout("w", "scale", "qkv", (8,), "float16", "q"), rng.random(8).astype(np.float16)),
        Section(Layout("w", "codes", "qkv", (4, 16), "int8", "k", (-31, 31)), rng.integers(-31, 32, (4, 16), np.int8)),
        Section(Layout("w", "scale", "qkv", (4,), "float16", "k"), rng.random(4).astype(np.float16)),
        Section(Layout("gain", "raw", "scalar", (), "float32"), np.array(2.5, np.float32)),
    ]


def artifact(header=HEADER, code=CODE):
    given = sections()
    return write_container(header, [s.layout for s in given], lzma_codec.encode(given, LzmaConfig()), code)


def with_header(change):
    """An artifact with valid checksums whose header JSON went through ``change``."""
    given = sections()
    streams = lzma_codec.encode(given, LzmaConfig())
    entries = [StreamEntry(s.sections, len(s.data), zlib.crc32(s.data)) for s in streams]
    value = json.loads(header_json(HEADER, [s.layout for s in given], entries))
    text = change(value)
    return assemble((text if isinstance(text, str) else json.dumps(value)).encode(), [s.data for s in streams])


def assemble(head, streams, code=None, **claims):
    """A container with consistent checksums around any header and code."""
    code = archive.encode_archive(CODE) if code is None else code
    parts = [archive.compress_text(head), archive.compress_text(code)]
    numbers = [len(parts[0]), len(head), zlib.crc32(parts[0]), len(parts[1]), len(code), zlib.crc32(parts[1])]
    names = ["head_bytes", "head_size", "head_crc", "code_bytes", "code_size", "code_crc"]
    numbers = [claims.get(n, v) for n, v in zip(names, numbers, strict=True)]
    prefix = container._PREFIX.pack(container.MAGIC, 1, *numbers, sum(map(len, streams)), bytes(32))[:-32]
    body = b"".join([*parts, *streams])
    return prefix + hashlib.sha256(prefix + body).digest() + body


def test_what_is_written_is_read_back():
    data = artifact()
    read = read_container(data)
    assert read.header == HEADER
    assert list(read.layouts) == [s.layout for s in sections()]
    assert read.code == CODE
    arrays = lzma_codec.decode(read.streams, read.layouts, LzmaConfig())
    for section, array in zip(sections(), arrays, strict=True):
        np.testing.assert_array_equal(section.data, array)
    assert read.header_bytes + read.code_bytes + sum(len(s.data) for s in read.streams) == read.total_bytes == len(data)


def test_equal_values_give_equal_bytes():
    reordered = dict(reversed(CODE.items()))
    assert artifact() == artifact(code=reordered)


def test_a_file_is_read_as_bytes_are(tmp_path):
    path = tmp_path / "a.golfreg"
    path.write_bytes(artifact())
    assert read_container(path) == read_container(artifact())


def test_every_flipped_bit_is_found():
    data = artifact()
    for at in range(len(data)):
        flipped = bytearray(data)
        flipped[at] ^= 1 << (at % 8)
        with pytest.raises(InputError):
            read_container(bytes(flipped))


def test_damage_is_reported_with_its_place():
    data = bytearray(artifact())
    read = read_container(bytes(data))
    places = {
        "header": container._PREFIX.size + 5,
        "code": read.header_bytes + 5,
        "stream 0 (`w`": read.header_bytes + read.code_bytes + 5,
        "prefix or a checksum": container._PREFIX.size - 3,
    }
    for name, at in places.items():
        damaged = data.copy()
        damaged[at] ^= 16
        with pytest.raises(InputError) as caught:
            read_container(bytes(damaged))
        assert name in caught.value.message


def test_every_truncation_and_any_extension_is_refused():
    data = artifact()
    for size in range(len(data)):
        with pytest.raises(InputError):
            read_container(data[:size])
    with pytest.raises(InputError, match="followed by other bytes"):
        read_container(data + b"\0")


def test_a_newer_format_is_named():
    data = bytearray(artifact())
    data[8] = 2
    with pytest.raises(InputError, match="format 2; this golfreg reads format 1") as caught:
        read_container(bytes(data))
    assert "newer" in caught.value.hint


@pytest.mark.parametrize("make", ["missing", "directory", "empty", "text"])
def test_what_is_no_artifact_is_refused_with_its_path(tmp_path, make):
    path = tmp_path / "x"
    if make == "directory":
        path.mkdir()
    elif make != "missing":
        path.write_bytes(b"" if make == "empty" else b"not an artifact at all, but long enough to be one" * 5)
    with pytest.raises(InputError, match=r"`.*x`: "):
        read_container(path)


def set_key(key, value):
    return lambda header: header.__setitem__(key, value)


def set_layout(column, value, row=0):
    return lambda header: header["layouts"][row].__setitem__(column, value)


HOSTILE = {
    "unknown key": set_key("extra", 1),
    "missing key": lambda header: header.pop("dtype"),
    "list for object": lambda header: "[]",
    "number for object": set_key("mixers", 3),
    "nested type": set_key("architecture", {"name": "x"}),
    "target with a path": set_key("codec", ["x", "../../etc:passwd", {}]),
    "target without attribute": set_key("codec", ["x", "os", {}]),
    "config that is a list": set_key("codec", ["x", "a.b:c", []]),
    "deep config": set_key("codec", ["x", "a.b:c", {"a": json.loads("[" * 50 + "]" * 50)}]),
    "very deep": lambda header: "[" * 200_000,
    "huge integer": set_key("vocab_size", 10**30),
    "true for a number": set_key("vocab_size", True),
    "float for a number": set_key("sequence_length", 64.0),
    "zero vocabulary": set_key("vocab_size", 0),
    "bos outside": set_key("bos_id", 256),
    "infinite": lambda header: json.dumps(header).replace("0.5", "1e999"),
    "NaN": lambda header: json.dumps(header).replace("0.5", "NaN"),
    "key twice": lambda header: json.dumps(header)[:-1] + ',"dtype":"float32"}',
    "many digits": lambda header: json.dumps(header).replace("256", "9" * 5000),
    "negative dimension": set_layout(5, [-8, 16]),
    "dimension that is text": set_layout(5, ["8", 16]),
    "too many dimensions": set_layout(5, [1] * 9),
    "shape of nothing that numpy cannot hold": set_layout(5, [0, 2**50, 2**50]),
    "huge shape": set_layout(5, [2**35, 1]),
    "unknown dtype": set_layout(4, "object"),
    "codes that are floats": set_layout(4, "float32"),
    "unknown part": set_layout(2, "pickle"),
    "alphabet outside the type": set_layout(6, [-129, 31]),
    "alphabet upside down": set_layout(6, [31, -31]),
    "alphabet missing": set_layout(6, None),
    "alphabet of a scale": set_layout(6, [0, 1], row=1),
    "control characters": set_layout(0, "w\x1b[31m"),
    "surrogate": set_layout(0, "w\ud800"),
    "long name": set_layout(0, "w" * 1000),
    "empty name": set_layout(0, ""),
    "two of one section": lambda header: header["layouts"][2].__setitem__(1, "q"),
    "section in two streams": lambda header: header["streams"][1][0].append(0),
    "section in no stream": lambda header: header["streams"][0][0].pop(),
    "section that does not exist": lambda header: header["streams"][0][0].append(99),
    "stream without sections": lambda header: header["streams"].append([[], 0, 0]),
    "streams that overlap": lambda header: header["streams"][0].__setitem__(1, header["streams"][0][1] + 1),
    "negative stream": lambda header: header["streams"][0].__setitem__(1, -1),
    "stream that is text": lambda header: header["streams"].append("x"),
    "not UTF-8": None,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_header_is_refused_though_its_checksums_are_right(name):
    data = with_header(HOSTILE[name]) if HOSTILE[name] else assemble(b"\xff{}", [])
    with pytest.raises(InputError) as caught:
        read_container(data)
    assert len(caught.value.message) < 400
    assert caught.value.message.isprintable()


def test_the_unchanged_header_of_these_tests_is_accepted():
    assert read_container(with_header(lambda header: None)).header == HEADER


def test_claimed_sizes_are_checked_before_anything_is_allocated():
    data = with_header(set_layout(5, [2**36, 1]))
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="claims 68,719,4"):
            read_container(data)
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


def test_the_memory_limit_is_the_callers():
    assert read_container(artifact(), max_decoded_bytes=1000).total_bytes
    with pytest.raises(InputError, match="claims 2"):
        read_container(artifact(), max_decoded_bytes=100)


@pytest.mark.parametrize(
    "claims", [{"head_size": 2**31}, {"code_size": 2**31}, {"head_size": 7}, {"code_size": 10_000}]
)
def test_bombs_and_wrong_sizes_in_the_prefix_are_refused(claims):
    head = header_json(HEADER, [], [])
    with pytest.raises(InputError):
        read_container(assemble(head, [], **claims))


def test_a_header_bomb_is_not_inflated():
    bomb = bytes(10_000_000)
    tracemalloc.start()
    data = assemble(b"{}", [])
    small = assemble(bomb, [], head_size=1000)
    tracemalloc.reset_peak()
    try:
        with pytest.raises(InputError, match="more than the 1,000 bytes"):
            read_container(small)
        assert tracemalloc.get_traced_memory()[1] - tracemalloc.get_traced_memory()[0] < 2_000_000
    finally:
        tracemalloc.stop()
    with pytest.raises(InputError):
        read_container(data)


BAD_PATHS = [
    "../evil.py", "/etc/evil.py", "a/../../evil.py", "a\\b.py", "a//b.py", "evil.so", "a/.py", "a b.py", "a.py/",
    "é.py", "a\n.py", "C:evil.py", "x" * 300 + ".py", "", ".py", "a.b.py",
]  # fmt: skip


@pytest.mark.parametrize("path", BAD_PATHS)
def test_a_code_path_that_is_no_module_is_neither_written_nor_read_nor_extracted(path, tmp_path):
    with pytest.raises(InputError):
        artifact(code={path: "x"})
    body = json.dumps([[path, 1]]).encode() + b"\nx"
    with pytest.raises(InputError, match="not the path of a module"):
        read_container(assemble(header_json(HEADER, [], []), [], body))
    with pytest.raises(InputError):
        extract_code({path: "x"}, tmp_path / "deep" / "code")
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


@pytest.mark.parametrize(
    "code",
    [
        b"", b"[]", b"{}\n", b"[1]\n", b'[["a.py",2]]\nx', b'[["a.py",-1]]\nx', b'[["a.py",true]]\nx',
        b'[["a.py",0]]\nx', b'[["a.py",1],["a.py",1]]\nxy', b'[["a.py",1]]\n\xff', b"[" * 100_000 + b"\n",
        b'[["a.py",1.0]]\nx',
    ],
)  # fmt: skip
def test_a_hostile_code_archive_is_refused(code):
    with pytest.raises(InputError, match="code archive"):
        read_container(assemble(header_json(HEADER, [], []), [], code))


def test_extracted_code_is_what_was_packed_and_overwrites_nothing(tmp_path):
    extract_code(read_container(artifact()).code, tmp_path / "code")
    for path, source in CODE.items():
        assert (tmp_path / "code" / path).read_text("utf-8") == source
    with pytest.raises(FileExistsError):
        extract_code(CODE, tmp_path / "code")


def test_what_could_not_be_read_back_is_not_written():
    wrong = dataclasses.replace(HEADER, architecture=chosen("architecture", rate=float("nan")))
    with pytest.raises(InputError, match="cannot be stored"):
        artifact(wrong)
    with pytest.raises(InputError, match="cannot be stored"):
        artifact(dataclasses.replace(HEADER, codec=chosen("codec", path=object())))
    with pytest.raises(InputError, match="two codes sections"):
        write_container(HEADER, [sections()[0].layout] * 2, lzma_codec.encode(sections()[:1] * 2, LzmaConfig()), {})


def test_a_header_survives_its_own_json():
    layouts = [s.layout for s in sections()]
    entries = [StreamEntry((0, 2), 5, 7), StreamEntry((1, 3, 4), 0, 0)]
    header, read_layouts, read_entries = parse_header(header_json(HEADER, layouts, entries))
    assert (header, list(read_layouts), list(read_entries)) == (HEADER, layouts, entries)
