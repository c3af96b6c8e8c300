"""The mixer ``gated-deltanet`` (arXiv 2412.06464): short convolutions, a gated delta rule, a gated norm.

Shape letters: B batch, T time, D model width, H heads, K key width, V value width, I = H V, J = H K.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from golfreg.api.errors import ConfigError, PluginError
from golfreg.api.values import BuildContext, Role
from golfreg_fla.layers import Linear, ShortConvolution, gated_norm, unit

OP = "gated_delta_rule"
State = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""(state_BHKV, the convolution's last inputs, where documents start among them)."""


@dataclass(frozen=True)
class GatedDeltaNetConfig:
    n_heads: int = 4
    key_width: int = 64
    """Of each head."""
    value_width: int = 128
    """Of each head."""
    conv_width: int = 4
    chunk_size: int = 64
    dt_min: float = 0.001
    dt_max: float = 0.1

    def __post_init__(self) -> None:
        for name, most in (("n_heads", 256), ("key_width", 256), ("value_width", 256), ("conv_width", 16)):
            if not 1 <= getattr(self, name) <= most:
                raise ConfigError(f"gated-deltanet has {name} = {getattr(self, name)}", hint=f"it is from 1 to {most}")
        if self.chunk_size not in (16, 32, 64):
            raise ConfigError(f"gated-deltanet has chunk_size = {self.chunk_size}", hint="it is 16, 32 or 64")
        if not 0 < self.dt_min <= self.dt_max < math.inf:
            raise ConfigError(
                f"gated-deltanet has dt_min = {self.dt_min} and dt_max = {self.dt_max}", hint="0 < dt_min <= dt_max"
            )

    def rows(self) -> tuple[tuple[str, int], ...]:
        """The row groups of ``in_proj``."""
        keys, values = self.n_heads * self.key_width, self.n_heads * self.value_width
        return ("q", keys), ("k", keys), ("v", values), ("gate", values), ("beta", self.n_heads), ("dt", self.n_heads)


class GatedDeltaNet(nn.Module):
    """Called as ``mixer(x_BTD, starts_BT)``; the state is reset at each document's start."""

    def __init__(self, d_model: int, config: GatedDeltaNetConfig, context: BuildContext) -> None:
        super().__init__()
        if OP not in context.kernels:
            raise PluginError(f"the mixer `gated-deltanet` was built without a kernel for `{OP}`")
        self.kernel, self.config = context.kernels[OP], config
        self.rows = config.rows()
        widths = dict(self.rows)
        self.in_proj = Linear(d_model, sum(widths.values()))
        self.conv = ShortConvolution(widths["q"] + widths["k"] + widths["v"], config.conv_width)
        low, high = math.log(config.dt_min), math.log(config.dt_max)
        dt_H = (torch.rand(config.n_heads) * (high - low) + low).exp()
        self.dt_bias = nn.Parameter(dt_H + (-(-dt_H).expm1()).log())
        self.A_log = nn.Parameter(torch.empty(config.n_heads).uniform_(1, 16).log())
        self.norm = nn.Parameter(torch.ones(config.value_width))
        self.out_proj = Linear(widths["v"], d_model, zero=True)

    def forward(self, x_BTD: torch.Tensor, starts_BT: torch.Tensor | None = None) -> torch.Tensor:
        return self._run(x_BTD, starts_BT, None)[0]

    def initial_state(self, n_batch: int, context: int) -> State:
        """What ``step`` begins with. All that was read lies in the state, whatever ``context`` is."""
        c = self.config
        return self.norm.new_zeros(n_batch, c.n_heads, c.key_width, c.value_width), *self.conv.nothing(n_batch)

    def step(self, x_BTD: torch.Tensor, starts_BT: torch.Tensor | None, state: State) -> tuple[torch.Tensor, State]:
        """``forward`` that goes on from ``state``, and the state after the last position."""
        y_BTD, after = self._run(x_BTD, starts_BT, state)
        assert after is not None
        return y_BTD, after

    def _run(
        self, x_BTD: torch.Tensor, starts_BT: torch.Tensor | None, state: State | None
    ) -> tuple[torch.Tensor, State | None]:
        c, widths = self.config, dict(self.rows)
        mixed = widths["q"] + widths["k"] + widths["v"]
        qkv_BTX, gate_BTI, beta_BTH, dt_BTH = self.in_proj(x_BTD).split(
            [mixed, widths["gate"], c.n_heads, c.n_heads], dim=-1
        )
        before = None if state is None else (state[1], state[2])
        q, k, v = self.conv(qkv_BTX, starts_BT, before).split([widths["q"], widths["k"], widths["v"]], dim=-1)
        g_BTH = -self.A_log.float().exp() * F.softplus(dt_BTH.float() + self.dt_bias.float())
        q_BTHK, k_BTHK = (unit(x.unflatten(-1, (-1, c.key_width))) for x in (q, k))
        found: Any = self.kernel(
            q_BTHK, k_BTHK, v.unflatten(-1, (-1, c.value_width)), g_BTH,
            beta_BTH.sigmoid(), starts_BT, None if state is None else state[0], chunk_size=c.chunk_size,
            return_state=state is not None,
        )  # fmt: skip
        o_BTHV, after = (found, None) if state is None else found
        y_BTD = self.out_proj(gated_norm(o_BTHV, gate_BTI, self.norm))
        if before is None or after is None:
            return y_BTD, None
        return y_BTD, (after, *self.conv.after(qkv_BTX, starts_BT, before))


class GatedDeltaNetMixer:
    """What the plugin host calls."""

    Config = GatedDeltaNetConfig

    def build(self, d_model: int, config: GatedDeltaNetConfig, context: BuildContext) -> GatedDeltaNet:
        return GatedDeltaNet(d_model, config, context)

    def roles(self, mixer: nn.Module) -> dict[str, Role]:
        assert isinstance(mixer, GatedDeltaNet)
        return {
            "in_proj.weight": Role("in_proj", mixer.rows),
            "out_proj.weight": Role("out"),
            **{name: Role("scalar") for name in ("conv.weight", "dt_bias", "A_log", "norm")},
        }

    def static_arguments(self, config: GatedDeltaNetConfig) -> dict[str, dict[str, Any]]:
        return {OP: {"chunk_size": config.chunk_size}}

    def flops_per_token(self, d_model: int, config: GatedDeltaNetConfig, context: BuildContext) -> int:
        """6 per matrix and convolution weight, and per head 3 times what one position costs.

        That is the state's reading, correction and writing, 3 * 2 * K * V, and inside the chunk
        2 * (3 K + 2 V) for each of (chunk_size + 1) / 2 positions seen.
        """
        widths = dict(config.rows())
        weights = d_model * (sum(widths.values()) + widths["v"])
        weights += config.conv_width * (widths["q"] + widths["k"] + widths["v"])
        chunk = min(config.chunk_size, context.sequence_length)
        K, V = config.key_width, config.value_width
        return 6 * weights + 3 * config.n_heads * (6 * K * V + (3 * K + 2 * V) * (chunk + 1))


gated_deltanet = GatedDeltaNetMixer()
