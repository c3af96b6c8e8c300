"""Other codes for the same weights: shared scales, and the accounting errors of a published comparison.

R rows, C columns of a matrix or of one row group of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from golfreg.api.values import EMBEDDING_ROLES, Layout, Section

FLOOR = 1 / 127


def weights_of(sections: Sequence[Section], weights: Mapping[str, np.ndarray]) -> dict[tuple[str, str], np.ndarray]:
    """The weights of each coded section, float32[R, C], by (tensor, group): groups are rows in order."""
    found: dict[tuple[str, str], np.ndarray] = {}
    rows: dict[str, int] = {}
    for layout in (s.layout for s in sections if s.layout.part == "codes"):
        first = rows.get(layout.tensor, 0)
        found[layout.tensor, layout.group] = weights[layout.tensor][first : first + layout.shape[0]]
        rows[layout.tensor] = first + layout.shape[0]
    return found


def shared_scales(
    sections: Sequence[Section], weights: Mapping[str, np.ndarray], clip_std: Mapping[int, float]
) -> list[Section]:
    """One scale for each tensor, over all its row groups, clipped at the width's number of standard deviations.

    ``clip_std``: by bits. The scale, float32, is kept once, with the tensor's first row group.
    """
    of = weights_of(sections, weights)
    squares: dict[str, float] = {}
    counts: dict[str, int] = {}
    highest: dict[str, int] = {}
    for (tensor, _), rows_RC in of.items():
        squares[tensor] = squares.get(tensor, 0.0) + float(np.square(rows_RC, dtype=np.float64).sum())
        counts[tensor] = counts.get(tensor, 0) + rows_RC.size
    for section in sections:
        if section.layout.alphabet is not None:
            highest[section.layout.tensor] = max(highest.get(section.layout.tensor, 0), section.layout.alphabet[1])
    made: list[Section] = []
    have: set[str] = set()
    for section in sections:
        layout = section.layout
        tensor = layout.tensor
        if layout.part == "raw":
            made.append(section)
            continue
        top = highest[tensor]
        scale = np.float32(np.sqrt(squares[tensor] / max(counts[tensor], 1)) * clip_std[top.bit_length() + 1] / top)
        if layout.part == "codes":
            made.append(_coded(layout, of[tensor, layout.group], np.full(layout.shape[0], scale, np.float32)))
        elif tensor not in have:
            have.add(tensor)
            made.append(Section(replace(layout, shape=(), dtype="float32"), np.array(scale)))
    return made


def floored(sections: Sequence[Section], weights: Mapping[str, np.ndarray]) -> list[Section]:
    """Rows of the trunk whose scale is below 1/127 get that scale: the floor that an earlier script had."""
    of = weights_of(sections, weights)
    scales = {(s.layout.tensor, s.layout.group): s.data for s in sections if s.layout.part == "scale"}
    made = []
    for section in sections:
        layout = section.layout
        if layout.part == "raw" or layout.role in EMBEDDING_ROLES:
            made.append(section)
            continue
        key = layout.tensor, layout.group
        scale_R = np.maximum(scales[key].astype(np.float32), np.float32(FLOOR))
        made.append(
            _coded(layout, of[key], scale_R)
            if layout.part == "codes"
            else Section(layout, scale_R.astype(section.data.dtype))
        )
    return made


def pruned(sections: Sequence[Section], weights: Mapping[str, np.ndarray], share: float) -> list[Section]:
    """Of all codes +1 and -1 of the trunk, the ``share`` whose weights are nearest to zero becomes zero."""
    of = weights_of(sections, weights)
    scales = {(s.layout.tensor, s.layout.group): s.data for s in sections if s.layout.part == "scale"}

    def sizes(section: Section) -> np.ndarray:
        """Weights in units of their scale, where the code is +-1."""
        key = section.layout.tensor, section.layout.group
        scale_R1 = np.maximum(scales[key].astype(np.float32), np.float32(1e-12)).reshape(-1, 1)
        found: np.ndarray = np.abs(of[key] / scale_R1)[np.abs(section.data) == 1]
        return found

    trunk = [s for s in sections if s.layout.part == "codes" and s.layout.role not in EMBEDDING_ROLES]
    every = np.concatenate([sizes(s) for s in trunk]) if trunk else np.zeros(0, np.float32)
    if not every.size:
        return list(sections)
    limit = np.quantile(every, share)
    chosen = {id(s) for s in trunk}
    made = []
    for section in sections:
        if id(section) in chosen:
            codes = section.data.copy()
            ones = np.flatnonzero(np.abs(codes) == 1)
            codes.reshape(-1)[ones[sizes(section) < limit]] = 0
            section = Section(section.layout, codes)
        made.append(section)
    return made


def _coded(layout: Layout, rows_RC: np.ndarray, scale_R: np.ndarray) -> Section:
    """Codes within the layout's alphabet; rows with the scale 0 are 0."""
    assert layout.alphabet is not None
    scale_R1 = scale_R.reshape(-1, 1)
    codes_RC = np.rint(np.divide(rows_RC, scale_R1, out=np.zeros_like(rows_RC), where=scale_R1 > 0))
    return Section(layout, codes_RC.clip(*layout.alphabet).astype(np.int8))
