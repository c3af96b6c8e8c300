"""Bytes of sections added up by tensor, role or row group, beside what an ideal order-0 code would take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from golfreg.api.values import Layout
from golfreg.pack.attribution import entropy_bits

PARTS = ("codes", "scale", "raw")


@dataclass(frozen=True)
class Measured:
    """One section's bytes. ``shared``: a share of a stream that holds others too. ``ideal_bits``: None if unknown.

    ``ideal_bits`` is the section's order-0 entropy, each byte of an item by itself, without the
    table of frequencies that a decoder would need.
    """

    layout: Layout
    nbytes: int
    shared: bool
    ideal_bits: float | None


@dataclass(frozen=True)
class Row:
    """Sections of one key. ``parameters``: elements that are no scales. Bytes are those of coded streams.

    ``ideal_bytes`` and the ideals by part are None where the weights could not be decoded.
    """

    key: str
    tensors: int
    parameters: int
    codes_bytes: int
    scale_bytes: int
    raw_bytes: int
    codes_ideal_bytes: float | None
    scale_ideal_bytes: float | None
    raw_ideal_bytes: float | None
    attributed: bool

    @property
    def bytes(self) -> int:
        return self.codes_bytes + self.scale_bytes + self.raw_bytes

    @property
    def ideal_bytes(self) -> float | None:
        ideals = (self.codes_ideal_bytes, self.scale_ideal_bytes, self.raw_ideal_bytes)
        return None if None in ideals else sum(i for i in ideals if i is not None)

    @property
    def bits_per_parameter(self) -> float:
        return bits(self.bytes, self.parameters)

    @property
    def ideal_bits_per_parameter(self) -> float | None:
        return None if self.ideal_bytes is None else bits(self.ideal_bytes, self.parameters)

    def facts(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return {
            **asdict(self),
            "bytes": self.bytes,
            "ideal_bytes": self.ideal_bytes,
            "bits_per_parameter": self.bits_per_parameter,
            "ideal_bits_per_parameter": self.ideal_bits_per_parameter,
        }


def measured(
    layouts: Sequence[Layout], sizes: Sequence[tuple[int, bool]], arrays: Sequence[np.ndarray] | None
) -> list[Measured]:
    """``sizes``: bytes of each section and whether they are a share, as ``section_bytes`` gives them."""
    return [
        Measured(layout, size, shared, None if arrays is None else entropy_bits(arrays[i]))
        for i, (layout, (size, shared)) in enumerate(zip(layouts, sizes, strict=True))
    ]


def rows(sections: Sequence[Measured], key: Callable[[Layout], str]) -> list[Row]:
    """One row for each key, the largest first."""
    together: dict[str, list[Measured]] = {}
    for section in sections:
        together.setdefault(key(section.layout), []).append(section)
    return sorted((_row(name, members) for name, members in together.items()), key=lambda row: (-row.bytes, row.key))


def by_group(layout: Layout) -> str:
    """``role.group``, as overrides of a quantizer name it; the role where it has no row groups."""
    return f"{layout.role}.{layout.group}" if layout.group else layout.role


def bits(nbytes: float, count: int) -> float:
    """Bits for each of ``count``; 0 for none."""
    return 8 * nbytes / count if count else 0.0


def _row(name: str, members: Sequence[Measured]) -> Row:
    sizes = {part: sum(m.nbytes for m in members if m.layout.part == part) for part in PARTS}
    ideals: dict[str, float | None] = {}
    for part in PARTS:
        found = [m.ideal_bits for m in members if m.layout.part == part]
        known = [b for b in found if b is not None]
        ideals[part] = sum(known) / 8 if len(known) == len(found) else None
    return Row(
        key=name,
        tensors=len({m.layout.tensor for m in members}),
        parameters=sum(m.layout.count for m in members if m.layout.part != "scale"),
        codes_bytes=sizes["codes"],
        scale_bytes=sizes["scale"],
        raw_bytes=sizes["raw"],
        codes_ideal_bytes=ideals["codes"],
        scale_ideal_bytes=ideals["scale"],
        raw_ideal_bytes=ideals["raw"],
        attributed=any(m.shared for m in members),
    )
