"""GPTQ (arXiv 2210.17323) over the layout of ``rowwise``: the same codes, scales and decoder, better chosen codes.

What chooses them is ``gptq_encode``; decoding does not load it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from golfreg.api.values import Budget, Role, Section
from golfreg.builtin.quantizers import parts
from golfreg.builtin.quantizers.rowwise import RowwiseConfig

MOMENT = "input_second_moment"


@dataclass(frozen=True)
class GptqConfig(RowwiseConfig):
    """What ``int6`` takes, and how codes are chosen."""

    clip_search: bool = False
    """Where no ``clip_std`` is set: end each row's codes where its weighted error is least, which costs bytes."""
    activation_order: bool = True
    """Columns with the largest inputs first. Codes are stored in the matrix's own order."""
    damping: float = 0.01
    """Added to the diagonal of the second moment, times the diagonal's mean."""

    name: ClassVar[str] = "gptq"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("clip_search", "activation_order"):
            if not isinstance(getattr(self, name), bool):
                raise self.wrong(name, getattr(self, name), "true or false")
        if not isinstance(self.damping, float | int) or not 0 <= self.damping <= 100:
            raise self.wrong("damping", self.damping, "from 0 to 100; 0.01 is usual")


class GptqQuantizer:
    Config: type = GptqConfig
    needs: frozenset[str] = frozenset({MOMENT})

    def quantize(
        self,
        state: Mapping[str, torch.Tensor],
        roles: Mapping[str, Role],
        statistics: Mapping[str, Mapping[str, torch.Tensor]],
        budget: Budget,
        config: GptqConfig,
    ) -> list[Section]:
        from golfreg.builtin.quantizers.gptq_encode import encode

        return encode(state, roles, statistics.get(MOMENT, {}), config, budget.device)

    def dequantize(self, sections: Sequence[Section], config: GptqConfig) -> dict[str, torch.Tensor]:
        return parts.tensors(sections)

    def fake_quant(self, weight: torch.Tensor, role: Role, config: GptqConfig) -> torch.Tensor:
        """``rowwise``'s: the nearest codes at the same widths and clips."""
        from golfreg.builtin.quantizers.rowwise_training import fake_quant

        return fake_quant(weight, role, config)


gptq = GptqQuantizer()
