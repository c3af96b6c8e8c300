"""What the sections of a model are, so that models can be compared: matrices of attention and of state-space layers.

The role ``out`` is in both, so the layer that a tensor belongs to decides: a block is all tensors whose
names begin alike, and is a state-space one if it has an ``in_proj``, attention if it has a ``qkv``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from golfreg.api.errors import GolfregError
from golfreg.api.values import ITEM_BYTES, Layout, Section
from golfreg.pack.attribution import entropy_bits

SSM, ATTENTION, OTHER = "mamba", "attention", "other"
IN_PROJ, QKVO = "in_proj", "qkv and out"
"""Keys of matrices that are coded together, beside each alone."""


@dataclass(frozen=True)
class Blocks:
    """``kinds``: block to kind. ``keys``: for each section what it is."""

    kinds: dict[str, str]
    keys: tuple[str, ...]

    def count(self, kind: str) -> int:
        return sum(found == kind for found in self.kinds.values())


def block_of(tensor: str) -> str:
    """``blocks.3.mixer`` of ``blocks.3.mixer.in_proj.weight``; of what a block holds itself, the block."""
    return tensor.removesuffix(".weight").rpartition(".")[0]


def find_blocks(layouts: Sequence[Layout]) -> Blocks:
    """What each section is."""
    kinds: dict[str, str] = {}
    for layout in layouts:
        if layout.role in ("in_proj", "qkv"):
            kinds[block_of(layout.tensor)] = SSM if layout.role == "in_proj" else ATTENTION
    return Blocks(kinds, tuple(_key(layout, kinds.get(block_of(layout.tensor), OTHER)) for layout in layouts))


def coded_alone(sections: Sequence[Section], target: Any, config: Any) -> dict[str, dict[str, Any]]:
    """Each key coded apart from all others, and in_proj and attention's matrices each as a whole.

    By key: ``parameters``, ``raw_bytes`` (uncompressed), ``bytes`` (codes, scales and raw values),
    ``ideal_bytes`` (their order-0 entropy). GolfregError of a codec that cannot.
    """
    blocks = find_blocks([s.layout for s in sections])
    together: dict[str, list[Section]] = {}
    for section, key in zip(sections, blocks.keys, strict=True):
        together.setdefault(key, []).append(section)
        if section.layout.role == "in_proj":
            together.setdefault(IN_PROJ, []).append(section)
        elif key in ("qkv", f"{ATTENTION} out"):
            together.setdefault(QKVO, []).append(section)
    return {key: _coded(members, target, config) for key, members in together.items()}


def whole(found: dict[str, dict[str, Any]], field: str) -> int:
    """A figure of the whole model: in_proj as one, every other key once."""
    return sum(int(row[field]) for key, row in found.items() if key != QKVO and not key.startswith(f"{IN_PROJ}."))


def block_figure(found: dict[str, dict[str, Any]], kind: str, field: str) -> int:
    """A figure of all mixers of a kind together."""
    keys = [IN_PROJ, f"{SSM} out", f"{SSM} rest"] if kind == SSM else ["qkv", f"{ATTENTION} out", f"{ATTENTION} rest"]
    return sum(int(found[key][field]) for key in keys if key in found)


def _key(layout: Layout, kind: str) -> str:
    if layout.role == "in_proj":
        return f"{IN_PROJ}.{layout.group or 'all'}"
    if layout.role == "qkv":
        return "qkv"
    if kind != OTHER:
        return f"{kind} {layout.role if layout.role == 'out' else 'rest'}"
    return layout.role


def _coded(members: Sequence[Section], target: Any, config: Any) -> dict[str, Any]:
    try:
        nbytes = sum(len(stream.data) for stream in target.encode(members, config))
    except (ValueError, OverflowError, MemoryError) as error:
        raise GolfregError(f"it failed on {members[0].layout.tensor}: {error}") from error
    return {
        "parameters": sum(s.layout.count for s in members if s.layout.part != "scale"),
        "raw_bytes": sum(s.layout.count * ITEM_BYTES[s.layout.dtype] for s in members),
        "bytes": nbytes,
        "ideal_bytes": sum(entropy_bits(np.ascontiguousarray(s.data)) for s in members) / 8,
    }
