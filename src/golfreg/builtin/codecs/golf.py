"""golfreg's own codec: static models of row class and column class, coded by interleaved rANS.

This module and `golf_tables` are all that decoding needs. The format is described in ``docs/codecs.md``.
Legend: R rows, C columns of a section seen as a matrix; T tables; L lanes.
"""

from __future__ import annotations

import lzma
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from golfreg.api.codec import NoConfig, read_exactly
from golfreg.api.errors import InputError
from golfreg.api.values import ITEM_BYTES, STORAGE_DTYPE, CostTable, Layout, Section, Stream
from golfreg.builtin.codecs.golf_predict import MOST_COLUMNS, restore, weights_from
from golfreg.builtin.codecs.golf_tables import WHOLE, Decoder, Numbers, frequencies, read_grades

STORED, MODELLED = 0, 2
"""First byte of a stream: planes of bytes under raw LZMA1, or under the models of this codec. 1 was an earlier form."""
AUXILIARY_TABLES = 5
"""Of the grades of other tables, the classes of columns, those of rows, weights of prediction, rows that are apart."""
MOST_LANES_LOG2 = 12
LZMA_FILTER = {"id": lzma.FILTER_LZMA1, "preset": 6, "lc": 0, "lp": 0, "pb": 0, "dict_size": 1 << 16}
BLOCK = 1 << 20


class GolfCodec:
    Config: type = NoConfig

    def encode(self, sections: Sequence[Section], config: Any) -> list[Stream]:
        from golfreg.builtin.codecs.golf_encode import encode

        return encode(sections)

    def decode(self, streams: Sequence[Stream], layouts: Sequence[Layout], config: Any) -> list[np.ndarray]:
        found: dict[int, np.ndarray] = {}
        decoder = Decoder()
        for stream in streams:
            if any(not 0 <= i < len(layouts) or i in found for i in stream.sections) or not stream.sections:
                raise InputError("a coded stream names a section that does not exist, or that another one holds")
            members = [layouts[i] for i in stream.sections]
            found.update(zip(stream.sections, decode_stream(decoder, stream.data, members), strict=True))
        decoder.check_lanes()
        if len(found) != len(layouts):
            raise InputError("the coded streams do not hold each section once")
        return [found[i] for i in range(len(layouts))]

    def cost_table(self, section: Section, config: Any) -> CostTable:
        from golfreg.builtin.codecs.golf_encode import cost_table

        return cost_table(section)


def n_planes(layout: Layout) -> int:
    """Matrices of bytes that a section is coded as: one for each byte of an item, the lowest first."""
    return ITEM_BYTES[layout.dtype]


def matrix_shape(layout: Layout) -> tuple[int, int]:
    """Rows and columns: the first dimension, and all others together."""
    rows = layout.shape[0] if len(layout.shape) > 1 else 1
    return rows, layout.count // rows if rows else 0


def zero_symbol(layout: Layout) -> int:
    """The symbol of code 0, or 0: symbols of 8-bit codes begin with the lowest code."""
    return -layout.alphabet[0] if layout.alphabet and layout.alphabet[0] < 0 and n_planes(layout) == 1 else 0


def from_planes(planes: Sequence[np.ndarray], layout: Layout) -> np.ndarray:
    """The section's array of its planes."""
    stored = np.dtype(STORAGE_DTYPE[layout.dtype]).newbyteorder("<")
    if stored.itemsize == 1:
        low = layout.alphabet[0] if layout.alphabet else 0
        return (planes[0] + np.uint8(low & 255)).view(stored).reshape(layout.shape)
    joined = np.empty((layout.count, len(planes)), np.uint8)
    for k, plane in enumerate(planes):
        joined[:, k] = plane.reshape(-1)
    return joined.view(stored).reshape(layout.shape)


def most_tables_for(n_codes: int) -> int:
    """What a stream may have: each takes a decoder 320 KiB, and as much again while they are made."""
    return min(16 + n_codes // 4096, 512)


def decode_stream(decoder: Decoder, data: bytes, layouts: Sequence[Layout]) -> list[np.ndarray]:
    """The arrays of one stream's sections. InputError for data that no encoder made."""
    numbers = Numbers(data)
    shapes = [matrix_shape(y) for y in layouts for _ in range(n_planes(y))]
    form = numbers.byte()
    if form == MODELLED:
        planes = _modelled(decoder, numbers, shapes, [zero_symbol(y) for y in layouts for _ in range(n_planes(y))])
    elif form != STORED:
        raise InputError(f"the coded stream has the form {form}, which this version of `golf` does not read")
    else:
        sizes = [r * c for r, c in shapes]
        stored = read_exactly(
            lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[LZMA_FILTER]), data[1:], sum(sizes),
            (lzma.LZMAError, EOFError),
        )  # fmt: skip
        planes = np.split(np.frombuffer(stored, np.uint8), np.cumsum(sizes)[:-1])
    left = iter(planes)
    return [from_planes([next(left) for _ in range(n_planes(y))], y) for y in layouts]


