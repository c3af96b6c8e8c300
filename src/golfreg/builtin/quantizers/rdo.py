"""Entropy-constrained rounding: ``gptq``, with each code chosen for its error and for the bits that it costs.

What chooses them is ``rdo_encode``; sections and decoder are those of ``gptq``, and decoding loads nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch

from golfreg.api.values import Budget, Role, Section
from golfreg.builtin.quantizers import parts
from golfreg.builtin.quantizers.gptq import MOMENT, GptqConfig, GptqQuantizer

PIECE = 64
"""Rows after which the codes of a column depend on those before them no more."""


@dataclass(frozen=True)
class RdoConfig(GptqConfig):
    """What ``gptq`` takes, and what a bit may cost."""

    price: float = -1.0
    """Squared error that a bit is worth, in squared steps of its row: 0 gives ``gptq``'s codes, 0.1 is usual.
    Negative: the lowest at which the artifact fits."""
    target_bytes: int = 0
    """What the artifact is to fit, where the price is found; 0: the cap."""
    table_rounds: int = 2
    """How often codes are chosen with the costs that the codes before them have."""
    dependent: bool = False
    """Dependent (trellis-coded) quantization: a code's grid depends on the codes above it."""

    name: ClassVar[str] = "rdo"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.price, float | int) or isinstance(self.price, bool) or not -1 <= self.price <= 100:
            raise self.wrong("price", self.price, "from 0 to 100, or -1 to find it")
        if not isinstance(self.target_bytes, int) or isinstance(self.target_bytes, bool) or self.target_bytes < 0:
            raise self.wrong("target_bytes", self.target_bytes, "a number of bytes, or 0 for the cap")
        if not isinstance(self.table_rounds, int) or not 1 <= self.table_rounds <= 10:
            raise self.wrong("table_rounds", self.table_rounds, "a whole number from 1 to 10; 2 is usual")
        if not isinstance(self.dependent, bool):
            raise self.wrong("dependent", self.dependent, "true or false")


class RdoQuantizer(GptqQuantizer):
    Config: type = RdoConfig

    def quantize(
        self,
        state: Mapping[str, torch.Tensor],
        roles: Mapping[str, Role],
        statistics: Mapping[str, Mapping[str, torch.Tensor]],
        budget: Budget,
        config: RdoConfig,  # type: ignore[override]
    ) -> list[Section]:
        from golfreg.builtin.quantizers.rdo_encode import encode, encode_to_fit

        moments = statistics.get(MOMENT, {})
        if config.price >= 0:
            return encode(state, roles, moments, budget, config, config.price)
        return encode_to_fit(state, roles, moments, budget, config)

    def dequantize(self, sections: Sequence[Section], config: RdoConfig) -> dict[str, torch.Tensor]:  # type: ignore[override]
        if config.dependent:
            sections = [
                replace(s, data=levels(s.data)) if s.layout.part == "codes" and len(s.layout.shape) == 2 else s
                for s in sections
            ]
        return parts.tensors(sections)


def levels(code_RC: np.ndarray) -> np.ndarray:
    """float32[R, C]: each code, half a step up where of the codes 1, 3, 5, ... rows above it an odd number is odd.

    Dependent quantization as in ISO/IEC 15938-17, with four states: codes of two grids, one half a step off the
    other, and the grid of each told by the parities before. Rows above its piece of rows do not count.
    """
    rows, columns = code_RC.shape
    odd_PTC = np.zeros((-(-rows // PIECE), PIECE, columns), np.uint8)
    odd_PTC.reshape(-1, columns)[:rows] = code_RC & 1
    above_PTC = np.pad(odd_PTC, ((0, 0), (1, 0), (0, 0)))[:, :PIECE]
    up = np.bitwise_xor.accumulate(above_PTC.reshape(-1, PIECE // 2, 2, columns), 1)
    return np.asarray(code_RC + np.float32(0.5) * up.reshape(-1, columns)[:rows], np.float32)


rdo = RdoQuantizer()
