"""What passes from the quantize stage to the pack stage: a list of sections in one file.

The file is an artifact without code whose streams are stored as they are, so that there is one
format and one reader of it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from golfreg.api.codec import ByteCodec
from golfreg.api.errors import InputError
from golfreg.api.values import Layout, Section, Stream
from golfreg.config.job import write_whole
from golfreg.config.plan import Chosen
from golfreg.pack.container import read_container, write_container
from golfreg.pack.header import Header


class _Stored(ByteCodec):
    def compress(self, data: bytes, config: Any) -> bytes:
        return data

    def decompress(self, data: bytes, size: int, config: Any) -> bytes:
        return data


_STORED = Chosen("codec", "stored", "golfreg.pack.sections:_Stored", "golfreg", "", "")


def save_sections(path: Path, header: Header, sections: Sequence[Section]) -> None:
    """Write the sections whole or not at all. ``header`` is that of the artifact to be; its codec is not used."""
    streams = _Stored().encode(sections, None)
    header = dataclasses.replace(header, codec=_STORED)
    write_whole(path, write_container(header, [s.layout for s in sections], streams, {}))


def load_sections(path: Path) -> tuple[Header, list[Section]]:
    """Header and sections of ``save_sections``, bit for bit. The header's codec stands for none."""
    container = read_container(path)
    if container.header.codec.target != _STORED.target:
        raise InputError(f"`{path}` is an artifact, not a file of sections")
    arrays = decoded(_Stored(), container.streams, container.layouts, None)
    return container.header, [Section(y, a) for y, a in zip(container.layouts, arrays, strict=True)]


def decoded(codec: Any, streams: Sequence[Stream], layouts: Sequence[Layout], config: Any) -> list[np.ndarray]:
    """What the codec decodes, checked against the layouts: count, shapes, dtypes and alphabets. InputError."""
    arrays = codec.decode(streams, layouts, config)
    if len(arrays) != len(layouts):
        raise InputError(f"the codec decoded {len(arrays)} sections where the header lists {len(layouts)}")
    for layout, array in zip(layouts, arrays, strict=True):
        where = f"the {layout.part} of `{layout.tensor}` {layout.group}".rstrip()
        if array.shape != layout.shape or array.dtype.itemsize * array.size != layout.nbytes:
            raise InputError(f"{where} came out as {array.dtype}{list(array.shape)}, not {layout.dtype}{layout.shape}")
        if layout.alphabet and array.size and not _within(array, layout.alphabet):
            raise InputError(f"{where} has codes outside {layout.alphabet[0]} to {layout.alphabet[1]}")
    return list(arrays)


def _within(array: np.ndarray, alphabet: tuple[int, int]) -> bool:
    return bool(alphabet[0] <= array.min()) and bool(array.max() <= alphabet[1])
