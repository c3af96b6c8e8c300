"""The kit passes a right codec and names the check that a wrong one breaks."""

from __future__ import annotations

import itertools
import zlib
from typing import Any

import numpy as np
import pytest

from golfreg.api.codec import ByteCodec, read_exactly
from golfreg.testing import Subject, checks
from golfreg.testing.codecs import check_codec


class Right(ByteCodec):
    def compress(self, data: bytes, config: Any) -> bytes:
        return zlib.compress(data)

    def decompress(self, data: bytes, size: int, config: Any) -> bytes:
        return read_exactly(zlib.decompressobj(), data, size, (zlib.error,))


class LosesTheLastBit(Right):
    def compress(self, data: bytes, config: Any) -> bytes:
        return super().compress(bytes(byte & 0xFE for byte in data), config)


class ForgetsTheShape(Right):
    def decode(self, streams: Any, layouts: Any, config: Any) -> Any:
        return [array.ravel() for array in super().decode(streams, layouts, config)]


class GivesWiderIntegers(Right):
    def decode(self, streams: Any, layouts: Any, config: Any) -> Any:
        return [a.astype(np.int64) if a.dtype.kind == "i" else a for a in super().decode(streams, layouts, config)]


class RaisesItsOwnError(Right):
    def decompress(self, data: bytes, size: int, config: Any) -> bytes:
        return zlib.decompress(data)


class PadsWhatIsMissing(Right):
    def decompress(self, data: bytes, size: int, config: Any) -> bytes:
        try:
            found = zlib.decompressobj().decompress(data, size)
        except zlib.error:
            found = b""
        return found.ljust(size, b"\0")


class ExpandsFirst(Right):
    def decompress(self, data: bytes, size: int, config: Any) -> bytes:
        super().decompress(data, size, config) if len(data) < 4096 and size > 16 else zlib.decompressobj().decompress(
            data
        )
        return super().decompress(data, size, config)


class CountsItsCalls(Right):
    calls = itertools.count()

    def compress(self, data: bytes, config: Any) -> bytes:
        return zlib.compress(data, level=next(self.calls) % 10)


class BelievesTheStreams(Right):
    def decode(self, streams: Any, layouts: Any, config: Any) -> Any:
        return [self._one(stream, layouts, config) for stream in streams]

    def _one(self, stream: Any, layouts: Any, config: Any) -> Any:
        layout = layouts[stream.sections[0]]
        return np.frombuffer(self.decompress(stream.data, layout.nbytes, config), np.uint8)


def test_a_right_codec_passes_every_check() -> None:
    check_codec(Right(), None)


@pytest.mark.parametrize(
    ("codec", "claim"),
    [
        (LosesTheLastBit(), "sections_come_back_exactly"),
        (ForgetsTheShape(), "sections_come_back_exactly"),
        (GivesWiderIntegers(), "sections_come_back_exactly"),
        (RaisesItsOwnError(), "a_truncated_stream_raises_input_error"),
        (RaisesItsOwnError(), "a_damaged_stream_raises_input_error_or_fits_its_layout"),
        (PadsWhatIsMissing(), "a_truncated_stream_raises_input_error"),
        (ExpandsFirst(), "decoding_allocates_no_more_than_the_layouts_say"),
        (CountsItsCalls(), "encoding_twice_gives_the_same_bytes"),
        (BelievesTheStreams(), "streams_that_do_not_hold_each_section_once_raise_input_error"),
    ],
)
def test_a_wrong_codec_breaks_the_check_of_its_fault(codec: Any, claim: str) -> None:
    (each,) = (c for c in checks("codec") if c.name == claim)
    with pytest.raises(AssertionError):
        each.run(Subject(codec, None))


def test_the_explanation_names_the_section() -> None:
    with pytest.raises(AssertionError, match=r"Layout\(tensor='t\d+\.weight'.* came back with other values"):
        check_codec(LosesTheLastBit(), None)
