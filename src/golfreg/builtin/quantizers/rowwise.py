"""Integer codes by row at 2 to 8 bits, clipped at k standard deviations.

A row's scale is ``k * rms / highest`` with ``highest = 2**(bits-1) - 1``; the root mean square is
taken about zero, so a constant row survives. With entropy-coded integers the step decides both
error and size, and the clip only what is cut off. ``CLIP_STD`` has, for each width, the smallest
k whose cost over a quantizer without clipping is below about 1 dB on Student-t(5) rows and
nothing on Gaussian ones (signal to noise less 6.02 dB a bit of order-0 entropy, 512,000 weights
with a spread of column scales):

====  ====  ====================  ====================
bits  k     Gaussian              Student-t(5)
====  ====  ====================  ====================
2     1.5   6.4 dB at 1.42 bits   5.3 dB at 1.31 bits
3     2.5   11.9 dB at 2.31       9.8 dB at 2.21
4     4     15.6 dB at 2.87       13.7 dB at 2.78
5     6     18.8 dB at 3.37       17.4 dB at 3.29
6     8     22.6 dB at 4.00       21.2 dB at 3.92
7     10    26.8 dB at 4.70       25.2 dB at 4.62
8     13    30.6 dB at 5.34       29.4 dB at 5.26
====  ====  ====================  ====================

At 6 bits a larger k trades quality for bytes: 12.85, which many of the challenge's records use, is
18.4 dB at 3.32 bits.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch

from golfreg.api.errors import ConfigError, GolfregError
from golfreg.api.overrides import check_overrides, flat_overrides, override
from golfreg.api.values import EMBEDDING_ROLES, Budget, Role, Section
from golfreg.builtin.quantizers import parts

CLIP_STD = {2: 1.5, 3: 2.5, 4: 4.0, 5: 6.0, 6: 8.0, 7: 10.0, 8: 13.0}


OVERRIDES = ("bits", "clip_std")
"""What may be set by role and row group."""


@dataclass(frozen=True)
class RowwiseConfig:
    """Widths and clips. Tensors of one dimension, or of at most ``raw_elements``, stay floats."""

    bits: int = 6
    embedding_bits: int = 8
    """Of the embedding and of an untied head."""
    clip_std: float = 0.0
    """Standard deviations at which codes end; 0: ``CLIP_STD`` of the width."""
    embedding_clip_std: float = 0.0
    overrides: dict[str, Any] = field(default_factory=dict)
    """``bits`` and ``clip_std`` by role and row group, as ``golfreg.api.overrides`` says."""
    scale_mantissa_bits: int = 10
    """A scale keeps this many of float16's 10: fewer compress better."""
    raw_elements: int = 4096
    raw_dtype: str = "float16"
    """``float16`` (float32 where a value is too large for it), ``bfloat16`` or ``float32``."""

    name: ClassVar[str] = "rowwise"

    def __post_init__(self) -> None:
        try:
            flat = self._flat()
        except ConfigError as error:
            raise ConfigError(f"quantizer `{self.name}`: {error.message}", error.hint) from error
        widths: dict[str, Any] = {"bits": self.bits, "embedding_bits": self.embedding_bits}
        clips: dict[str, Any] = {"clip_std": self.clip_std, "embedding_clip_std": self.embedding_clip_std}
        for name, table in flat.items():
            for values, key in ((widths, "bits"), (clips, "clip_std")):
                if key in table:
                    values[f"overrides.{name}.{key}"] = table[key]
        for name, value in widths.items():
            if not isinstance(value, int) or value not in CLIP_STD:
                raise self.wrong(name, value, "a whole number from 2 to 8")
        for name, value in clips.items():
            if not isinstance(value, float | int) or isinstance(value, bool) or not (value == 0 or 0.1 <= value <= 100):
                raise self.wrong(name, value, "from 0.1 to 100, or 0 to choose by width")
        if not isinstance(self.scale_mantissa_bits, int) or not 0 <= self.scale_mantissa_bits <= 10:
            raise self.wrong("scale_mantissa_bits", self.scale_mantissa_bits, "a whole number from 0 to 10")
        if not isinstance(self.raw_elements, int) or self.raw_elements < 0:
            raise self.wrong("raw_elements", self.raw_elements, "a whole number, 0 or more")
        if self.raw_dtype not in parts.TORCH_DTYPE:
            raise self.wrong("raw_dtype", self.raw_dtype, f"one of: {', '.join(parts.TORCH_DTYPE)}")

    def width(self, role: str, group: str) -> tuple[int, float]:
        """Bits of a row group, and its clip in standard deviations."""
        bits, clip_std = self.chosen(role, group)
        return bits, clip_std or CLIP_STD[bits]

    def chosen(self, role: str, group: str) -> tuple[int, float]:
        """Bits of a row group, and the clip that was set for it; 0: none was."""
        embedding, flat = role in EMBEDDING_ROLES, self._flat()
        bits = override(flat, role, group, "bits", self.embedding_bits if embedding else self.bits)
        clip_std = self.embedding_clip_std if embedding else self.clip_std
        return bits, override(flat, role, group, "clip_std", clip_std)

    def check_roles(self, roles: Iterable[Role]) -> None:
        """ConfigError for an override of a role or row group that the model does not have."""
        check_overrides(self._flat(), OVERRIDES, roles)

    def warn_of_idle(self, sections: Iterable[Section]) -> None:
        """Warn of overrides that reached no codes."""
        used = {k for s in sections if s.layout.part == "codes" for k in (s.layout.role, _key(s))}
        if idle := sorted(set(self._flat()) - used):
            warnings.warn(f"quantizer overrides without effect: {', '.join(idle)}", stacklevel=3)

    def _flat(self) -> dict[str, dict[str, Any]]:
        return flat_overrides(self.overrides, OVERRIDES)

    def wrong(self, name: str, value: Any, hint: str) -> ConfigError:
        return ConfigError(f"quantizer `{self.name}`: {name} is {value!r}", hint)


