"""Checks of a codec: exact, deterministic, and calm about damaged and hostile streams."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from golfreg.api import ITEM_BYTES, STORAGE_DTYPE, InputError, Layout, Section, Stream
from golfreg.testing.kit import Subject, check, check_all, expect

_SHAPES = ((0,), (1,), (), (7,), (5, 3), (2, 3, 4), (3, 0, 2), (1, 1, 1, 1), (257,), (64, 33))
_BOMB_BYTES = 8 << 20
_DECODE_PEAK_BYTES = 1 << 20


def check_codec(target: Any, config: Any) -> None:
    """Run every check over a codec that need not be installed."""
    check_all("codec", Subject(target, config))


def sample_sections(seed: int = 0) -> list[Section]:
    """Sections of every dtype and of odd shapes: random, constant, extreme, empty, in row groups, NaN and infinity."""
    rng = np.random.default_rng(seed)
    sections: list[Section] = []

    def add(part: str, shape: tuple[int, ...], dtype: str, data: np.ndarray, **more: Any) -> None:
        layout = Layout(f"t{len(sections)}.weight", part, more.pop("role", "qkv"), shape, dtype, **more)
        array = np.ascontiguousarray(data.reshape(shape).astype(STORAGE_DTYPE[dtype], copy=False)).reshape(shape)
        array.flags.writeable = False
        sections.append(Section(layout, array))

    for shape in _SHAPES:
        size = int(np.prod(shape))
        for dtype in ITEM_BYTES:
            raw = rng.integers(0, 256, size * ITEM_BYTES[dtype], dtype=np.uint8)
            add("raw", shape, dtype, raw.view(STORAGE_DTYPE[dtype]), role="scalar")
        for dtype, low, high in (("int8", -1, 1), ("int8", -31, 31), ("int8", -128, 127), ("uint8", 0, 255)):
            add("codes", shape, dtype, rng.integers(low, high + 1, size), alphabet=(low, high))
        add("codes", shape, "int16", rng.integers(-32768, 32768, size), alphabet=(-32768, 32767))
    for value in (-31, 0, 31):
        add("codes", (40, 9), "int8", np.full(360, value), alphabet=(-31, 31), role="embedding")
    add("codes", (6, 2), "int8", np.zeros(12), alphabet=(0, 0), role="mlp_up")
    for group, rows in (("z", 4), ("dt", 1), ("empty", 0)):
        codes = np.clip(np.round(rng.normal(0, 4, rows * 8)), -31, 31)
        add("codes", (rows, 8), "int8", codes, alphabet=(-31, 31), role="in_proj", group=group)
        add("scale", (rows,), "float16", rng.random(rows), role="in_proj", group=group)
    add("raw", (4,), "float32", np.array([np.nan, np.inf, -np.inf, -0.0], np.float32))
    gaussian = np.clip(np.round(rng.normal(0, 7, 6000)), -31, 31)
    add("codes", (60, 100), "int8", gaussian, alphabet=(-31, 31), role="mlp_down")
    return sections


def layouts_of(sections: Sequence[Section]) -> list[Layout]:
    return [section.layout for section in sections]


@check(
    "codec",
    "`decode` undoes every step of `encode`, for each dtype, empty sections and scalars too; store what it needs "
    "in the stream",
)
def sections_come_back_exactly(subject: Subject) -> None:
    sections = sample_sections()
    for chosen in (sections, sections[::-1], [], *([section] for section in sections)):
        streams = subject.target.encode(list(chosen), subject.config)
        arrays = subject.target.decode(streams, layouts_of(chosen), subject.config)
        expect(len(arrays) == len(chosen), f"{len(chosen)} sections were encoded and {len(arrays)} came back")
        for section, array in zip(chosen, arrays, strict=True):
            what = f"{section.layout}"
            expect(isinstance(array, np.ndarray), f"{what} came back as a {type(array).__name__}")
            expect(array.shape == section.data.shape, f"{what} came back with the shape {array.shape}")
            stored = np.dtype(STORAGE_DTYPE[section.layout.dtype])
            expect(array.dtype.newbyteorder("=") == stored, f"{what} came back as {array.dtype}")
            same = array.astype(stored, copy=False).tobytes() == section.data.tobytes()
            expect(same, f"{what} came back with other values")


@check("codec", "make one `Stream` for each group of sections, with the positions of its sections as a tuple of int")
def streams_hold_each_section_once(subject: Subject) -> None:
    sections = sample_sections()
    streams = subject.target.encode(sections, subject.config)
    expect(all(isinstance(s, Stream) and isinstance(s.data, bytes) for s in streams), "encode returns Streams of bytes")
    held = sorted(i for stream in streams for i in stream.sections)
    expect(held == list(range(len(sections))), f"the streams hold the sections {held[:20]}...")
    expect(all(type(i) is int for s in streams for i in s.sections), "a stream names its sections by int")


@check("codec", "take out what differs between calls: time stamps, unseeded random numbers, the order of a set")
def encoding_twice_gives_the_same_bytes(subject: Subject) -> None:
    first, second = (subject.target.encode(sample_sections(), subject.config) for _ in range(2))
    expect(first == second, "two encodings of the same sections differ")


def _coded(subject: Subject) -> tuple[list[Stream], list[Layout]]:
    rng = np.random.default_rng(1)
    codes = np.clip(np.round(rng.normal(0, 7, (64, 64))), -31, 31).astype(np.int8)
    scales = rng.random(64).astype(np.float16)
    sections = [
        Section(Layout("a.weight", "codes", "qkv", (64, 64), "int8", "", (-31, 31)), codes),
        Section(Layout("a.weight", "scale", "qkv", (64,), "float16"), scales),
    ]
    return list(subject.target.encode(sections, subject.config)), layouts_of(sections)


def _refused(subject: Subject, streams: list[Stream], layouts: list[Layout], what: str, must: bool) -> None:
    """Decoding raises ``InputError``, or, unless it must, gives arrays of the right shapes."""
    try:
        arrays = subject.target.decode(streams, layouts, subject.config)
    except InputError:
        return
    except Exception as error:
        raise AssertionError(f"{what}: raised {type(error).__name__}: {error}; expected an InputError") from error
    expect(not must, f"{what}: decoded without an error; expected an InputError")
    fits = [a.shape for a in arrays] == [layout.shape for layout in layouts]
    expect(fits, f"{what}: decoded to the shapes {[a.shape for a in arrays]}")


@check(
    "codec",
    "check the length that was decoded against the layout; `golfreg.api.codec.read_exactly` does for zlib, lzma, bz2",
)
def a_truncated_stream_raises_input_error(subject: Subject) -> None:
    streams, layouts = _coded(subject)
    for i, stream in enumerate(streams):
        for keep in (0, 1, len(stream.data) // 2, len(stream.data) - 1):
            cut = [*streams[:i], Stream(stream.sections, stream.data[:keep]), *streams[i + 1 :]]
            must = keep <= len(stream.data) // 2
            _refused(subject, cut, layouts, f"a stream of {len(stream.data)} bytes cut to {keep}", must)


@check("codec", "catch the errors of the decompressor and of your own parsing, and raise `InputError` from them")
def a_damaged_stream_raises_input_error_or_fits_its_layout(subject: Subject) -> None:
    streams, layouts = _coded(subject)
    rng = np.random.default_rng(2)
    for i, stream in enumerate(streams):
        for trial in range(60):
            data = bytearray(stream.data)
            position = trial if trial < min(20, len(data)) else int(rng.integers(len(data)))
            data[position] ^= int(rng.integers(1, 256))
            damaged = [*streams[:i], Stream(stream.sections, bytes(data)), *streams[i + 1 :]]
            _refused(subject, damaged, layouts, f"byte {position} of a stream changed", False)
        for length in (1, 10, 1000, 20_000):
            noise = [*streams[:i], Stream(stream.sections, rng.bytes(length)), *streams[i + 1 :]]
            _refused(subject, noise, layouts, f"{length} random bytes for a stream", False)


@check("codec", "before decoding, check that the streams name each position of `layouts` exactly once")
def streams_that_do_not_hold_each_section_once_raise_input_error(subject: Subject) -> None:
    streams, layouts = _coded(subject)
    first = streams[0]
    wrong: dict[str, list[Stream]] = {
        "no streams": [],
        "a stream missing": streams[1:],
        "a stream twice": [*streams, first],
        "a section that does not exist": [Stream((*first.sections[:-1], 99), first.data), *streams[1:]],
        "a negative section": [Stream((-1,), first.data), *streams[1:]],
        "a stream without sections": [*streams, Stream((), first.data)],
        "a huge section number": [Stream((1 << 70,), first.data), *streams[1:]],
    }
    for what, given in wrong.items():
        _refused(subject, given, layouts, what, True)
    _refused(subject, streams, [], "no layouts", True)


@check(
    "codec",
    "give the decompressor a limit (`max_length`), the bytes of the layouts plus one, and refuse what goes over it",
)
def decoding_allocates_no_more_than_the_layouts_say(subject: Subject) -> None:
    """A stream of 8 MiB of zeros, decoded under layouts that say a few bytes."""
    big = Layout("a.weight", "codes", "qkv", (_BOMB_BYTES,), "int8", "", (-31, 31))
    (*streams,) = subject.target.encode([Section(big, np.zeros(_BOMB_BYTES, np.int8))], subject.config)
    small = Layout("a.weight", "codes", "qkv", (16,), "int8", "", (-31, 31))

    def decode() -> None:
        _refused(subject, streams, [small], "a stream that expands to 8 MiB under a layout of 16 bytes", False)

    peak = peak_bytes(decode)
    allowed = _DECODE_PEAK_BYTES + sum(len(stream.data) for stream in streams)
    expect(peak <= allowed, f"decoding 16 bytes allocated {peak:,} bytes")


def peak_bytes(call: Callable[[], object]) -> int:
    """Most memory that Python and numpy held at once during a call, above what they held before."""
    started = not tracemalloc.is_tracing()
    if started:
        tracemalloc.start()
    try:
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        call()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        if started:
            tracemalloc.stop()
