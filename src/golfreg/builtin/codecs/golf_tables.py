"""Frequency tables and the interleaved rANS decoder of the codec `golf`. Integers only: equal on every machine.

Legend: T tables, L lanes. A table gives each of 256 symbols a whole number of 65536ths.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from golfreg.api.errors import InputError

PRECISION = 16
LOW = 1 << 20
"""A lane's state stays in [LOW, LOW << 16): 16-bit words, and no measurable loss at 16 bits of precision."""
MANTISSA = np.array([128, 140, 152, 166, 181, 197, 215, 235], np.int64)
"""128 * 2 ** (i / 8)."""
_PIECE = 1 << 16


def frequencies(grades: np.ndarray) -> np.ndarray:
    """int64[T, 256] whose rows add up to 65536, of uint8[T, 256] grades: 0 is never, 8 more is twice as often."""
    weights = np.where(grades > 0, MANTISSA[grades & 7] << (grades.astype(np.int64) >> 3), 0)
    totals = weights.sum(1, keepdims=True)
    if not totals.all() or grades.max(initial=0) > 127:
        raise InputError("the coded stream has a table without symbols, or with grades that are too high")
    found = np.where(weights > 0, np.maximum((weights << PRECISION) // totals, 1), 0)
    most = found.argmax(1)
    # At most 256 symbols were raised to 1, and the most frequent one has at least 256 of 65536.
    found[np.arange(len(found)), most] += (1 << PRECISION) - found.sum(1)
    return found


class Decoder:
    """Symbols of a coded stream, in batches. Lane i holds every L-th symbol of a batch, from its i-th on."""

    def __init__(self, data: bytes, n_lanes: int) -> None:
        if len(data) < 4 * n_lanes or len(data) % 2:
            raise _ended()
        self.state_L = np.frombuffer(data, "<u4", n_lanes).astype(np.int64)
        self.words = np.frombuffer(data, "<u2", offset=4 * n_lanes)
        self.at = 0
        self._renew(self.state_L)

    def use(self, frequency: np.ndarray) -> None:
        """Decode with these tables from now on."""
        starts = frequency.cumsum(1) - frequency
        self.symbol_of = np.repeat(np.tile(np.arange(256, dtype=np.uint8), len(frequency)), frequency.reshape(-1))
        self.frequency_start = (frequency << 20 | starts).reshape(-1)

    def take(self, tables: np.ndarray) -> np.ndarray:
        """uint8: one symbol for each number of a table."""
        found = np.empty(len(tables), np.uint8)
        step = max(_PIECE // len(self.state_L), 1) * len(self.state_L)
        for start in range(0, len(tables), step):
            self._take(tables[start : start + step].astype(np.int64), found[start : start + step])
        return found

    def _take(self, table: np.ndarray, found: np.ndarray) -> None:
        at_slots, at_symbols = table << PRECISION, table << 8
        lanes = len(self.state_L)
        slot_L, index_L, pair_L = np.empty((3, lanes), np.int64)
        for start in range(0, len(table), lanes):
            end = min(start + lanes, len(table))
            n = end - start
            x, slot, index, pair, symbol = self.state_L[:n], slot_L[:n], index_L[:n], pair_L[:n], found[start:end]
            np.bitwise_and(x, (1 << PRECISION) - 1, out=slot)
            np.add(at_slots[start:end], slot, out=index)
            self.symbol_of.take(index, out=symbol, mode="clip")
            np.add(at_symbols[start:end], symbol, out=index)
            self.frequency_start.take(index, out=pair, mode="clip")
            np.right_shift(x, PRECISION, out=x)
            np.right_shift(pair, 20, out=index)
            np.multiply(x, index, out=x)
            np.add(x, slot, out=x)
            np.bitwise_and(pair, (1 << 20) - 1, out=pair)
            np.subtract(x, pair, out=x)
            self._renew(x)

    def _renew(self, x: np.ndarray) -> None:
        (low,) = (x < LOW).nonzero()
        words = self.words[self.at : self.at + len(low)]
        self.at += len(low)
        if len(words) < len(low):
            raise _ended()
        x[low] = x[low] << 16 | words

    def finish(self) -> None:
        """All words were used and every lane is where the encoder began, or InputError."""
        if self.at != len(self.words) or (self.state_L != LOW).any():
            raise InputError("the coded stream is damaged: its lanes do not end where they began")


class Numbers:
    """Whole numbers from a stream's first bytes."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def byte(self) -> int:
        if self.at >= len(self.data):
            raise _ended()
        self.at += 1
        return self.data[self.at - 1]

    def number(self, highest: int) -> int:
        """7 bits a byte, the lowest first; the top bit says that more follow."""
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 127) << shift
            shift += 7
            if value > highest or shift > 63:
                raise InputError(f"the coded stream has {value:,} where at most {highest:,} makes sense")
            if byte < 128:
                return value

    def rest(self) -> bytes:
        return self.data[self.at :]


def read_grades(deltas: Sequence[int], n_tables: int) -> tuple[list[int], np.ndarray]:
    """How many classes each table is for, and uint8[T, 256] grades, from one list of bytes.

    A table: its classes less 1; its first symbol and number of symbols less 1, as what differs from the table
    before; then for each symbol what its grade differs from that of the table before plus what the symbol
    before differed. All modulo 256, plus 128. A table goes on beyond its ends with the grades that it has there.
    """
    grades = np.zeros((n_tables, 256), np.uint8)
    spans = []
    before = [127] * 256
    at = first = count = 0
    for table in range(n_tables):
        if at + 3 > len(deltas):
            raise _ended()
        spans.append((deltas[at] - 128 & 255) + 1)
        first, count = (first + deltas[at + 1] - 128) & 255, (count + deltas[at + 2] - 128) & 255
        at += 3
        if first + count > 255 or at + count + 1 > len(deltas):
            raise InputError("the coded stream has a table of more than 256 symbols")
        now, error = [0] * 256, 0
        for symbol in range(first, first + count + 1):
            now[symbol] = (before[symbol] + error + deltas[at] - 128) & 255
            error = now[symbol] - before[symbol]
            at += 1
        grades[table] = now
        before = [now[min(max(symbol, first), first + count)] for symbol in range(256)]
    if at != len(deltas):
        raise InputError("the coded stream has more bytes of tables than tables")
    return spans, grades


def _ended() -> InputError:
    return InputError("the coded stream ends early")
