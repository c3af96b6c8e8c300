"""Frequency tables and the interleaved rANS decoder of the codec `golf`. Integers only: equal on every machine.

Legend: T tables, L lanes. A table gives each of 256 symbols a whole number of 65535ths.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from golfreg.api.errors import InputError

PRECISION = 16
WHOLE = (1 << PRECISION) - 1
"""What a table adds up to, so that every frequency has 16 bits. The last slot is nobody's."""
LOW = 1 << 20
"""A lane's state stays in [LOW, LOW << 16): 16-bit words, and no measurable loss at 16 bits of precision."""
MANTISSA = np.array([128, 140, 152, 166, 181, 197, 215, 235], np.int64)
"""128 * 2 ** (i / 8)."""


def frequencies(grades: np.ndarray) -> np.ndarray:
    """int64[T, 256] whose rows add up to 65535, of uint8[T, 256] grades: 0 is never, 8 more is twice as often."""
    weights = np.where(grades > 0, MANTISSA[grades & 7] << (grades.astype(np.int64) >> 3), 0)
    totals = weights.sum(1, keepdims=True)
    if not totals.all() or grades.max(initial=0) > 127:
        raise InputError("the coded stream has a table without symbols, or with grades that are too high")
    found = np.where(weights > 0, np.maximum(weights * WHOLE // totals, 1), 0)
    most = found.argmax(1)
    # At most 256 symbols were raised to 1, and the most frequent one has at least 255 of 65535.
    found[np.arange(len(found)), most] += WHOLE - found.sum(1)
    return found


class Decoder:
    """Symbols of coded streams, in batches. Lane i holds every L-th symbol of a batch, from its i-th on."""

    def __init__(self) -> None:
        self.state_L = np.empty(0, np.int64)
        self.words = np.empty(0, "<u2")
        self.at = 0

    def begin(self, data: bytes, n_lanes: int) -> None:
        """The words of a stream, before them the states of new lanes; 0 lanes: those of the last stream go on."""
        if len(data) < 4 * n_lanes or len(data) % 2 or not (n_lanes or len(self.state_L)):
            raise _ended()
        self.words, self.at = np.frombuffer(data, "<u2", offset=4 * n_lanes), 0
        if n_lanes:
            self.check_lanes()
            self.state_L = np.frombuffer(data, "<u4", n_lanes).astype(np.int64)
            self._renew(self.state_L)

    def use(self, frequency: np.ndarray) -> None:
        """Decode with these tables from now on."""
        f = frequency.reshape(-1)
        self.symbol_of = np.repeat(np.tile(np.arange(256, dtype=np.uint8), len(frequency)), f)
        # By slot: the symbol's frequency, and below it how far into the symbol's range the slot is.
        start = (frequency.cumsum(1) - frequency).reshape(-1)
        self.pair_of = np.repeat(((f << PRECISION) - start).astype(np.uint32), f)
        self.pair_of.reshape(-1, WHOLE)[:] += np.arange(WHOLE, dtype=np.uint32)

    def take(self, at: np.ndarray) -> np.ndarray:
        """uint8: a symbol for each table, given as the int64 number of its first slot. ``at`` is used up."""
        lanes = len(self.state_L)
        slot_L, pair_L = np.empty((2, lanes), np.int64)
        found_L = np.empty(lanes, np.uint32)
        for start in range(0, len(at), lanes):
            where = at[start : start + lanes]
            n = len(where)
            x, slot, pair, found = self.state_L[:n], slot_L[:n], pair_L[:n], found_L[:n]
            np.bitwise_and(x, _MASK, out=slot)
            where += slot
            self.pair_of.take(where, out=found, mode="clip")
            np.copyto(pair, found)
            np.right_shift(x, _BITS, out=x)
            np.right_shift(pair, _BITS, out=slot)
            x *= slot
            pair &= _MASK
            x += pair
            self._renew(x)
        return self.symbol_of.take(at, mode="clip")

    def _renew(self, x: np.ndarray) -> None:
        (low,) = (x < _LOW).nonzero()
        end = self.at + len(low)
        if end > len(self.words):
            raise _ended()
        full = x[low]
        full <<= _BITS
        full |= self.words[self.at : end]
        x[low] = full
        self.at = end

    def finish(self) -> None:
        """All words of the stream were used, or InputError."""
        if self.at != len(self.words):
            raise _damaged()

    def check_lanes(self) -> None:
        """Every lane is where the encoder began, or InputError."""
        if (self.state_L != LOW).any():
            raise _damaged()


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
        last = first + count
        before = [now[first]] * first + now[first : last + 1] + [now[last]] * (255 - last)
    if at != len(deltas):
        raise InputError("the coded stream has more bytes of tables than tables")
    return spans, grades


def _ended() -> InputError:
    return InputError("the coded stream ends early")


def _damaged() -> InputError:
    return InputError("the coded stream is damaged: its lanes do not end where they began")


_BITS, _MASK, _LOW = np.array(PRECISION), np.array(WHOLE), np.array(LOW)
"""Operators take an array of no dimensions sooner than a number."""
