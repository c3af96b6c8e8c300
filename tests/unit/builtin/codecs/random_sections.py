"""Random sections of odd shapes and extreme values, and mutants of coded streams. No test by itself."""

from __future__ import annotations

import random

import numpy as np

from golfreg.api import ITEM_BYTES, STORAGE_DTYPE, Layout, Section, Stream

DTYPES = {"int8": (-128, 127), "uint8": (0, 255), "int16": (-32768, 32767)}


def random_section(draw: np.random.Generator, number: int, most: int = 4000) -> Section:
    """Codes, scales or raw values; from empty to ``most`` elements."""
    kind = draw.choice(["codes", "codes", "codes", "scale", "raw"])
    shape = _shape(draw, most)
    size = int(np.prod(shape))
    if kind != "codes":
        dtype = str(draw.choice(list(ITEM_BYTES)))
        raw = draw.integers(0, 256, size * ITEM_BYTES[dtype], dtype=np.uint8)
        if draw.random() < 0.5:
            raw[:] = np.repeat(raw[:1] if size else raw, len(raw))
        data = raw.view(STORAGE_DTYPE[dtype]).reshape(shape)
        return Section(Layout(f"t{number}", str(kind), "scalar", shape, dtype), data)
    dtype = str(draw.choice(list(DTYPES)))
    lowest, highest = DTYPES[dtype]
    low = int(draw.integers(lowest, highest + 1))
    high = int(draw.integers(low, highest + 1))
    alphabet = [(low, high), (lowest, highest), (low, low)][int(draw.integers(3))]
    values = _values(draw, shape, *alphabet)
    codes = np.clip(values, *alphabet).astype(dtype)
    role = str(draw.choice(["qkv", "embedding", "mlp_down"]))
    layout = Layout(f"t{number}", "codes", role, shape, dtype, "", alphabet)
    return Section(layout, np.ascontiguousarray(codes).reshape(shape))


def _shape(draw: np.random.Generator, most: int) -> tuple[int, ...]:
    shape: list[int] = []
    for _ in range(int(draw.integers(0, 4))):
        shape.append(int(draw.choice([0, 1, 2, 3, 7, 16, 33, 64, 257], p=[0.02, *[0.98 / 8] * 8])))
        if np.prod(shape) > most:
            shape[-1] = 1
    return tuple(shape)


def _values(draw: np.random.Generator, shape: tuple[int, ...], low: int, high: int) -> np.ndarray:
    middle, spread = (low + high) / 2, (high - low) / draw.choice([2, 6, 20])
    match int(draw.integers(5)):
        case 0:
            return draw.integers(low, high + 1, shape)
        case 1:
            return np.full(shape, int(draw.integers(low, high + 1)))
        case 2:
            return np.rint(draw.normal(middle, spread, shape))
        case 3 if len(shape) == 2:
            scale = np.exp(draw.normal(0, 1, (1, shape[1])) + draw.normal(0, 0.5, (shape[0], 1)))
            return np.rint(draw.standard_t(4, shape) * spread / 3 * scale)
        case _ if len(shape) == 2 and shape[1]:
            mixed = draw.normal(0, spread, (shape[0], 3)) @ draw.normal(0, 1, (3, shape[1]))
            mixed[: shape[0] // 3] = mixed[:1]
            return np.rint(mixed + draw.normal(0, 0.5, shape))
    return np.rint(draw.standard_cauchy(shape))


def mutant(draw: random.Random, streams: list[Stream]) -> list[Stream]:
    """One stream's bytes flipped, cut, spliced, overwritten, or its first bytes replaced."""
    which = draw.randrange(len(streams))
    data = bytearray(streams[which].data)
    for _ in range(draw.choice((1, 1, 2, 5))):
        # Most of what can go wrong is in the first bytes.
        at = draw.randrange(min(len(data), 80) if draw.random() < 0.6 and data else len(data) + 1)
        match draw.randrange(6):
            case 0 if at < len(data):
                data[at] ^= 1 << draw.randrange(8)
            case 1:
                del data[at : at + draw.choice((1, 2, 8, 1000))]
            case 2:
                data[at:at] = draw.randbytes(draw.choice((1, 4, 64)))
            case 3:
                data[at : at + 4] = draw.choice((b"\xff" * 4, bytes(4), b"\xff\xff\xff\x7f", b"\x80\0\0\0"))
            case 4 if at < len(data):
                data[at] = draw.randrange(256)
            case _:
                other = draw.randrange(len(data) + 1)
                data[at : at + 16] = data[other : other + 16]
    return [*streams[:which], Stream(streams[which].sections, bytes(data)), *streams[which + 1 :]]
