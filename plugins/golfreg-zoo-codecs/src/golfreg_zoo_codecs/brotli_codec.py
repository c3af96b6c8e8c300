"""Brotli streams.

Per-row int6 codes of 0.5M Gaussian weights with a spread of column scales, in bits a weight (brotli
1.2.0): quality 11 takes 4.441 at clip 6 and 3.338 at clip 12.85; the entropies are 4.401 and 3.307.
"""

from __future__ import annotations

from dataclasses import dataclass

import brotli

from golfreg.api.codec import ByteCodec
from golfreg.api.errors import InputError
from golfreg_zoo_codecs.ranges import in_range


@dataclass(frozen=True)
class BrotliConfig:
    """Settings of the encoder."""

    quality: int = 11
    """0 to 11."""
    window: int = 24
    """Matches look back no further than 2 to this many bytes: 10 to 24."""

    def __post_init__(self) -> None:
        in_range("brotli", "quality", self.quality, 0, 11)
        in_range("brotli", "window", self.window, 10, 24)


class BrotliCodec(ByteCodec):
    """Brotli (RFC 7932)."""

    Config = BrotliConfig

    def compress(self, data: bytes, config: BrotliConfig) -> bytes:
        return bytes(brotli.compress(data, quality=config.quality, lgwin=config.window))

    def decompress(self, data: bytes, size: int, config: BrotliConfig) -> bytes:
        decompressor = brotli.Decompressor()
        found = bytearray()
        rest = data
        try:
            # The limit is a hint that the library rounds up to its buffers: stop as soon as there is too much.
            while len(found) <= size and not decompressor.is_finished():
                part = decompressor.process(rest, output_buffer_limit=size + 1 - len(found))
                if not part and decompressor.can_accept_more_data():
                    break
                found += part
                rest = b""
        except brotli.error as error:
            raise InputError(f"the compressed data is damaged: {error}") from None
        if len(found) != size or not decompressor.is_finished():
            raise InputError(f"the compressed data does not hold the {size:,} bytes that it should")
        return bytes(found)


brotli_codec = BrotliCodec()
