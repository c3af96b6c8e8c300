"""Bytes of coded streams by section, role and part. NumPy only."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from golfreg.api.values import Layout, Stream


def section_bytes(
    layouts: Sequence[Layout], streams: Sequence[Stream], arrays: Sequence[np.ndarray] | None
) -> list[tuple[int, bool]]:
    """For each section its coded bytes, and whether they are a share of a stream that holds others too.

    A stream's bytes are shared out by the order-0 entropy of each section, to whole bytes that add
    up to the stream's; by uncompressed size where ``arrays`` is None.
    """
    found: list[tuple[int, bool]] = [(0, False)] * len(layouts)
    for stream in streams:
        if arrays is None:
            weights = [float(layouts[i].nbytes) for i in stream.sections]
        else:
            weights = [entropy_bits(arrays[i]) for i in stream.sections]
        shared = len(stream.sections) > 1
        for i, share in zip(stream.sections, apportion(len(stream.data), weights), strict=True):
            found[i] = (share, shared)
    return found


def entropy_bits(array: np.ndarray) -> float:
    """Bits of an ideal order-0 code of the array, each byte position of an item by itself."""
    planes = np.frombuffer(array.tobytes(), np.uint8).reshape(-1, array.dtype.itemsize).T
    bits = 0.0
    for plane in planes:
        counts = np.bincount(plane)
        counts = counts[counts > 0]
        bits += float((counts * np.log2(len(plane) / counts)).sum())
    return bits


def apportion(total: int, weights: Sequence[float]) -> list[int]:
    """Whole numbers in proportion to ``weights`` that add up to ``total`` (largest remainders)."""
    whole = sum(weights)
    if whole <= 0:
        weights, whole = [1.0] * len(weights), float(len(weights))
    exact = [total * w / whole for w in weights]
    shares = [int(e) for e in exact]
    by_remainder = sorted(range(len(exact)), key=lambda i: shares[i] - exact[i])
    for i in by_remainder[: total - sum(shares)]:
        shares[i] += 1
    return shares


def totals(layouts: Sequence[Layout], sizes: Iterable[int], key: Callable[[Layout], str]) -> dict[str, int]:
    """Bytes by a key of the layouts, largest first."""
    found: dict[str, int] = {}
    for layout, size in zip(layouts, sizes, strict=True):
        found[key(layout)] = found.get(key(layout), 0) + size
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))
