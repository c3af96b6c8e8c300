"""``ByteCodec``: any ``bytes -> bytes`` compressor as a codec of sections."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from golfreg.api.errors import InputError
from golfreg.api.values import STORAGE_DTYPE, Layout, Section, Stream


@dataclass(frozen=True)
class NoConfig:
    """The configuration of a component that has none."""


class ByteCodec:
    """Subclass with ``compress(data, config)`` and ``decompress(data, size, config)``.

    Sections are concatenated into one stream for each (part, role, dtype, alphabet), in order:
    bytes with the same statistics side by side. ``size`` is what the layouts say; ``decompress``
    returns exactly that many bytes, allocates no more, or raises ``InputError``.
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
        return [
            Stream(tuple(members), self.compress(b"".join(sections[i].data.tobytes() for i in members), config))
            for members in together.values()
        ]

    def decode(self, streams: Sequence[Stream], layouts: Sequence[Layout], config: Any) -> list[np.ndarray]:
        arrays: dict[int, np.ndarray] = {}
        for stream in streams:
            size = sum(layouts[i].nbytes for i in stream.sections)
            data = self.decompress(stream.data, size, config)
            if len(data) != size:
                raise InputError(f"a coded stream holds {len(data):,} bytes where its layout says {size:,}")
            offset = 0
            for i in stream.sections:
                layout = layouts[i]
                dtype = np.dtype(STORAGE_DTYPE[layout.dtype]).newbyteorder("<")
                arrays[i] = np.frombuffer(data, dtype, layout.count, offset).reshape(layout.shape)
                offset += layout.nbytes
        if sorted(arrays) != list(range(len(layouts))):
            raise InputError("the coded streams do not hold each section once")
        return [arrays[i] for i in range(len(layouts))]