class RowwiseQuantizer:
    Config: type = RowwiseConfig
    needs: frozenset[str] = frozenset()

    def quantize(
        self,
        state: Mapping[str, torch.Tensor],
        roles: Mapping[str, Role],
        statistics: Mapping[str, Mapping[str, torch.Tensor]],
        budget: Budget,
        config: RowwiseConfig,
    ) -> list[Section]:
        sections: list[Section] = []
        for name, weight, role in parts.in_order(state, roles):
            if weight.ndim < 2 or weight.numel() <= config.raw_elements:
                sections.append(parts.raw_section(name, role, weight, config.raw_dtype))
                continue
            for group, rows in parts.row_groups(name, weight, role):
                bits, clip_std = config.width(role.name, group)
                highest = 2 ** (bits - 1) - 1
                scale_R = row_scales(rows, clip_std, highest, config.scale_mantissa_bits)
                check_scales(scale_R, name)
                sections += parts.code_sections(name, group, role, row_codes(rows, scale_R, highest), scale_R, highest)
        config.warn_of_idle(sections)
        return sections

    def dequantize(self, sections: Sequence[Section], config: RowwiseConfig) -> dict[str, torch.Tensor]:
        return parts.tensors(sections)

    def fake_quant(self, weight: torch.Tensor, role: Role, config: RowwiseConfig) -> torch.Tensor:
        """What decoding would give back for a weight in training, with the gradient passed straight through."""
        from golfreg.builtin.quantizers.rowwise_training import fake_quant

        return fake_quant(weight, role, config)


def row_scales(rows: torch.Tensor, clip_std: float, highest: int, mantissa_bits: int = 10) -> torch.Tensor:
    """float16[R] scales of the rows of a tensor; 0 for a row of zeros. The sum is in float64, so its order is moot."""
    rms_R = rows.flatten(1).to(torch.float64).square().mean(1).sqrt().nan_to_num(0.0)
    return stored_scales(rms_R * (clip_std / highest), mantissa_bits)


def stored_scales(scale_R: torch.Tensor, mantissa_bits: int) -> torch.Tensor:
    """float64 scales as float16 that keep this many bits of the mantissa."""
    if mantissa_bits < 10:
        mantissa_R, exponent_R = torch.frexp(scale_R)
        steps = 2.0 ** (mantissa_bits + 1)
        scale_R = torch.ldexp(torch.round(mantissa_R * steps) / steps, exponent_R)
    return scale_R.to(torch.float16)


def check_scales(scale_R: torch.Tensor, name: str) -> None:
    """GolfregError if a scale is too large for float16."""
    if not torch.isfinite(scale_R).all():
        raise GolfregError(f"a row of `{name}` is too large for a float16 scale", "did training diverge?")


def row_codes(rows: torch.Tensor, scale_R: torch.Tensor, highest: int | torch.Tensor) -> torch.Tensor:
    """Codes from -highest to highest, made with the scale as it is stored."""
    scale = scale_R.to(torch.float32).view(-1, *[1] * (rows.ndim - 1))
    codes = torch.round(rows / torch.where(scale > 0, scale, torch.ones_like(scale)))
    return torch.where(scale > 0, codes, torch.zeros_like(codes)).clamp(-highest, highest)  # type: ignore[arg-type]


def _key(section: Section) -> str:
    return f"{section.layout.role}.{section.layout.group}"


rowwise = RowwiseQuantizer()
