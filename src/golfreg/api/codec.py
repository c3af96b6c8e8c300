"""``ByteCodec``: any ``bytes -> bytes`` compressor as a codec of sections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from golfreg.api.errors import InputError
from golfreg.api.values import ITEM_BYTES, STORAGE_DTYPE, Layout, Section, Stream


@dataclass(frozen=True)
class NoConfig:
    """The configuration of a component that has none."""


class ByteCodec:
    """Subclass with ``compress(data, config)`` and ``decompress(data, size, config)``.

    Sections are concatenated into one stream for each (part, role, dtype, alphabet), in order:
    bytes with the same statistics side by side. Items of several bytes are split into planes (all
    first bytes, then all second bytes, ...): float16 scales take 11.1 bits instead of 12.9 under
    LZMA. ``size`` is what the layouts say; ``decompress`` returns exactly that many bytes,
    allocates no more, or raises ``InputError``; ``read_exactly`` does that for most compressors.
    """

    Config: type = NoConfig

    def compress(self, data: bytes, config: Any) -> bytes:
        raise NotImplementedError

    def decompress(self, data: bytes, size: int, config: Any) -> bytes:
        raise NotImplementedError

    def encode(self, sections: Sequence[Section], config: Any) -> list[Stream]:
        together: dict[tuple[object, ...], list[int]] = {}
        for i, section in enumerate(sections):
            layout = section.layout
            together.setdefault((layout.part, layout.role, layout.dtype, layout.alphabet), []).append(i)
        streams = []
        for (_, _, dtype, _), members in together.items():
            data = b"".join(little_endian_bytes(sections[i]) for i in members)
            streams.append(Stream(tuple(members), self.compress(_split_planes(data, ITEM_BYTES[str(dtype)]), config)))
        return streams

    def decode(self, streams: Sequence[Stream], layouts: Sequence[Layout], config: Any) -> list[np.ndarray]:
        arrays: dict[int, np.ndarray] = {}
        for stream in streams:
            if any(not 0 <= i < len(layouts) or i in arrays for i in stream.sections) or not stream.sections:
                raise InputError("a coded stream names a section that does not exist, or that another one holds")
            if len({layouts[i].dtype for i in stream.sections}) != 1:
                raise InputError("a coded stream mixes sections of different types")
            size = sum(layouts[i].nbytes for i in stream.sections)
            data = self.decompress(stream.data, size, config)
            if len(data) != size:
                raise InputError(f"a coded stream holds {len(data):,} bytes where its layout says {size:,}")
            data = _join_planes(data, ITEM_BYTES[layouts[stream.sections[0]].dtype])
            offset = 0
            for i in stream.sections:
                layout = layouts[i]
                dtype = np.dtype(STORAGE_DTYPE[layout.dtype]).newbyteorder("<")
                arrays[i] = np.frombuffer(data, dtype, layout.count, offset).reshape(layout.shape)
                offset += layout.nbytes
        if len(arrays) != len(layouts):
            raise InputError("the coded streams do not hold each section once")
        return [arrays[i] for i in range(len(layouts))]


def little_endian_bytes(section: Section) -> bytes:
    """The section's data as it is stored, checked against its layout."""
    layout, data = section.layout, section.data
    if data.shape != layout.shape or data.dtype != np.dtype(STORAGE_DTYPE[layout.dtype]):
        raise InputError(
            f"the {layout.part} section of `{layout.tensor}` holds {data.dtype}{list(data.shape)} "
            f"where its layout says {layout.dtype}{list(layout.shape)}"
        )
    return data.astype(data.dtype.newbyteorder("<"), copy=False).tobytes()


def read_exactly(decompressor: Any, data: bytes, size: int, errors: tuple[type[Exception], ...]) -> bytes:
    """Exactly ``size`` bytes from a decompressor object with ``decompress(data, max_length)``, or ``InputError``.

    Works for those of ``lzma``, ``bz2`` and ``zlib`` and anything like them. Refused: damaged
    data (``errors``), data that ends early, holds more than ``size`` bytes, or is followed by more.
    """
    try:
        # No more than one byte over the size is ever produced; asking for that byte finds data that goes on.
        found = decompressor.decompress(data, size + 1)
    except errors as error:
        raise InputError(f"the compressed data is damaged: {error}") from None
    if len(found) > size:
        raise InputError(f"the compressed data holds more than the {size:,} bytes that it should")
    if len(found) < size or not decompressor.eof:
        raise InputError(f"the compressed data ends after {len(found):,} of {size:,} bytes")
    if decompressor.unused_data or getattr(decompressor, "unconsumed_tail", b""):
        raise InputError("the compressed data is followed by other bytes")
    return bytes(found)


def _split_planes(data: bytes, item_bytes: int) -> bytes:
    if item_bytes == 1:
        return data
    return np.frombuffer(data, np.uint8).reshape(-1, item_bytes).T.tobytes()


def _join_planes(data: bytes, item_bytes: int) -> bytes:
    if item_bytes == 1:
        return data
    return np.frombuffer(data, np.uint8).reshape(item_bytes, -1).T.tobytes()
