"""Zstandard frames without the magic number, the size and the checksum: the container has its own.

Per-row int6 codes of 0.5M Gaussian weights with a spread of column scales, in bits a weight
(zstandard 0.25.0): level 22 takes 4.460 at clip 6 and 3.355 at clip 12.85, level 1, which finds next
to no matches there, 4.456 and 3.370. The entropies are 4.401 and 3.307.
"""

from __future__ import annotations

from dataclasses import dataclass

import zstandard

from golfreg.api.codec import ByteCodec
from golfreg.api.errors import InputError
from golfreg_zoo_codecs.ranges import in_range

_SMALLEST_WINDOW = 10


@dataclass(frozen=True)
class ZstdConfig:
    """Settings of the encoder but the last, which also bounds the decoder."""

    level: int = 22
    """1 to 22."""
    try_level_1: bool = True
    """Also try level 1, and keep whichever is smaller: weights have few matches worth their cost."""
    window_log: int = 24
    """Matches look back no further than 2 to this many bytes: 10 to 27."""

    def __post_init__(self) -> None:
        in_range("zstd", "level", self.level, 1, 22)
        in_range("zstd", "window_log", self.window_log, _SMALLEST_WINDOW, 27)


class ZstdCodec(ByteCodec):
    """Zstandard."""

    Config = ZstdConfig

    def compress(self, data: bytes, config: ZstdConfig) -> bytes:
        levels = {config.level, 1} if config.try_level_1 else {config.level}
        return min((_compress(data, level, config) for level in sorted(levels, reverse=True)), key=len)

    def decompress(self, data: bytes, size: int, config: ZstdConfig) -> bytes:
        decompressor = zstandard.ZstdDecompressor(
            max_window_size=1 << _window_log(size, config), format=zstandard.FORMAT_ZSTD1_MAGICLESS
        )
        try:
            with decompressor.stream_reader(data) as reader:
                # One byte more than there should be finds data that goes on; no more is ever produced.
                found = reader.read(size + 1)
        except (zstandard.ZstdError, MemoryError) as error:
            raise InputError(f"the compressed data is damaged: {error}") from None
        if len(found) != size:
            raise InputError(f"the compressed data does not hold the {size:,} bytes that it should")
        return bytes(found)


def _compress(data: bytes, level: int, config: ZstdConfig) -> bytes:
    parameters = zstandard.ZstdCompressionParameters.from_level(
        level,
        source_size=len(data),
        window_log=_window_log(len(data), config),
        format=zstandard.FORMAT_ZSTD1_MAGICLESS,
        write_content_size=False,
        write_checksum=False,
        write_dict_id=False,
        threads=0,
    )
    return zstandard.ZstdCompressor(compression_params=parameters).compress(data)


def _window_log(size: int, config: ZstdConfig) -> int:
    """The window that data of this size needs, in bits: what a frame may ask the decoder for."""
    return max(_SMALLEST_WINDOW, min(config.window_log, (max(size, 1) - 1).bit_length()))


zstd_codec = ZstdCodec()
