"""Encodes sections for the codec `golf`."""

from __future__ import annotations

import lzma
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from golfreg.api.codec import little_endian_bytes
from golfreg.api.errors import InputError
from golfreg.api.values import ITEM_BYTES, CostTable, Section, Stream
from golfreg.builtin.codecs.golf import (
    BLOCK,
    LZMA_FILTER,
    MODELLED,
    STORED,
    matrix_shape,
    most_tables_for,
    n_planes,
    zero_symbol,
)  # fmt: skip
from golfreg.builtin.codecs.golf_fit import Fit, Matrix, fit
from golfreg.builtin.codecs.golf_predict_fit import predicted, rows_apart
from golfreg.builtin.codecs.golf_tables import LOW, PRECISION, WHOLE, frequencies

MOST_LANES = 1024
_SAMPLE_BYTES = 1 << 18
_MIDDLE = 101
"""The class that stands for a vector's median. Classes are within 100 of each other."""
_FREE_BITS = 0.5
"""What a grade may cost more than the best if it is cheaper to send."""


def encode(sections: Sequence[Section]) -> list[Stream]:
    """One stream for the codes of each role, type and alphabet, one for the scales and one for what is raw.

    The last stream is coded first: the lanes, which end where they began, are paid for once.
    """
    together: dict[tuple[object, ...], list[int]] = {}
    for i, section in enumerate(sections):
        y = section.layout
        codes = y.part == "codes"
        together.setdefault((y.part, y.role if codes else "", y.dtype, y.alphabet), []).append(i)
    chosen = [best_of([sections[i] for i in members]) for members in together.values()]
    modelled = [(data, n, batches) for data, n, batches in chosen if batches]
    lanes_log2 = lanes_log2_for(sum(n for _, n, _ in modelled))
    state_L = np.full(1 << lanes_log2, LOW, np.int64)
    streams = []
    for members, (data, _, batches) in reversed(list(zip(together.values(), chosen, strict=True))):
        if batches:
            words = rans(state_L, batches)
            first = batches is modelled[0][2]
            lanes = number(lanes_log2 + 1) if first else number(0)
            data = bytes([MODELLED]) + lanes + data + (filled_up(state_L) if first else b"") + words
        streams.append(Stream(tuple(members), data))
    return streams[::-1]


def lanes_log2_for(n_codes: int) -> int:
    """A lane takes 28 bits: about one 2000th of what is coded, more only of little, which would decode slowly."""
    return round(math.log2(min(max(n_codes / 16384, n_codes**0.5 / 16, 1), MOST_LANES)))


@dataclass(frozen=True)
class Batch:
    """Codes that are decoded together: which table each has, the symbols, and frequencies[T, 256]."""

    tables: np.ndarray
    symbols: np.ndarray
    frequency: np.ndarray

    def pairs(self) -> np.ndarray:
        """Where in the frequencies each code's is."""
        return np.asarray(self.tables.astype(np.int64) * 256 + self.symbols)

    def bits(self) -> float:
        return float((PRECISION - np.log2(self.frequency.reshape(-1).take(self.pairs()))).sum())


def best_of(sections: Sequence[Section]) -> tuple[bytes, int, list[Batch]]:
    """Head, codes and batches of a modelled stream; or, where LZMA takes less, all of the stream and no batches."""
    matrices = [m for section in sections for m in planes(section)]
    n_codes = sum(m.symbols_RC.size for m in matrices)
    split = [split_rows(m) for m in matrices if m.symbols_RC.size]
    head, batches = coded(best_fit([m for _, parts in split for m in parts], n_codes), split)
    size = len(head) + 3.5 * 2 ** lanes_log2_for(n_codes) + sum(b.bits() for b in batches) / 8
    if n_codes > _SAMPLE_BYTES:
        sample = max(matrices, key=lambda m: m.symbols_RC.size).symbols_RC.reshape(-1)[:_SAMPLE_BYTES].tobytes()
        if len(_lzma(sample)) * n_codes > 1.05 * size * len(sample):
            return head, n_codes, batches
    stored = bytes([STORED]) + _lzma(b"".join(m.symbols_RC.tobytes() for m in matrices))
    return (head, n_codes, batches) if size < len(stored) and batches else (stored, n_codes, [])


