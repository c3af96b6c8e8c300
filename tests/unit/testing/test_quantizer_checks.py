"""The kit passes a right quantizer and names the check that a wrong one breaks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from golfreg.api import InputError, Layout, Section
from golfreg.testing import Subject, checks
from golfreg.testing.quantizers import check_quantizer


class Right:
    """Codes of eight bits with one scale a row group, as two sections."""

    Config = None
    needs: frozenset[str] = frozenset()

    def quantize(self, state: Any, roles: Any, statistics: Any, budget: Any, config: Any) -> list[Section]:
        sections = []
        for name, weight in state.items():
            role = roles[name]
            sizes = [rows for _, rows in role.groups]
            parts = weight.split(sizes) if sizes else [weight]
            labels = [group for group, _ in role.groups] or [""]
            for label, part in zip(labels, parts, strict=True):
                scale = float(part.abs().max()) / 127 or 1.0
                codes = torch.round(part / scale).to(torch.int8).contiguous().numpy()
                shape = tuple(part.shape)
                sections += [
                    Section(Layout(name, "codes", role.name, shape, "int8", label, (-127, 127)), codes),
                    Section(Layout(name, "scale", role.name, (), "float32", label), np.array(scale, np.float32)),
                ]
        return sections

    def dequantize(self, sections: Any, config: Any) -> dict[str, torch.Tensor]:
        parts: dict[str, list[torch.Tensor]] = {}
        if len(sections) % 2:
            raise InputError("a section is missing")
        for codes, scale in zip(sections[::2], sections[1::2], strict=True):
            weight = torch.tensor(codes.data.astype(np.float32)) * float(scale.data)
            parts.setdefault(codes.layout.tensor, []).append(weight)
        return {name: torch.cat(found) if len(found) > 1 else found[0] for name, found in parts.items()}


class Doubles(Right):
    def dequantize(self, sections: Any, config: Any) -> dict[str, torch.Tensor]:
        return {name: weight * 2 for name, weight in super().dequantize(sections, config).items()}


class ReversesRowGroups(Right):
    def dequantize(self, sections: Any, config: Any) -> dict[str, torch.Tensor]:
        backwards = [s for i in range(len(sections) - 2, -2, -2) for s in sections[i : i + 2]]
        return super().dequantize(backwards, config)


class DropsATensor(Right):
    def quantize(self, state: Any, *rest: Any) -> list[Section]:
        return super().quantize({n: w for n, w in state.items() if n != "gain"}, *rest)


class BreaksTheAlphabet(Right):
    def quantize(self, *given: Any) -> list[Section]:
        sections = super().quantize(*given)
        return [replace(s, layout=replace(s.layout, alphabet=(-3, 3) if s.layout.alphabet else None)) for s in sections]


class InventsRoles(Right):
    def quantize(self, *given: Any) -> list[Section]:
        return [replace(s, layout=replace(s.layout, role="other")) for s in super().quantize(*given)]


class ChangesItsInput(Right):
    def quantize(self, state: Any, *rest: Any) -> list[Section]:
        for weight in state.values():
            weight.mul_(0.99)
        return super().quantize(state, *rest)


class KeepsTheWeights(Right):
    """Decodes from what it remembers, not from the sections."""

    def quantize(self, state: Any, *rest: Any) -> list[Section]:
        self.sections = super().quantize(state, *rest)
        return self.sections

    def dequantize(self, sections: Any, config: Any) -> dict[str, torch.Tensor]:
        return super().dequantize(self.sections, config)


class NeedsTheUnknown(Right):
    needs = frozenset({"phase_of_the_moon"})


class StopsGradients(Right):
    def fake_quant(self, weight: torch.Tensor, role: Any, config: Any) -> torch.Tensor:
        return torch.round(weight)


def test_a_right_quantizer_passes_every_check() -> None:
    check_quantizer(Right(), None)


@pytest.mark.parametrize(
    ("quantizer", "claim", "told"),
    [
        (Doubles(), "the_error_of_every_row_group_is_bounded", "embedding.weight"),
        (ReversesRowGroups(), "the_error_of_every_row_group_is_bounded", "in_proj"),
        (DropsATensor(), "every_tensor_comes_back_by_name_and_shape", "gain"),
        (BreaksTheAlphabet(), "sections_keep_what_their_layouts_say", "holds codes from"),
        (InventsRoles(), "sections_keep_what_their_layouts_say", "has not the role"),
        (ChangesItsInput(), "quantizing_twice_gives_the_same_sections_and_changes_nothing", "differ"),
        (KeepsTheWeights(), "a_missing_section_is_refused_or_leaves_its_tensor_out", "came back whole"),
        (NeedsTheUnknown(), "needs_are_statistics_that_golfreg_gathers", "phase_of_the_moon"),
        (StopsGradients(), "fake_quantization_passes_gradients", "no gradient"),
    ],
)
def test_a_wrong_quantizer_breaks_the_check_of_its_fault(quantizer: Any, claim: str, told: str) -> None:
    (each,) = (c for c in checks("quantizer") if c.name == claim)
    with pytest.raises(AssertionError, match=told):
        each.run(Subject(quantizer))
