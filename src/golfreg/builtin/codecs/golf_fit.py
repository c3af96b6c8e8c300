"""Fits the models of the codec `golf`: a class for each row and column, and tables by class. Encoding only.

A matrix's table is number ``offset + row class + column class`` of its set of tables, clipped to the set. In the
fit a class is a scale in eighths of an octave, absolute, so that matrices of different scales share tables; rows and
columns then move to the class under which they take the fewest bits, their own class's included.
Legend: R rows, C columns, S symbols (256), K classes, T tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

OCTAVE = 8
"""Classes an octave."""
MOST_CLASSES = 160
_LEAST_CODES = 2048
_ROUNDS = 3
_COARSE = 350
"""Of n codes a scale is known to within 1 / sqrt(2 n); steps of sqrt(6 / n) take the fewest bits, classes included."""
_TABLE_BITS = 12.0
_GRADE_BITS = 0.8
_BLOCK_BYTES = 1 << 26


@dataclass
class Matrix:
    """uint8 symbols, the one that stands for zero, and what was chosen for them."""

    symbols_RC: np.ndarray
    zero: int
    modelled: bool
    kind: str
    """Matrices of one kind start with one set of tables."""
    offset: int = 0
    column_C: np.ndarray | None = None
    row_R: np.ndarray | None = None
    group: int = 0
    """Its set of tables."""
    weights: np.ndarray | None = None
    """Of prediction; the symbols are then what remains, and zero is 128."""
    shift: int = 0
    instead_of: Matrix | None = None

    def table_RC(self) -> np.ndarray:
        """The class of every code, before it is clipped to the set's."""
        rows, columns = self.symbols_RC.shape
        row_R = np.zeros(rows, np.int16) if self.row_R is None else self.row_R
        column_C = np.zeros(columns, np.int16) if self.column_C is None else self.column_C
        return np.clip(row_R[:, None] + column_C[None] + np.int16(self.offset), 0, MOST_CLASSES - 1)

    def counts(self) -> np.ndarray:
        """[MOST_CLASSES, 256] codes by class and symbol."""
        return pair_counts(self.table_RC(), self.symbols_RC, MOST_CLASSES)


@dataclass
class Fit:
    """``sets``: for each its first class, how many classes each table is for, and counts[T, S]."""

    matrices: list[Matrix]
    sets: list[tuple[int, list[int], np.ndarray]] = field(default_factory=list)

    def table_RC(self, m: Matrix) -> np.ndarray:
        """The table of each code, in its set."""
        first, spans, _ = self.sets[m.group]
        return np.repeat(np.arange(len(spans), dtype=np.uint16), spans).take(m.table_RC() - first, mode="clip")

    def bits(self, m: Matrix | None) -> float:
        """About what a matrix takes: its codes under the tables that it shares, its classes and weights."""
        assert m is not None
        table_RC, counts_TS = self.table_RC(m), self.sets[m.group][2]
        share_TS = np.maximum(counts_TS, 0.3) / np.maximum(counts_TS.sum(1, keepdims=True), 1)
        spent = float((pair_counts(table_RC, m.symbols_RC, len(counts_TS)) * -np.log2(share_TS)).sum())
        for sent in (m.column_C, m.row_R, m.weights):
            if sent is not None:
                how_often = np.unique(sent, return_counts=True)[1]
                spent += float((how_often * np.log2(len(sent) / how_often)).sum())
        return spent


def fit(matrices: Sequence[Matrix], most_tables: int) -> Fit:
    """Choose classes and at most so many tables for the matrices of one stream."""
    kinds = sorted({m.kind for m in matrices})
    members = {kind: [m for m in matrices if m.kind == kind] for kind in kinds}
    for kind in kinds:
        _choose_classes(members[kind])
    price = 1.0 if all(m.modelled for m in matrices) else 2.5
    found = _shared(matrices, price)
    idle = [m for m in matrices if not _pays(found, m, price)]
    for m in idle:
        m.column_C = m.row_R = None
        m.offset = MOST_CLASSES // 2
    if idle:
        found = _shared(matrices, price)
    while sum(len(spans) for _, spans, _ in found.sets) > most_tables:
        price *= 4
        found = _shared(matrices, price)
    return found


def _shared(matrices: Sequence[Matrix], price: float) -> Fit:
    """Which matrices share tables, and which classes."""
    counts = [m.counts() for m in matrices]
    groups = _merged(counts, price)
    for number, chosen in enumerate(groups):
        for i in chosen:
            matrices[i].group = number
    return Fit(list(matrices), [_tables(_total([counts[i] for i in chosen]), price) for chosen in groups])