def planes(section: Section) -> list[Matrix]:
    """A matrix of symbols for each byte of the section's items."""
    y = section.layout
    shape, count = matrix_shape(y), n_planes(y)
    items = np.frombuffer(little_endian_bytes(section), np.uint8).reshape(-1, count)
    low = y.alphabet[0] if y.alphabet and ITEM_BYTES[y.dtype] == 1 else 0
    return [
        Matrix(
            (items[:, k] - np.uint8(low & 255)).reshape(shape),
            zero_symbol(y),
            modelled=y.part == "codes" and count == 1,
            kind=f"{y.part} {k}",
        )
        for k in range(count)
    ]


def best_fit(matrices: Sequence[Matrix], n_codes: int) -> Fit:
    """The fit with each matrix as it is, or with what remains when its columns predict each other."""
    plain = fit(matrices, most_tables_for(n_codes))
    others = []
    for m in matrices:
        found = predicted(m.symbols_RC, m.zero) if m.modelled else None
        if found is not None:
            rest, weights, shift = found
            others.append(Matrix(rest, 128, True, f"{m.kind} predicted", weights=weights, shift=shift, instead_of=m))
    if not others:
        return plain
    tried = fit(others, most_tables_for(n_codes))
    chosen = {id(m.instead_of): m for m in others if tried.bits(m) < plain.bits(m.instead_of)}
    return fit([chosen.get(id(m), m) for m in matrices], most_tables_for(n_codes)) if chosen else plain


def split_rows(m: Matrix) -> tuple[np.ndarray | None, list[Matrix]]:
    """Rows that are almost equal, as those of tokens that training never saw, apart from the others.

    They are coded as what differs from their median row, which comes first. Which rows they are, and the parts.
    """
    flag_R = rows_apart(m.symbols_RC, m.zero) if m.modelled else None
    if flag_R is None:
        return None, [m]
    like_C = np.median(m.symbols_RC[flag_R], 0).astype(np.uint8)
    rest = np.concatenate([like_C[None] - np.uint8(m.zero), m.symbols_RC[flag_R] - like_C]) + np.uint8(128)
    parts = [Matrix(np.ascontiguousarray(m.symbols_RC[~flag_R]), m.zero, True, m.kind)] if not flag_R.all() else []
    return flag_R, [*parts, Matrix(rest, 128, True, f"{m.kind} apart")]


