"""What the weights of an artifact will take, before anything is trained: the run's quantizer and codec on a sample.

Of each kind of tensor (role, shape, row groups) one sample of normal numbers is quantized and coded, a part of its
rows if it is large, and its bytes are multiplied by what the model has of it. So it says what normal weights take:
trained ones have heavier tails (a quantizer that clips by the deviation then needs fewer bits), and a codec that
models the whole artifact may gain on it. R rows, C columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, prod
from typing import Any

import torch

from golfreg.api.errors import GolfregError
from golfreg.api.values import Budget, Role, Section
from golfreg.config.plan import Plan

SAMPLE_ELEMENTS = 70_000
"""Of one tensor. Above what quantizers leave as floating-point numbers."""
GROUP_ROWS = 16
"""Rows of a row group that are sampled at least."""

Tensors = Mapping[str, tuple[tuple[int, ...], Role]]
"""Shape and role of every parameter, by its name."""


@dataclass(frozen=True)
class Sample:
    """One kind of tensor. ``kept``: rows of each row group in the sample; ``count``: tensors of this kind."""

    name: str
    role: Role
    shape: tuple[int, ...]
    kept: tuple[int, ...]
    count: int

    @property
    def groups(self) -> tuple[tuple[str, int], ...]:
        """Row groups of the whole tensor."""
        return self.role.groups or (("", self.shape[0] if self.shape else 1),)

    def factor(self, group: str) -> float:
        """How many times what the sample has of a row group the model has."""
        rows = dict(self.groups)
        kept = dict(zip(rows, self.kept, strict=True))
        return self.count * (rows[group] / kept[group] if group in rows else sum(rows.values()) / sum(self.kept))


def samples(tensors: Tensors) -> list[Sample]:
    """One sample for each kind of tensor."""
    kinds: dict[tuple[Role, tuple[int, ...]], list[str]] = {}
    for name, (shape, role) in tensors.items():
        kinds.setdefault((role, shape), []).append(name)
    found = []
    for (role, shape), names in kinds.items():
        sample = Sample(names[0], role, shape, (), len(names))
        whole = [rows for _, rows in sample.groups]
        part = min(1.0, SAMPLE_ELEMENTS / max(prod(shape), 1)) if len(shape) > 1 else 1.0
        kept = tuple(min(rows, max(GROUP_ROWS, ceil(part * rows))) for rows in whole)
        found.append(Sample(names[0], role, shape, kept, len(names)))
    return found


def predicted_model_bytes(plan: Plan, tensors: Tensors, code_bytes: int) -> dict[str, int]:
    """Bytes of the coded weights by role. GolfregError if the quantizer or the codec cannot do without training."""
    quantizer, codec = plan.quantizer.load(), plan.codec.load()
    codec_config = plan.codec.make_config()
    found = {sample.name: sample for sample in samples(tensors)}
    state: dict[str, torch.Tensor] = {}
    roles: dict[str, Role] = {}
    for name, sample in found.items():
        generator = torch.Generator().manual_seed(len(state))
        shape = (sum(sample.kept), *sample.shape[1:]) if sample.shape else ()
        state[name] = torch.randn(shape, generator=generator)
        named = tuple((group, rows) for (group, _), rows in zip(sample.groups, sample.kept, strict=True))
        roles[name] = Role(sample.role.name, named if sample.role.groups else ())

    def by_role(sections: Sequence[Section]) -> dict[str, float]:
        together: dict[tuple[str, str], list[Section]] = {}
        for section in sections:
            together.setdefault((section.layout.tensor, section.layout.group), []).append(section)
        sizes: dict[str, float] = {}
        for (name, group), parts in together.items():
            coded = sum(len(stream.data) for stream in codec.encode(parts, codec_config))
            role = parts[0].layout.role
            sizes[role] = sizes.get(role, 0.0) + coded * found[name].factor(group)
        return sizes

    def pack_bytes(sections: Sequence[Section]) -> int:
        return round(sum(by_role(sections).values())) + code_bytes

    sections = quantizer.quantize(
        state,
        roles,
        {need: _statistic(need, state) for need in plan.quantizer_needs},
        Budget(plan.limits.cap_bytes, pack_bytes),
        plan.quantizer.make_config(),
    )
    return {role: round(size) for role, size in sorted(by_role(sections).items())}


def _statistic(need: str, state: Mapping[str, torch.Tensor]) -> dict[str, Any]:
    """What calibration gathers, if all inputs were independent and of one size."""
    if need != "input_second_moment":
        raise GolfregError(f"the statistic `{need}` is known only from training")
    return {name: torch.eye(tensor.shape[1]) for name, tensor in state.items() if tensor.ndim == 2}
