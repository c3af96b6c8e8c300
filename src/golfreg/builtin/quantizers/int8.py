"""The challenge's baseline scheme: int8 codes by row, clipped at a quantile.

Codes and scales are those of ``quantize_state_dict_int8`` in openai/parameter-golf
``train_gpt.py``. A matrix has one float16 scale a row, any other large tensor one float32 scale;
tensors of at most 65,536 elements stay in float16, and those that steer the network (role
``scalar``) in float32. The scale's floor of 1/127 is the baseline's: a row whose clip is below 1
keeps fewer than 8 bits, which is what makes the baseline's artifact compress.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from golfreg.api.errors import ConfigError
from golfreg.api.values import Budget, Role, Section
from golfreg.builtin.quantizers import parts

_HIGHEST = 127
_QUANTILE_ELEMENTS = 1 << 23


@dataclass(frozen=True)
class Int8Config:
    """``clip_quantile`` of a row's absolute values becomes code 127. Tensors up to ``raw_elements`` stay floats."""

    clip_quantile: float = 0.9999984
    raw_elements: int = 65_536

    def __post_init__(self) -> None:
        if not isinstance(self.clip_quantile, float | int) or not 0 < self.clip_quantile <= 1:
            raise ConfigError(f"quantizer `int8`: clip_quantile is {self.clip_quantile!r}", "above 0, at most 1")
        if not isinstance(self.raw_elements, int) or self.raw_elements < 0:
            raise ConfigError(f"quantizer `int8`: raw_elements is {self.raw_elements!r}", "a whole number, 0 or more")


class Int8Quantizer:
    Config: type = Int8Config
    needs: frozenset[str] = frozenset()

    def quantize(
        self,
        state: Mapping[str, torch.Tensor],
        roles: Mapping[str, Role],
        statistics: Mapping[str, Mapping[str, torch.Tensor]],
        budget: Budget,
        config: Int8Config,
    ) -> list[Section]:
        sections: list[Section] = []
        for name, weight, role in parts.in_order(state, roles):
            if weight.numel() <= config.raw_elements:
                dtype = "float32" if role.name == "scalar" else "float16"
                sections.append(parts.raw_section(name, role, weight, dtype))
            elif weight.ndim == 2:
                for group, rows in parts.row_groups(name, weight, role):
                    codes, scale = _matrix(rows, config.clip_quantile)
                    sections += parts.code_sections(name, group, role, codes, scale, _HIGHEST)
            else:
                codes, scale = _whole(weight, config.clip_quantile)
                sections += parts.code_sections(name, "", role, codes, scale, _HIGHEST)
        return sections

    def dequantize(self, sections: Sequence[Section], config: Int8Config) -> dict[str, torch.Tensor]:
        return parts.tensors(sections)


def _matrix(rows_RC: torch.Tensor, quantile: float) -> tuple[torch.Tensor, torch.Tensor]:
    """int8 codes and float16 scales of each row; the codes are made with the scale before it is rounded."""
    if not rows_RC.numel():
        return rows_RC.to(torch.int8), torch.zeros(rows_RC.shape[0], dtype=torch.float16)
    step = max(1, _QUANTILE_ELEMENTS // rows_RC.shape[1])
    clip_R = torch.cat([_quantile(part.abs(), quantile) for part in torch.split(rows_RC, step)])
    scale_R = (clip_R / _HIGHEST).clamp_min(1.0 / _HIGHEST)
    clipped_RC = torch.maximum(torch.minimum(rows_RC, clip_R[:, None]), -clip_R[:, None])
    codes_RC = torch.clamp(torch.round(clipped_RC / scale_R[:, None]), -_HIGHEST, _HIGHEST)
    return codes_RC.to(torch.int8), scale_R.to(torch.float16)


def _whole(weight: torch.Tensor, quantile: float) -> tuple[torch.Tensor, torch.Tensor]:
    """int8 codes and one float32 scale of a tensor that is not a matrix."""
    clip = float(_quantile(weight.abs().reshape(1, -1), quantile))
    scale = torch.tensor(clip / _HIGHEST if clip > 0 else 1.0, dtype=torch.float32)
    codes = torch.clamp(torch.round(torch.clamp(weight, -clip, clip) / scale), -_HIGHEST, _HIGHEST)
    return codes.to(torch.int8), scale


def _quantile(values_RC: torch.Tensor, quantile: float) -> torch.Tensor:
    if values_RC.numel() <= _QUANTILE_ELEMENTS:
        return torch.quantile(values_RC, quantile, dim=1)
    # torch.quantile refuses large inputs; this is its linear interpolation.
    place = torch.tensor(quantile, dtype=torch.float32) * (values_RC.shape[1] - 1)
    ordered = values_RC.sort(dim=1).values
    low, high = ordered[:, int(place.floor())], ordered[:, int(place.ceil())]
    return torch.lerp(low, high, place - place.floor())


int8 = Int8Quantizer()
