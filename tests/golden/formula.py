"""Numbers by formula, the same wherever they are made: for weights and inputs that are not committed."""

from __future__ import annotations

import math
import zlib

import numpy as np


def values(name: str, shape: tuple[int, ...], *, scale: float = 1.0, mean: float = 0.0) -> np.ndarray:
    """float64, spread evenly over mean +- scale: splitmix64 of the index, offset by the CRC-32 of ``name``."""
    z = np.arange(1, math.prod(shape) + 1, dtype=np.uint64) + np.uint64(zlib.crc32(name.encode()) << 32)
    z *= np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    unit = (z >> np.uint64(11)).astype(np.float64) / 2.0**53
    return (mean + scale * (2.0 * unit - 1.0)).reshape(shape)


def tokens(shape: tuple[int, int], vocab_size: int, seed: int) -> np.ndarray:
    """int64 in [2, vocab_size): never the token 1, which starts a document."""
    unit = values(f"tokens {seed}", shape, scale=0.5, mean=0.5)
    return 2 + np.floor(unit * (vocab_size - 2)).astype(np.int64)
