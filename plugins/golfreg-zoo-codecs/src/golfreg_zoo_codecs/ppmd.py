"""PPMd variant H, the one of 7-Zip, behind a CRC-32 of the coded bytes.

Per-row int6 codes of 0.5M Gaussian weights with a spread of column scales, in bits a weight (pyppmd
1.3.1): order 2 takes 4.510 at clip 6 and 3.382 at clip 12.85, order 3 4.600 and 3.412, order 6 4.615
and 3.527: a longer context is mostly noise. The entropies are 4.401 and 3.307.

pyppmd 1.3.1 ends the process with a segmentation fault if a damaged stream makes the decoder want
more input than there is. So it gets zeros after the data: as many as any stream of that many
symbols could take.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import pyppmd

from golfreg.api.codec import ByteCodec
from golfreg.api.errors import InputError
from golfreg_zoo_codecs.ranges import in_range

_LEAST_MEMORY = 1 << 16
_CRC_BYTES = 4
_BYTES_A_LEVEL = 2
"""The range decoder takes at most this many bytes for each context that it asks about a symbol."""


@dataclass(frozen=True)
class PpmdConfig:
    """Settings of the model; the decoder needs the same."""

    order: int = 2
    """Bytes of context: 2 to 8."""
    memory_megabytes: int = 16
    """Most memory of the model, which starts anew when it is full: 1 to 256."""

    def __post_init__(self) -> None:
        in_range("ppmd", "order", self.order, 2, 8)
        in_range("ppmd", "memory_megabytes", self.memory_megabytes, 1, 256)


class PpmdCodec(ByteCodec):
    """PPMd7."""

    Config = PpmdConfig

    def compress(self, data: bytes, config: PpmdConfig) -> bytes:
        if not data:
            return b""
        encoder = pyppmd.Ppmd7Encoder(config.order, _memory(len(data), config))
        coded = bytes(encoder.encode(data) + encoder.flush())
        return _crc(coded) + coded

    def decompress(self, data: bytes, size: int, config: PpmdConfig) -> bytes:
        if not size or not data:
            if size or data:
                raise InputError(f"the compressed data has {len(data):,} bytes for {size:,}")
            return b""
        crc, coded = data[:_CRC_BYTES], data[_CRC_BYTES:]
        if crc != _crc(coded):
            raise InputError("the compressed data is damaged: its checksum differs")
        enough = _BYTES_A_LEVEL * (config.order + 2) * size + 16
        decoder = pyppmd.Ppmd7Decoder(config.order, _memory(size, config))
        try:
            found = decoder.decode(coded + bytes(enough), size)
        except (pyppmd.PpmdError, SystemError, ValueError, EOFError, MemoryError) as error:
            # SystemError: pyppmd 1.3.1 reports a wrong first byte so.
            raise InputError(f"the compressed data is damaged: {error}") from None
        if len(found) != size:
            raise InputError(f"the compressed data ends after {len(found):,} of {size:,} bytes")
        return bytes(found)


def _crc(data: bytes) -> bytes:
    return zlib.crc32(data).to_bytes(_CRC_BYTES, "little")


def _memory(size: int, config: PpmdConfig) -> int:
    """Bytes of the model: both sides know the size, so that small data does not take the most."""
    return max(_LEAST_MEMORY, min(config.memory_megabytes << 20, 64 * size))


ppmd_codec = PpmdCodec()