def _modelled(
    decoder: Decoder, numbers: Numbers, shapes: Sequence[tuple[int, int]], zeros: Sequence[int]
) -> list[np.ndarray]:
    n_codes = sum(r * c for r, c in shapes)
    most_tables = most_tables_for(n_codes)
    # 0: those of the stream before.
    lanes = 1 << numbers.number(MOST_LANES_LOG2 + 1) >> 1
    auxiliary = np.zeros((AUXILIARY_TABLES, 256), np.uint8)
    for grade_S in auxiliary:
        symbol, last = numbers.byte(), numbers.byte()
        while symbol <= last:
            grade = numbers.byte()
            if grade:
                grade_S[symbol] = grade
                symbol += 1
            else:
                symbol += numbers.byte() + 1
    sizes = [numbers.number(most_tables) for _ in range(numbers.number(most_tables))]
    starts = np.cumsum([0, *sizes])
    filled = [shape for shape in shapes if shape[0] * shape[1]]
    if starts[-1] > most_tables or not all(sizes) or bool(sizes) != bool(filled):
        raise InputError(f"the coded stream has {starts[-1]:,} tables in {len(sizes):,} sets for {n_codes:,} codes")
    n_deltas = numbers.number(259 * int(starts[-1]))
    fold = numbers.number(256)
    vectors: list[tuple[int, int]] = []
    parts: list[_Part] = []
    apart: list[int] = []
    for (rows, columns), zero in zip(shapes, zeros, strict=True):
        if not rows * columns:
            continue
        apart.append(numbers.number(rows))
        if apart[-1] < rows:
            parts.append(_part(numbers, len(sizes), vectors, rows - apart[-1], columns, zero))
        if apart[-1]:
            # Its first row is no row of the matrix, but what the others are like.
            parts.append(_part(numbers, len(sizes), vectors, apart[-1] + 1, columns, 128))

    decoder.begin(numbers.rest(), lanes)

    def side(kind: int, count: int) -> np.ndarray:
        """Symbols under one auxiliary table: of all five at once the slots would take more than a small stream."""
        if not count:
            return np.zeros(0, np.uint8)
        decoder.use(frequencies(auxiliary[kind : kind + 1]))
        return decoder.take(np.zeros(count, np.int64))

    spans, grades = read_grades(side(0, n_deltas).tolist(), int(starts[-1]))
    if fold:
        # Tables by distance from the symbol of code 0.
        grades = grades[:, np.abs(np.arange(256) - (fold - 1))]
    slot_of_class = [np.repeat(np.arange(a, b) * WHOLE, spans[a:b]) for a, b in pairwise(starts)]
    classes = [side(kind, length).astype(np.int16) for length, kind in vectors]
    weights = [side(3, p.columns * (p.columns - 1) // 2) if p.shift else None for p in parts]
    flags = [side(4, shape[0] if n else 0) > 0 for n, shape in zip(apart, filled, strict=True)]
    decoder.use(frequencies(grades))
    found = iter(
        [_matrix(decoder, slot_of_class[p.tables], classes, p, w) for p, w in zip(parts, weights, strict=True)]
    )
    planes = []
    left = zip(apart, flags, strict=True)
    for (rows, columns), zero in zip(shapes, zeros, strict=True):
        n, flag_R = next(left) if rows * columns else (0, np.zeros(0, bool))
        if n:
            plane = np.empty((rows, columns), np.uint8)
            if flag_R.sum() != n:
                raise InputError(f"the coded stream sets {flag_R.sum()} rows apart and says {n}")
            if n < rows:
                plane[~flag_R] = next(found)
            like = next(found)
            plane[flag_R] = like[1:] + like[0] + np.uint8(zero)
            planes.append(plane)
        else:
            planes.append(next(found) if rows * columns else np.empty((rows, columns), np.uint8))
    decoder.finish()
    return planes


@dataclass(frozen=True)
class _Part:
    """A matrix, or those rows of it that are coded together. ``column``, ``row``: which classes, if any."""

    rows: int
    columns: int
    zero: int
    tables: int
    offset: int
    column: int | None
    row: int | None
    shift: int


def _part(
    numbers: Numbers, n_sets: int, vectors: list[tuple[int, int]], rows: int, columns: int, zero: int
) -> _Part:  # fmt: skip
    tables = numbers.number(n_sets - 1)
    offset = numbers.number(1024) - 512
    used: list[int | None] = []
    for kind, length in ((1, columns), (2, rows)):
        # 0: none; 1: a new one; more: one that is known.
        which = numbers.number(len(vectors) + 1)
        if which == 1:
            vectors.append((length, kind))
        if which and vectors[which - 2 if which > 1 else -1][0] != length:
            raise InputError("the coded stream names classes of another section's size")
        used.append((which - 2 if which > 1 else len(vectors) - 1) if which else None)
    shift = numbers.number(8)
    if shift and not columns <= min(rows, MOST_COLUMNS):
        raise InputError(f"the coded stream predicts {columns:,} columns of {rows:,} rows")
    return _Part(rows, columns, zero, tables, offset, used[0], used[1], shift)


def _matrix(
    decoder: Decoder, slot_of_class: np.ndarray, classes: Sequence[np.ndarray], part: _Part, weights: np.ndarray | None
) -> np.ndarray:  # fmt: skip
    rows, columns = part.rows, part.columns
    column_C = (np.zeros(columns, np.int16) if part.column is None else classes[part.column]) + part.offset
    row_R = np.zeros(rows, np.int16) if part.row is None else classes[part.row]
    symbols = partial(_symbols, decoder, slot_of_class, row_R, column_C)
    if weights is not None:
        return restore(rows, weights_from(weights, columns), part.shift - 1, part.zero, symbols)
    step = max(BLOCK // columns, 1)
    return np.concatenate([symbols(None, start, start + step) for start in range(0, rows, step)])


def _symbols(
    decoder: Decoder, slot_of_class: np.ndarray, row_R: np.ndarray, column_C: np.ndarray,
    column: int | None, start: int = 0, end: int | None = None,
) -> np.ndarray:  # fmt: skip
    """The symbols of rows from ``start`` to ``end``, or of one column."""
    classes = row_R[start:end, None] + column_C if column is None else row_R + column_C[column]
    return decoder.take(slot_of_class.take(classes, mode="clip").reshape(-1)).reshape(classes.shape)


golf = GolfCodec()
