"""Prediction of a matrix's columns from the columns before them, for the codec `golf`.

Legend: R rows, C columns. ``weight_CC[j, c]`` is a whole number of 2**-shift: what column j counts in column c.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

MOST_COLUMNS = 2048
_EXACT_COLUMNS = 512
_BLOCK = 16


def weights_from(symbols: np.ndarray, columns: int) -> np.ndarray:
    """float[C, C], zero but above the diagonal, of C * (C - 1) / 2 symbols, a row of weights after the other.

    A product of it and codes is a sum of whole numbers below 256 * 128. Of at most 512 columns every partial sum is
    below 2**24 and exact in float32, in whatever order and with or without fused operations; else float64 has room.
    """
    found = np.zeros((columns, columns), np.float32 if columns <= _EXACT_COLUMNS else np.float64)
    found[np.triu_indices(columns, 1)] = symbols.astype(np.int16) - 128
    return found


def expected(known_CR: np.ndarray, weight_C: np.ndarray, before: np.ndarray, shift: int) -> np.ndarray:
    """int64[R]: the sum, rounded to a whole number; scaling by a power of 2 is exact."""
    return np.asarray(np.floor((before + weight_C @ known_CR) * 0.5**shift + 0.5), np.int64)


def restore(
    rows: int, weight_CC: np.ndarray, shift: int, zero: int, residual_of: Callable[[int], np.ndarray]
) -> np.ndarray:
    """uint8[R, C] symbols, column after column; ``residual_of(c)`` gives a column of what was coded, plus 128."""
    columns = len(weight_CC)
    known_CR = np.zeros((columns, rows), weight_CC.dtype)
    symbols_CR = np.empty((columns, rows), np.uint8)
    for start in range(0, columns, _BLOCK):
        end = min(start + _BLOCK, columns)
        before_BR = weight_CC[:start, start:end].T @ known_CR[:start]
        for c in range(start, end):
            middle = expected(known_CR[start:c], weight_CC[start:c, c], before_BR[c - start], shift) + zero
            symbols_CR[c] = (residual_of(c) + middle - 128) & 255
            known_CR[c] = symbols_CR[c].astype(np.int16) - zero
    return np.ascontiguousarray(symbols_CR.T)
