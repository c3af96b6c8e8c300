"""The standard library's compressors as codecs: lossless, bounded, and refusing what is damaged."""

import tracemalloc
import zlib

import numpy as np
import pytest

from golfreg.api import ConfigError, InputError, Layout, Section, Stream
from golfreg.api.values import STORAGE_DTYPE
from golfreg.builtin.codecs import standard
from golfreg.builtin.codecs.standard import LzmaConfig, ZlibConfig

CODECS = {name: getattr(standard, f"{name}_codec") for name in ("lzma", "zlib", "bz2", "none")}
each_codec = pytest.mark.parametrize("name", CODECS)


def gaussian_int6(rows, columns, clip=6.0, seed=0):
    rng = np.random.default_rng(seed)
    weight = rng.standard_normal((rows, columns)) * np.exp(0.3 * rng.standard_normal((1, columns)))
    scale = clip * np.sqrt((weight**2).mean(1, keepdims=True)) / 31
    return np.clip(np.round(weight / scale), -31, 31).astype(np.int8)


def sections():
    rng = np.random.default_rng(1)
    layouts = [
        Layout("a", "codes", "qkv", (16, 32), "int8", alphabet=(-31, 31)),
        Layout("a", "scale", "qkv", (16,), "float16"),
        Layout("b", "codes", "qkv", (8, 32), "int8", alphabet=(-31, 31)),
        Layout("c", "codes", "out", (4, 5, 6), "int16", alphabet=(-1000, 1000)),
        Layout("d", "raw", "scalar", (), "float32"),
        Layout("e", "raw", "scalar", (0, 3), "bfloat16"),
        Layout("f", "raw", "scalar", (7,), "uint8"),
    ]
    return [Section(y, rng.integers(0, 100, y.shape).astype(STORAGE_DTYPE[y.dtype])) for y in layouts]


@each_codec
def test_sections_come_back_bit_for_bit(name):
    codec, config, given = CODECS[name], CODECS[name].Config(), sections()
    streams = codec.encode(given, config)
    arrays = codec.decode(streams, [s.layout for s in given], config)
    for section, array in zip(given, arrays, strict=True):
        assert array.dtype == section.data.dtype
        np.testing.assert_array_equal(array, section.data)


def test_sections_with_the_same_statistics_share_a_stream():
    assert CODECS["lzma"].encode(sections(), LzmaConfig())[0].sections == (0, 2)


@each_codec
def test_no_bytes_at_all_is_a_stream_too(name):
    codec, config = CODECS[name], CODECS[name].Config()
    assert codec.decompress(codec.compress(b"", config), 0, config) == b""


@each_codec
@pytest.mark.parametrize("damage", ["short", "trailing", "longer", "shorter", "noise", "empty"])
def test_damaged_data_is_refused(name, damage):
    codec, config = CODECS[name], CODECS[name].Config()
    data = gaussian_int6(16, 64).tobytes()
    coded = codec.compress(data, config)
    size = len(data)
    bad = {
        "short": coded[:-20], "trailing": coded + b"\0", "longer": codec.compress(data + b"x", config),
        "shorter": codec.compress(data[:-1], config), "noise": b"\xff" * 100, "empty": b"",
    }[damage]  # fmt: skip
    with pytest.raises(InputError):
        codec.decompress(bad, size, config)


@pytest.mark.parametrize("name", ["lzma", "zlib", "bz2"])
def test_a_bomb_allocates_no_more_than_the_layouts_say(name):
    codec, config = CODECS[name], CODECS[name].Config()
    bomb = codec.compress(bytes(50_000_000), config)
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match="more than the 1,000 bytes"):
            codec.decompress(bomb, 1000, config)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "streams",
    [
        [], [Stream((0,), b"ab")], [Stream((0, 1), b"abcd"), Stream((1,), b"cd")], [Stream((0, 2), b"abcd")],
        [Stream((0,), b"ab"), Stream((-1,), b"cd")], [Stream((0, 1), b"abcd"), Stream((), b"")],
    ],
)  # fmt: skip
def test_streams_that_do_not_hold_each_section_once_are_refused(streams):
    layouts = [Layout(n, "raw", "scalar", (2,), "uint8") for n in "ab"]
    with pytest.raises(InputError):
        CODECS["none"].decode(streams, layouts, None)


def test_data_unlike_its_layout_is_refused():
    section = Section(Layout("w", "raw", "scalar", (3,), "float32"), np.zeros(2, np.float32))
    with pytest.raises(InputError, match="`w`"):
        CODECS["none"].encode([section], None)


@pytest.mark.parametrize(
    ("make", "settings"),
    [
        (LzmaConfig, {"lc": 3, "lp": 2}), (LzmaConfig, {"dict_size": 1 << 32}), (LzmaConfig, {"preset": "9"}),
        (ZlibConfig, {"strategy": "rle"}), (ZlibConfig, {"level": True}), (standard.Bz2Config, {"level": 0}),
    ],
)  # fmt: skip
def test_settings_out_of_range_are_refused(make, settings):
    with pytest.raises(ConfigError, match="codec `"):
        make(**settings)


def test_lzma_defaults_are_no_worse_than_the_presets_on_weights():
    data, codec = gaussian_int6(256, 512, clip=12.85).tobytes(), CODECS["lzma"]
    plain = LzmaConfig(lc=3, lp=0, pb=2, dict_size=1 << 26)
    assert len(codec.compress(data, LzmaConfig())) <= len(codec.compress(data, plain))


def test_zlib_chooses_the_strategy_by_size():
    codec = CODECS["zlib"]
    weights, text = gaussian_int6(128, 512).tobytes(), b"the same words again and again; " * 500
    for data in (weights, text):
        sizes = [len(codec.compress(data, ZlibConfig(strategy=s))) for s in ("best", "default", "huffman")]
        assert sizes[0] <= min(sizes[1:])
    assert zlib.decompress(codec.compress(weights, ZlibConfig()), -15) == weights
    assert len(codec.compress(weights, ZlibConfig())) < 0.92 * len(
        codec.compress(weights, ZlibConfig(strategy="default"))
    )


def test_planes_make_float16_scales_smaller():
    rng = np.random.default_rng(3)
    scales = (0.02 * np.exp(0.3 * rng.standard_normal(4096))).astype(np.float16)
    section = Section(Layout("w", "scale", "qkv", scales.shape, "float16"), scales)
    split = len(CODECS["lzma"].encode([section], LzmaConfig())[0].data)
    assert split < 0.92 * len(CODECS["lzma"].compress(scales.tobytes(), LzmaConfig()))
