"""The mixer ``gla``: gated linear attention (arXiv 2312.06635), a decay per key channel, no convolution.

Shape letters: B batch, T time, D model width, H heads, K key width, V value width, I = H V, J = H K.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from golfreg.api.errors import ConfigError, PluginError
from golfreg.api.values import BuildContext, Role
from golfreg_fla.layers import Linear, gated_norm

OP = "gated_linear_attention"


@dataclass(frozen=True)
class GlaConfig:
    n_heads: int = 4
    key_width: int = 64
    """Of each head."""
    value_width: int = 128
    """Of each head."""
    gate_rank: int = 16
    """The decay's projection goes through this many channels."""
    gate_temperature: float = 16.0
    """The logarithm of the decay is divided by it: the paper's tau."""

    def __post_init__(self) -> None:
        for name, most in (("n_heads", 256), ("key_width", 256), ("value_width", 512), ("gate_rank", 4096)):
            if not 1 <= getattr(self, name) <= most:
                raise ConfigError(f"gla has {name} = {getattr(self, name)}", hint=f"it is from 1 to {most}")
        if not 0 < self.gate_temperature <= 1e6:
            raise ConfigError(f"gla has gate_temperature = {self.gate_temperature}", hint="it is positive, up to 1e6")

    def rows(self) -> tuple[tuple[str, int], ...]:
        """The row groups of ``in_proj``."""
        keys, values = self.n_heads * self.key_width, self.n_heads * self.value_width
        return ("q", keys), ("k", keys), ("v", values), ("gate", values), ("decay", self.gate_rank)


class Gla(nn.Module):
    """Called as ``mixer(x_BTD, starts_BT)``; the state is reset at each document's start."""

    def __init__(self, d_model: int, config: GlaConfig, context: BuildContext) -> None:
        super().__init__()
        if OP not in context.kernels:
            raise PluginError(f"the mixer `gla` was built without a kernel for `{OP}`")
        self.kernel, self.config = context.kernels[OP], config
        self.rows = config.rows()
        widths = dict(self.rows)
        self.in_proj = Linear(d_model, sum(widths.values()))
        self.decay_up = Linear(config.gate_rank, widths["k"])
        self.decay_bias = nn.Parameter(torch.zeros(widths["k"]))
        self.norm = nn.Parameter(torch.ones(config.value_width))
        self.out_proj = Linear(widths["v"], d_model, zero=True)

    def forward(self, x_BTD: torch.Tensor, starts_BT: torch.Tensor | None = None) -> torch.Tensor:
        inputs, gate_BTI = self._inputs(x_BTD)
        return self._out(self.kernel(*inputs, starts_BT), gate_BTI)

    def initial_state(self, n_batch: int, context: int) -> torch.Tensor:
        """What ``step`` begins with: nothing read. All that was read lies in it, whatever ``context`` is."""
        c = self.config
        return self.norm.new_zeros(n_batch, c.n_heads, c.key_width, c.value_width)

    def step(
        self, x_BTD: torch.Tensor, starts_BT: torch.Tensor | None, state: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """``forward`` that goes on from ``state``, and the state after the last position."""
        inputs, gate_BTI = self._inputs(x_BTD)
        o_BTHV, after_BHKV = self.kernel(*inputs, starts_BT, state, return_state=True)
        return self._out(o_BTHV, gate_BTI), after_BHKV

    def _inputs(self, x_BTD: torch.Tensor) -> tuple[tuple[torch.Tensor, ...], torch.Tensor]:
        """The op's tensors, and the gate."""
        c = self.config
        q, k, v, gate_BTI, rank = self.in_proj(x_BTD).split([rows for _, rows in self.rows], dim=-1)
        g_BTJ = F.logsigmoid(self.decay_up(rank).float() + self.decay_bias.float()) / c.gate_temperature
        q, k, g = (x.unflatten(-1, (-1, c.key_width)) for x in (q, k, g_BTJ))
        return (q, k, v.unflatten(-1, (-1, c.value_width)), g), gate_BTI

    def _out(self, o_BTHV: torch.Tensor, gate_BTI: torch.Tensor) -> torch.Tensor:
        y_BTD: torch.Tensor = self.out_proj(gated_norm(o_BTHV, gate_BTI, self.norm))
        return y_BTD


class GlaMixer:
    """What the plugin host calls."""

    Config = GlaConfig

    def build(self, d_model: int, config: GlaConfig, context: BuildContext) -> Gla:
        return Gla(d_model, config, context)

    def roles(self, mixer: nn.Module) -> dict[str, Role]:
        assert isinstance(mixer, Gla)
        return {
            "in_proj.weight": Role("in_proj", mixer.rows),
            "decay_up.weight": Role("in_proj"),
            "decay_bias": Role("scalar"),
            "norm": Role("scalar"),
            "out_proj.weight": Role("out"),
        }

    def static_arguments(self, config: GlaConfig) -> dict[str, dict[str, Any]]:
        return {OP: {}}

    def flops_per_token(self, d_model: int, config: GlaConfig, context: BuildContext) -> int:
        """6 per matrix weight, and per head 3 times what one position costs.

        That is the state's update and use, 2 * 2 * K * V, and inside a chunk of 64
        2 * (K + V) for each of 65 / 2 positions seen.
        """
        widths = dict(config.rows())
        weights = d_model * (sum(widths.values()) + widths["v"]) + config.gate_rank * widths["k"]
        chunk = min(64, context.sequence_length)
        K, V = config.key_width, config.value_width
        return 6 * weights + 3 * config.n_heads * (4 * K * V + (K + V) * (chunk + 1))


gla = GlaMixer()
