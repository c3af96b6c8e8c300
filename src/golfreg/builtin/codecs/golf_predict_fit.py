"""Chooses the weights with which columns predict each other, for the codec `golf`. Encoding only.

Legend: R rows, C columns.
"""

from __future__ import annotations

import numpy as np

from golfreg.builtin.codecs.golf_predict import MOST_COLUMNS, expected, weights_from

SHIFTS = (3, 4, 5, 6)
DEAD_ZONES = (0.5, 0.65, 0.8, 1.0)
_LEAST_GAIN = 0.002


def predicted(symbols_RC: np.ndarray, zero: int) -> tuple[np.ndarray, np.ndarray, int] | None:
    """What remains of the symbols (plus 128), the symbols of the weights, and their shift; None if it does not pay.

    Weights are the conditional means' of a Gaussian of the columns' second moments, rounded to a grid and to zero
    within a dead zone: of 16 grids and zones the one with the fewest estimated bits, if the codes agree.
    """
    rows, columns = symbols_RC.shape
    if not 8 <= columns <= min(rows, MOST_COLUMNS) or rows * columns < 1 << 14:
        return None
    codes_RC = symbols_RC.astype(np.float64) - zero
    moment_CC = codes_RC.T @ codes_RC / rows
    moment_CC[np.diag_indices(columns)] += 1 / 12
    weight_CC = _weights(moment_CC)
    upper = np.triu_indices(columns, 1)
    plain_C = np.diag(moment_CC)
    best: tuple[float, np.ndarray, int] | None = None
    for shift in SHIFTS:
        scaled = weight_CC * 2.0**shift
        for dead in DEAD_ZONES:
            whole_CC = np.clip(np.sign(scaled) * np.floor(np.abs(scaled) + 1 - dead), -127, 127)
            left_CC = np.eye(columns) - whole_CC * 0.5**shift
            spread_C = ((moment_CC @ left_CC) * left_CC).sum(0)
            bits = rows * 0.5 * float(np.log2(spread_C / plain_C).sum()) + _entropy(whole_CC[upper].astype(np.int64))
            if best is None or bits < best[0]:
                best = bits, whole_CC, shift
    assert best is not None
    bits, whole_CC, shift = best
    if bits > -_LEAST_GAIN * rows * columns:
        return None
    weights = (whole_CC[upper] + 128).astype(np.uint8)
    rest = residuals(symbols_RC, weights, shift, zero)
    gain = _by_spread(symbols_RC, zero) - _by_spread(rest, 128) - _entropy(weights)
    return (rest, weights, shift) if gain > _LEAST_GAIN * rows * columns else None


def residuals(symbols_RC: np.ndarray, weights: np.ndarray, shift: int, zero: int) -> np.ndarray:
    """uint8[R, C]: each symbol less what is expected of it, plus 128, modulo 256."""
    rows, columns = symbols_RC.shape
    weight_CC = weights_from(weights, columns)
    found = np.empty((rows, columns), np.uint8)
    step = max((1 << 22) // columns, 1)
    for start in range(0, rows, step):
        part = symbols_RC[start : start + step].astype(np.int64)
        known_CR = (part.T - zero).astype(weight_CC.dtype)
        middle_CR = expected(known_CR, weight_CC.T, np.zeros((), weight_CC.dtype), shift) + zero
        found[start : start + step] = (part - middle_CR.T + 128) & 255
    return found


def _weights(moment_CC: np.ndarray) -> np.ndarray:
    """float64[C, C]: column c holds the weights of the columns before c in the conditional mean of c."""
    columns = len(moment_CC)
    loaded = moment_CC + 1e-6 * np.trace(moment_CC) / columns * np.eye(columns)
    inverse = np.linalg.inv(np.linalg.cholesky(loaded))
    return np.asarray(np.triu(-(inverse / np.diag(inverse)[:, None]).T, 1))


def _entropy(values: np.ndarray) -> float:
    counts = np.unique(values, return_counts=True)[1]
    return float((counts * np.log2(len(values) / counts)).sum())


def _by_spread(symbols_RC: np.ndarray, zero: int) -> float:
    """Bits of the symbols with a table for the columns of each spread, a quarter octave wide."""
    distance = np.abs(np.arange(256) - zero).astype(np.float32)
    counts_C = [np.bincount(column, minlength=256) for column in symbols_RC.T]
    kind_C = np.rint(4 * np.log2([c @ distance / len(symbols_RC) + 0.05 for c in counts_C]))
    bits = 0.0
    for kind in np.unique(kind_C):
        counts = np.sum([c for c, k in zip(counts_C, kind_C, strict=True) if k == kind], 0)
        counts = counts[counts > 0]
        bits += float((counts * np.log2(counts.sum() / counts)).sum())
    return bits
