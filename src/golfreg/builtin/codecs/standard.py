"""The standard library's compressors as codecs, without container overhead.

The defaults are measured on per-row int6 codes, 0.5M Gaussian or Student-t weights with a spread
of column scales, in bits a weight:

====================================  =====================  =====================
compressor                            clip 6 (entropy 4.397)  clip 12.85 (3.306)
====================================  =====================  =====================
xz -9e defaults, LZMA2                4.532                  3.455
LZMA lc 0, lp 0, pb 2, dict 4 KiB     4.530                  3.452
zlib 9                                4.959                  3.855
zlib 9, best of three strategies      4.447                  3.344
bz2 9                                 4.790                  3.710
====================================  =====================  =====================

Weights have no repeated strings. What LZMA can win is in its literal coder, and a small
dictionary offers it fewer chance matches; a Huffman code alone beats it. Two's complement, offset
and zigzag codes differ by less than 0.01 bits under LZMA, so codes are stored as they are.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from dataclasses import dataclass
from typing import Any

from golfreg.api.codec import ByteCodec, read_exactly
from golfreg.api.errors import ConfigError, InputError

_LARGEST_DICTIONARY = 1 << 26
_STRATEGIES = {"default": zlib.Z_DEFAULT_STRATEGY, "filtered": zlib.Z_FILTERED, "huffman": zlib.Z_HUFFMAN_ONLY}


@dataclass(frozen=True)
class LzmaConfig:
    """``preset`` 0 to 9, made ``extreme`` or not; ``lc``, ``lp``, ``pb``: context bits; ``dict_size`` in bytes."""

    preset: int = 9
    extreme: bool = True
    lc: int = 0
    lp: int = 0
    pb: int = 2
    dict_size: int = 4096

    def __post_init__(self) -> None:
        _in_range("lzma", "preset", self.preset, 0, 9)
        _in_range("lzma", "lc", self.lc, 0, 4)
        _in_range("lzma", "lp", self.lp, 0, 4)
        _in_range("lzma", "pb", self.pb, 0, 4)
        _in_range("lzma", "dict_size", self.dict_size, 4096, _LARGEST_DICTIONARY)
        if self.lc + self.lp > 4:
            raise ConfigError(f"codec `lzma`: lc + lp is {self.lc + self.lp}", hint="LZMA allows at most 4")


class LzmaCodec(ByteCodec):
    """Raw LZMA1: no header, an end marker."""

    Config = LzmaConfig

    def compress(self, data: bytes, config: LzmaConfig) -> bytes:
        preset = config.preset | (lzma.PRESET_EXTREME if config.extreme else 0)
        return lzma.compress(data, format=lzma.FORMAT_RAW, filters=[_lzma_filter(config, config.dict_size, preset)])

    def decompress(self, data: bytes, size: int, config: LzmaConfig) -> bytes:
        # The decoder allocates its dictionary at once; it can never look back beyond what it has produced.
        dictionary = max(4096, min(config.dict_size, size))
        decompressor = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[_lzma_filter(config, dictionary)])
        return read_exactly(decompressor, data, size, (lzma.LZMAError, EOFError))


@dataclass(frozen=True)
class ZlibConfig:
    """``level`` 0 to 9; ``strategy``: ``default``, ``filtered``, ``huffman``, or ``best``: each stream's smallest."""

    level: int = 9
    strategy: str = "best"

    def __post_init__(self) -> None:
        _in_range("zlib", "level", self.level, 0, 9)
        if self.strategy not in (*_STRATEGIES, "best"):
            raise ConfigError(
                f"codec `zlib`: the strategy is {self.strategy!r}",
                hint=f"one of: best, {', '.join(_STRATEGIES)}",
            )


class ZlibCodec(ByteCodec):
    """Raw DEFLATE. The strategy is the encoder's matter: it may differ by stream and is not stored."""

    Config = ZlibConfig

    def compress(self, data: bytes, config: ZlibConfig) -> bytes:
        names = _STRATEGIES if config.strategy == "best" else (config.strategy,)
        return min((_deflate(data, config.level, _STRATEGIES[name]) for name in names), key=len)

    def decompress(self, data: bytes, size: int, config: ZlibConfig) -> bytes:
        return read_exactly(zlib.decompressobj(-zlib.MAX_WBITS), data, size, (zlib.error,))


@dataclass(frozen=True)
class Bz2Config:
    """``level`` 1 to 9: block size in units of 100 kB."""

    level: int = 9

    def __post_init__(self) -> None:
        _in_range("bz2", "level", self.level, 1, 9)


class Bz2Codec(ByteCodec):
    """bzip2."""

    Config = Bz2Config

    def compress(self, data: bytes, config: Bz2Config) -> bytes:
        return bz2.compress(data, config.level)

    def decompress(self, data: bytes, size: int, config: Bz2Config) -> bytes:
        return read_exactly(bz2.BZ2Decompressor(), data, size, (OSError, ValueError, EOFError))


class NoneCodec(ByteCodec):
    """Bytes as they are."""

    def compress(self, data: bytes, config: Any) -> bytes:
        return data

    def decompress(self, data: bytes, size: int, config: Any) -> bytes:
        if len(data) != size:
            raise InputError(f"a stored stream has {len(data):,} bytes where its layout says {size:,}")
        return data


def _lzma_filter(config: LzmaConfig, dict_size: int, preset: int = 6) -> dict[str, Any]:
    return {
        "id": lzma.FILTER_LZMA1, "preset": preset, "dict_size": dict_size,
        "lc": config.lc, "lp": config.lp, "pb": config.pb,
    }  # fmt: skip


def _deflate(data: bytes, level: int, strategy: int) -> bytes:
    compressor = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS, 9, strategy)
    return compressor.compress(data) + compressor.flush()


def _in_range(codec: str, name: str, value: Any, lowest: int, highest: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
        raise ConfigError(f"codec `{codec}`: {name} is {value!r}", hint=f"a whole number from {lowest} to {highest}")


lzma_codec = LzmaCodec()
zlib_codec = ZlibCodec()
bz2_codec = Bz2Codec()
none_codec = NoneCodec()
