"""Chooses the weights with which columns predict each other, for the codec `golf`. Encoding only.

Legend: R rows, C columns.
"""

from __future__ import annotations

import numpy as np

from golfreg.builtin.codecs.golf_predict import MOST_COLUMNS, expected, weights_from

SHIFTS = (3, 4, 5, 6)
DEAD_ZONES = (0.5, 0.65, 0.8, 1.0)
_LEAST_GAIN = 0.002
_LEAST_ROWS = 32
_SAMPLE_ROWS = 512
_ALIKE = 0.9


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


def rows_apart(symbols_RC: np.ndarray, zero: int) -> np.ndarray | None:
    """bool[R]: the largest group found of rows that are almost equal; None if coding them apart does not pay."""
    rows, columns = symbols_RC.shape
    if rows < _LEAST_ROWS or columns < _LEAST_ROWS:
        return None
    sample = np.unique(np.linspace(0, rows - 1, _SAMPLE_ROWS).astype(int))
    codes_SC = symbols_RC[sample].astype(np.float32) - zero
    like_SS = codes_SC @ codes_SC.T
    length_S = np.sqrt(np.maximum(np.diag(like_SS), 1))
    near_S = (like_SS > _ALIKE * length_S[:, None] * length_S[None]).sum(1)
    best = int(near_S.argmax())
    if near_S[best] < 4:
        return None
    like_C = codes_SC[best]
    for _ in range(2):
        codes_RC = symbols_RC.astype(np.float32) - zero
        flag_R = np.abs(codes_RC - like_C).mean(1) < 0.5 * np.abs(codes_RC).mean(1)
        if not flag_R.any():
            return None
        like_C = np.rint(np.median(codes_RC[flag_R], 0))
    rest = (symbols_RC[flag_R] - like_C.astype(np.int64) - zero + 128).astype(np.uint8)
    apart = _entropy(flag_R) + _entropy(rest.reshape(-1)) + 8 * columns
    if not flag_R.all():
        apart += _entropy(symbols_RC[~flag_R].reshape(-1))
    return flag_R if apart < 0.999 * _entropy(symbols_RC.reshape(-1)) else None


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
