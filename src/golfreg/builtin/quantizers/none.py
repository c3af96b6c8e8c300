"""No quantization: every tensor in bfloat16. For debugging, and to tell what quantization costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from golfreg.api.codec import NoConfig
from golfreg.api.values import Budget, Role, Section
from golfreg.builtin.quantizers import parts


class NoneQuantizer:
    Config: type = NoConfig
    needs: frozenset[str] = frozenset()

    def quantize(
        self,
        state: Mapping[str, torch.Tensor],
        roles: Mapping[str, Role],
        statistics: Mapping[str, Mapping[str, torch.Tensor]],
        budget: Budget,
        config: NoConfig,
    ) -> list[Section]:
        return [parts.raw_section(name, role, w, "bfloat16") for name, w, role in parts.in_order(state, roles)]

    def dequantize(self, sections: Sequence[Section], config: NoConfig) -> dict[str, torch.Tensor]:
        return parts.tensors(sections)


none = NoneQuantizer()