def coded(found: Fit, split: Sequence[tuple[np.ndarray | None, list[Matrix]]]) -> tuple[bytes, list[Batch]]:
    """Head of a fit's stream, without its lanes, and what is coded. ``split``: the parts of each matrix, in order."""
    starts = np.cumsum([0, *(len(counts) for _, _, counts in found.sets)])
    fold, deltas, grades = best_tables(found)

    plans = bytearray()
    vectors: list[tuple[np.ndarray, int]] = []
    tables = []
    begins = {}
    at = 0
    for flag_R, parts in split:
        begins[at] = number(0 if flag_R is None else int(flag_R.sum()))
        at += len(parts)
    for i, m in enumerate(found.matrices):
        plans += begins.get(i, b"")
        tables.append((found.table_RC(m) + np.uint16(starts[m.group])).reshape(-1))
        offset = m.offset - found.sets[m.group][0]
        named = bytearray()
        for kind, vector in ((1, m.column_C), (2, m.row_R)):
            if vector is None:
                named += number(0)
                continue
            low = int(np.median(vector)) - _MIDDLE
            offset += low
            values = np.clip(vector - low, 0, 255).astype(np.uint8)
            known = next((i for i, (v, _) in enumerate(vectors) if np.array_equal(v, values)), None)
            if known is None:
                vectors.append((values, kind))
            named += number(1 if known is None else known + 2)
        named += number(0 if m.weights is None else m.shift + 1)
        plans += number(m.group) + number(min(max(offset, -512), 512) + 512) + named

    weights = [m.weights for m in found.matrices if m.weights is not None]
    side_symbols = [deltas.tobytes(), *(b"".join(v.tobytes() for v, k in vectors if k == kind) for kind in (1, 2))]
    flags = [flag_R.astype(np.uint8) for flag_R, _ in split if flag_R is not None]
    side_symbols += [b"".join(w.tobytes() for w in weights), b"".join(f.tobytes() for f in flags)]
    side_counts = [np.bincount(np.frombuffer(s, np.uint8), minlength=256)[None] for s in side_symbols]
    auxiliary = np.concatenate([grades_of(counts) for counts in side_counts])
    for table, counts in zip(auxiliary, side_counts, strict=True):
        table[(counts[0] == 0) & counts.any()] = 0
    head = bytearray()
    for table in auxiliary:
        head += listed(table)
    head += number(len(found.sets)) + b"".join(number(len(counts)) for _, _, counts in found.sets)
    head += number(len(deltas)) + number(fold) + plans

    main = frequencies(grades) if len(grades) else np.zeros((0, 256), np.int64)
    side = frequencies(auxiliary)
    batches = [Batch(np.zeros(len(deltas), np.uint16), deltas, side)]
    batches += [Batch(np.full(len(v), kind, np.uint16), v, side) for v, kind in vectors]
    batches += [Batch(np.full(len(w), 3, np.uint16), w, side) for w in weights]
    batches += [Batch(np.full(len(f), 4, np.uint16), f, side) for f in flags]
    for m, table in zip(found.matrices, tables, strict=True):
        rows, columns = m.symbols_RC.shape
        if m.weights is not None:
            by_column = table.reshape(rows, columns)
            batches += [Batch(by_column[:, c], m.symbols_RC[:, c], main) for c in range(columns)]
            continue
        size = max(BLOCK // columns, 1) * columns
        symbols = m.symbols_RC.reshape(-1)
        batches += [Batch(table[i : i + size], symbols[i : i + size], main) for i in range(0, len(symbols), size)]
    return bytes(head), [b for b in batches if len(b.symbols)]


def listed(grade_S: np.ndarray) -> bytes:
    """An auxiliary table: its first and last symbol, then grades; 0 and one less than their number for unused ones."""
    used = np.flatnonzero(grade_S).tolist()
    found = bytearray([used[0], used[-1]])
    for before, symbol in zip([used[0] - 1, *used], used, strict=False):
        if symbol > before + 1:
            found += bytes([0, symbol - before - 2])
        found.append(int(grade_S[symbol]))
    return bytes(found)


def rans(state_L: np.ndarray, batches: Sequence[Batch]) -> bytes:
    """The words of a stream, whose last code is coded first. The lanes' states go on from those of the next stream."""
    words: list[np.ndarray] = []
    lanes = len(state_L)
    for batch in reversed(batches):
        pairs = batch.pairs()
        f_all = batch.frequency.reshape(-1).take(pairs)
        start_all = (batch.frequency.cumsum(1) - batch.frequency).reshape(-1).take(pairs)
        for start in range((len(pairs) - 1) // lanes * lanes, -1, -lanes):
            f, c = f_all[start : start + lanes], start_all[start : start + lanes]
            x = state_L[: len(f)]
            _shed(x, f << 20, words)
            whole, part = np.divmod(x, f)
            x[:] = (whole << PRECISION) + part + c
    return _joined(words)


def filled_up(state_L: np.ndarray) -> bytes:
    """States in 32 bits, and the words with which the decoder fills up those below LOW before the first code."""
    words: list[np.ndarray] = []
    _shed(state_L, np.full(len(state_L), 1 << 32, np.int64), words)
    return state_L.astype("<u4").tobytes() + _joined(words)


def _joined(words: Sequence[np.ndarray]) -> bytes:
    return b"".join(w.astype("<u2").tobytes() for w in reversed(words))


def _shed(x: np.ndarray, limit: np.ndarray, words: list[np.ndarray]) -> None:
    (over,) = (x >= limit).nonzero()
    if len(over):
        words.append((x[over] & 0xFFFF).astype(np.uint16))
        x[over] >>= 16


def grades_of(counts_TS: np.ndarray) -> np.ndarray:
    """uint8[T, 256] grades that come closest to the counts; symbols between the first and last used are never 0."""
    grades = np.zeros(counts_TS.shape, np.uint8)
    for counts, row in zip(counts_TS, grades, strict=True):
        (used,) = counts.nonzero()
        if not len(used):
            row[0] = 127
            continue
        part = np.maximum(counts[used[0] : used[-1] + 1], 0.3)
        row[used[0] : used[-1] + 1] = np.maximum(np.rint(8 * np.log2(part / part.max())) + 127, 1)
    return grades


def best_tables(found: Fit) -> tuple[int, np.ndarray, np.ndarray]:
    """Tables by distance from zero, or by symbol: whichever take fewer bits with the codes; 1 more than zero, or 0."""
    offers = []
    for fold in sorted({m.zero + 1 for m in found.matrices if m.modelled} | {0}):
        deltas, grades = tables_of(found, fold)
        frequency = frequencies(grades) if len(grades) else np.ones((0, 256), np.int64)
        counts = np.concatenate([c for _, _, c in found.sets] or [np.zeros((0, 256), np.int64)])
        how_often = np.bincount(deltas, minlength=256)
        spent = float((counts * -np.log2(np.maximum(frequency, 1) / WHOLE)).sum())
        spent += float((how_often * -np.log2(np.maximum(how_often, 1) / max(len(deltas), 1))).sum())
        offers.append((spent, fold, deltas, grades))
    return min(offers, key=lambda offer: offer[:2])[1:]


def tables_of(found: Fit, fold: int) -> tuple[np.ndarray, np.ndarray]:
    """What ``read_grades`` reads of the fit's tables, and uint8[T, 256]: their grades.

    A rare symbol's best grade is uncertain: it gets the one in reach that is cheapest to send.
    """
    deltas: list[int] = []
    rows: list[np.ndarray] = []
    before = [127] * 256
    first = count = 0
    for _, spans, counts_TS in found.sets:
        for span, given_S in zip(spans, counts_TS, strict=True):
            counts_S = _folded(given_S, fold - 1) if fold else given_S
            best = grades_of(counts_S[None])[0]
            used = np.flatnonzero(best)
            now_first, now_count = int(used[0]), int(used[-1] - used[0])
            deltas += [span - 1 + 128 & 255, now_first - first + 128 & 255, now_count - count + 128 & 255]
            first, count, error = now_first, now_count, 0
            # A grade that is off by d costs count * (d * ln 2 / 8) ** 2 / 2 / ln 2 bits.
            reach_S = np.sqrt(_FREE_BITS * 2 * 64 / np.log(2) / np.maximum(counts_S, 0.3)).astype(np.int64)
            now = [0] * 256
            for symbol in range(first, first + count + 1):
                expected, wanted, reach = before[symbol] + error, int(best[symbol]), int(reach_S[symbol])
                now[symbol] = min(max(expected, wanted - reach, 1), wanted + reach, 127)
                deltas.append(now[symbol] - expected + 128 & 255)
                error = now[symbol] - before[symbol]
            rows.append(np.array(now, np.uint8))
            before = [now[min(max(symbol, first), first + count)] for symbol in range(256)]
    grades = np.array(rows, np.uint8).reshape(-1, 256)
    if fold:
        grades = grades[:, np.abs(np.arange(256) - (fold - 1))]
    return np.array(deltas, np.uint8), grades


def _folded(counts_S: np.ndarray, zero: int) -> np.ndarray:
    """float64[256]: mean counts by distance from the symbol ``zero``."""
    distance = np.abs(np.arange(256) - zero)
    found = np.asarray(np.bincount(distance, counts_S, 256), np.float64)
    found[1 : min(zero, 255 - zero) + 1] /= 2
    return found


def number(value: int) -> bytes:
    """7 bits a byte, the lowest first; the top bit says that more follow."""
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


def _lzma(data: bytes) -> bytes:
    return lzma.compress(data, format=lzma.FORMAT_RAW, filters=[{**LZMA_FILTER, "preset": 9 | lzma.PRESET_EXTREME}])


def cost_table(section: Section) -> CostTable:
    """What each code of a section would cost, its classes and tables fitted to this section alone."""
    y = section.layout
    if y.alphabet is None or n_planes(y) > 1:
        raise InputError(f"the {y.part} of `{y.tensor}` have no cost table", "only codes of 8 bits have one")
    (m,) = planes(section)
    low, high = y.alphabet
    if not m.symbols_RC.size:
        return CostTable(np.zeros(m.symbols_RC.shape, np.uint8), np.zeros((1, high - low + 1), np.float32), low)
    found = fit([m], most_tables_for(y.count))
    _, _, grades = best_tables(found)
    # A symbol that no code has yet would take a grade of its own: it costs what the rarest that a table can have does.
    bits = PRECISION - np.log2(np.maximum(frequencies(grades)[:, : high - low + 1], 1))
    context = found.table_RC(m)
    return CostTable(context.astype(np.uint8 if len(bits) < 257 else np.uint16), bits.astype(np.float32), low)