def _pays(found: Fit, m: Matrix, price: float) -> bool:
    """Whether the classes of a matrix, with its part of the tables that are for them, take less than one table."""
    if m.column_C is None and m.row_R is None:
        return True
    counts_TS = found.sets[m.group][2]
    tables = price * (_TABLE_BITS * len(counts_TS) + _GRADE_BITS * float((counts_TS > 0).sum()))
    share = m.symbols_RC.size / float(counts_TS.sum())
    return found.bits(m) + share * tables < _cost(np.bincount(m.symbols_RC.reshape(-1), minlength=256)[None], price)


def _total(parts: Sequence[np.ndarray]) -> np.ndarray:
    return np.asarray(sum(parts[1:], parts[0]))


def pair_counts(rows: np.ndarray, symbols: np.ndarray, n: int) -> np.ndarray:
    """[n, 256] how often each pair occurs; ``rows`` broadcasts against ``symbols``."""
    found = np.zeros(n * 256, np.int64)
    step = max((1 << 20) // max(symbols.shape[1], 1), 1)
    for start in range(0, len(symbols), step):
        part = symbols[start : start + step]
        row = np.broadcast_to(rows if len(rows) == 1 else rows[start : start + step], part.shape)
        found += np.bincount((row.astype(np.int64) * 256 + part).reshape(-1), minlength=n * 256)
    return found.reshape(n, 256)


def _choose_classes(matrices: Sequence[Matrix]) -> None:
    fitted = [m for m in matrices if m.modelled and m.symbols_RC.size >= _LEAST_CODES and min(m.symbols_RC.shape) > 3]
    if not fitted:
        return
    for m in fitted:
        _start(m)
    column_bits = row_bits = np.full(MOST_CLASSES, 3.0)
    for last in (*[False] * (_ROUNDS - 1), True):
        bits_TS = smooth_bits(_total([m.counts() for m in fitted]))
        known: list[np.ndarray] = []
        for m in fitted:
            _move(m, bits_TS, column_bits, row_bits)
            if last:
                _settle(m, bits_TS, column_bits, row_bits, known)
        column_bits = _class_bits([m.column_C for m in fitted])
        row_bits = _class_bits([m.row_R for m in fitted])


def _start(m: Matrix) -> None:
    """Row and column scales by the mean of absolute values, each relative to the other's."""
    rows, columns = m.symbols_RC.shape
    size_S = np.abs(np.arange(256) - m.zero).astype(np.float32)
    row_R: np.ndarray = np.ones(rows, np.float32)
    column_C: np.ndarray = np.ones(columns, np.float32)
    for _ in range(2):
        column_C = _means(m, size_S, 1 / row_R, 0) + 1e-3
        row_R = _means(m, size_S, 1 / column_C, 1) + 1e-3
    rows_K, columns_K = OCTAVE * np.log2(row_R), OCTAVE * np.log2(column_C)
    middle = float(np.median(rows_K))
    m.row_R = np.clip(np.rint(rows_K - middle), -40, 40).astype(np.int16)
    m.column_C = np.clip(np.rint(columns_K + middle), -40, 60).astype(np.int16)
    m.offset = 40


def _means(m: Matrix, size_S: np.ndarray, weight: np.ndarray, axis: int) -> np.ndarray:
    """Mean over rows (axis 0) or columns of size times weight."""
    rows, columns = m.symbols_RC.shape
    step = max((1 << 22) // columns, 1)
    parts = []
    for start in range(0, rows, step):
        sizes = size_S[m.symbols_RC[start : start + step]]
        parts.append(weight[start : start + step] @ sizes if axis == 0 else sizes @ weight)
    return np.asarray(sum(parts) / rows if axis == 0 else np.concatenate(parts) / columns, np.float32)


def smooth_bits(counts_TS: np.ndarray) -> np.ndarray:
    """float32[T, S] bits of each symbol under each class; classes with few codes lean on their neighbours."""
    used = counts_TS.sum(0) > 0
    wide = np.zeros(counts_TS.shape)
    for shift in range(-12, 13):
        source = np.clip(np.arange(len(counts_TS)) + shift, 0, len(counts_TS) - 1)
        wide += counts_TS[source] * 0.5 ** abs(shift)
    prior = wide + 1e-3 * (counts_TS.sum(0) + used) / max(counts_TS.sum(), 1) + 1e-6 * used
    prior /= prior.sum(1, keepdims=True)
    mixed = counts_TS + 8 * prior
    mixed /= mixed.sum(1, keepdims=True)
    return np.asarray(-np.log2(np.maximum(mixed, 1e-9)), np.float32)


def _class_bits(vectors: Sequence[np.ndarray | None]) -> np.ndarray:
    """Bits of each class, coded relative to its vector's smallest. By distance from the vector's median."""
    away = [np.abs(v - int(np.median(v))) for v in vectors if v is not None]
    if not away:
        return np.full(MOST_CLASSES, 3.0)
    counts = np.bincount(np.concatenate(away), minlength=MOST_CLASSES)[:MOST_CLASSES] + 0.05
    both = counts.copy()
    both[1:] /= 2
    return np.asarray(np.log2(counts.sum()) - np.log2(both))


def _move(m: Matrix, bits_TS: np.ndarray, column_bits: np.ndarray, row_bits: np.ndarray) -> None:
    """Columns, then rows, to the classes under which they are cheapest."""
    assert m.row_R is not None
    assert m.column_C is not None
    cost_CK = _costs(m, bits_TS, 1)
    m.column_C = _cheapest(cost_CK, m.column_C, column_bits, len(m.row_R))
    cost_RK = _costs(m, bits_TS, 0)
    m.row_R = _cheapest(cost_RK, m.row_R, row_bits, len(m.column_C))


_SPAN = np.arange(-40, 61)


def _cheapest(cost: np.ndarray, now: np.ndarray, class_bits: np.ndarray, codes: int) -> np.ndarray:
    """The classes of vectors of so many ``codes`` each: a quarter of an octave apart where these are few."""
    away = np.abs(_SPAN - int(np.median(now)))
    bits = cost + class_bits[np.minimum(away, len(class_bits) - 1)]
    if codes < _COARSE:
        bits[:, away % 2 == 1] = np.inf
    return np.asarray(_SPAN[bits.argmin(1)], np.int16)


def _costs(m: Matrix, bits_TS: np.ndarray, axis: int, alone: bool = False) -> np.ndarray:
    """Bits of each column (axis 1) or row in each class of ``_SPAN``, the other's classes as they are or all 0."""
    symbols = m.symbols_RC if axis == 0 else m.symbols_RC.T
    other = m.column_C if axis == 0 else m.row_R
    if alone or other is None:
        other = np.zeros(symbols.shape[1], np.int16)
    kinds, which = np.unique(other, return_inverse=True)
    low, high = int(m.symbols_RC.min()), int(m.symbols_RC.max()) + 1
    width = high - low
    table_KJ = np.clip(_SPAN[:, None] + kinds[None] + m.offset, 0, MOST_CLASSES - 1)
    bits_JSK = np.ascontiguousarray(bits_TS[table_KJ, low:high].transpose(1, 2, 0)).reshape(-1, len(_SPAN))
    found = np.empty((len(symbols), len(_SPAN)), np.float32)
    step = max(_BLOCK_BYTES // (4 * width * len(kinds)), 1)
    step = min(step, max((1 << 22) // max(symbols.shape[1], 1), 1))
    where = which.astype(np.int64) * width - low
    for start in range(0, len(symbols), step):
        part = symbols[start : start + step]
        n = len(part)
        index = part + where[None] + (np.arange(n) * (width * len(kinds)))[:, None]
        counts = np.bincount(index.reshape(-1), minlength=n * width * len(kinds)).astype(np.float32)
        found[start : start + step] = counts.reshape(n, -1) @ bits_JSK
    return found


def _settle(
    m: Matrix, bits_TS: np.ndarray, column_bits: np.ndarray, row_bits: np.ndarray, known: list[np.ndarray]
) -> None:
    """Keep the classes of columns, of rows, of both or of neither, or another matrix's columns: what is smallest."""
    rows, columns = m.symbols_RC.shape
    assert m.row_R is not None
    assert m.column_C is not None

    def side(vector: np.ndarray, bits: np.ndarray) -> float:
        return float(bits[np.abs(vector - int(np.median(vector)))].sum()) + 24

    with_rows_CK = _costs(m, bits_TS, 1)
    both = float(with_rows_CK[np.arange(columns), m.column_C - _SPAN[0]].sum())
    offers: list[tuple[float, np.ndarray | None, np.ndarray | None]] = [
        (both + side(m.column_C, column_bits) + side(m.row_R, row_bits), m.column_C, m.row_R)
    ]
    alone_CK, alone_RK = _costs(m, bits_TS, 1, True), _costs(m, bits_TS, 0, True)
    constant = int(alone_CK.sum(0).argmin())
    offers.append((float(alone_CK.sum(0)[constant]), None, None))
    column_C = _cheapest(alone_CK, m.column_C, column_bits, rows)
    row_R = _cheapest(alone_RK, m.column_C, row_bits, columns)
    offers.append(
        (float(alone_CK[np.arange(columns), column_C - _SPAN[0]].sum()) + side(column_C, column_bits), column_C, None)
    )
    offers.append((float(alone_RK[np.arange(rows), row_R - _SPAN[0]].sum()) + side(row_R, row_bits), None, row_R))
    for vector in known[-12:]:
        if len(vector) != columns:
            continue
        for cost_CK, rows_R, extra in ((alone_CK, None, 0.0), (with_rows_CK, m.row_R, side(m.row_R, row_bits))):
            for shift in range(-24, 25):
                moved = np.clip(vector + shift, _SPAN[0], _SPAN[-1]).astype(np.int16)
                if (moved - shift != vector).any():
                    continue
                offers.append((float(cost_CK[np.arange(columns), moved - _SPAN[0]].sum()) + extra + 24, moved, rows_R))
    _, column_best, row_best = min(offers, key=lambda offer: offer[0])
    if column_best is None and row_best is None:
        m.offset += int(_SPAN[constant])
    m.column_C, m.row_R = column_best, row_best
    if column_best is not None:
        known.append(column_best)


def _merged(counts: Sequence[np.ndarray], price: float) -> list[list[int]]:
    """Matrices that share a set of tables: the two sets that save most by it become one, as long as any do."""
    if not counts:
        return []
    total_TS = _total(counts)
    crop = np.ix_(total_TS.any(1), total_TS.any(0))
    # G sets, of which those that became part of another are not alive.
    sums_GTS = np.array([c[crop] for c in counts], np.float64)
    costs_G = _costs_each(sums_GTS, price)
    groups = [[i] for i in range(len(counts))]
    alive_G = np.ones(len(counts), bool)
    saved_GG = np.full((len(counts), len(counts)), -np.inf)
    for i in range(1, len(counts)):
        saved_GG[i, :i] = costs_G[i] + costs_G[:i] - _costs_each(sums_GTS[:i] + sums_GTS[i], price)
    while True:
        i, j = divmod(int(saved_GG.argmax()), len(counts))
        if saved_GG[i, j] <= 0:
            return [sorted(groups[k]) for k in sorted(np.flatnonzero(alive_G), key=lambda k: min(groups[k]))]
        sums_GTS[j] += sums_GTS[i]
        costs_G[j] = _costs_each(sums_GTS[j][None], price)[0]
        groups[j] += groups[i]
        alive_G[i] = False
        saved_GG[i] = saved_GG[:, i] = -np.inf
        others = np.flatnonzero(alive_G)
        others = others[others != j]
        saved = costs_G[j] + costs_G[others] - _costs_each(sums_GTS[others] + sums_GTS[j], price)
        saved_GG[np.maximum(others, j), np.minimum(others, j)] = saved


def _costs_each(counts_GTS: np.ndarray, price: float) -> np.ndarray:
    """float64[G]: bits of codes under their own tables, and of the tables, for each of G sets."""
    totals_GT = counts_GTS.sum(2)
    entropy_G = _times_log(totals_GT).sum(1) - _times_log(counts_GTS).sum((1, 2))
    tables_G = _TABLE_BITS * (totals_GT > 0).sum(1) + _GRADE_BITS * (counts_GTS > 0).sum((1, 2))
    return np.asarray(entropy_G + price * tables_G, np.float64)


def _times_log(counts: np.ndarray) -> np.ndarray:
    return np.asarray(counts * np.log2(np.maximum(counts, 1)))


def _cost(counts_TS: np.ndarray, price: float) -> float:
    return float(_costs_each(counts_TS[None].astype(np.float64), price)[0])


def _tables(counts_TS: np.ndarray, price: float) -> tuple[int, list[int], np.ndarray]:
    """First class, spans and counts of a set: neighbours whose own tables do not pay share one."""
    used = np.flatnonzero(counts_TS.any(1))
    if not len(used):
        return 0, [1], counts_TS[:1]
    kept = list(counts_TS[used[0] : used[-1] + 1])
    own_TS = np.array(kept, np.float64)[:, counts_TS.any(0)]
    spans, costs = [1] * len(kept), _costs_each(own_TS[:, None], price).tolist()
    joint = _costs_each((own_TS[1:] + own_TS[:-1])[:, None], price).tolist()
    while joint:
        gains = [costs[i] + costs[i + 1] - joint[i] for i in range(len(joint))]
        i = int(np.argmax(gains))
        if gains[i] < 0:
            break
        kept[i : i + 2], costs[i : i + 2] = [kept[i] + kept[i + 1]], [joint[i]]
        spans[i : i + 2] = [spans[i] + spans[i + 1]]
        del joint[i]
        for k in (i - 1, i):
            if 0 <= k < len(joint):
                joint[k] = _cost((kept[k] + kept[k + 1])[None], price)
    return int(used[0]), spans, np.array(kept)
