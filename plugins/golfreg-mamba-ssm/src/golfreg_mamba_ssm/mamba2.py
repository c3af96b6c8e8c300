"""The mixer ``mamba2`` (arXiv 2405.21060): a short convolution, a state-space layer, a gated norm.

Names and initial values follow ``mamba_ssm/modules/mamba2.py`` of state-spaces/mamba, except that ``out_proj`` starts
at zero. Shape letters: B batch, T time, D model width, H heads, G groups, N state, P head width, I = H P.
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
from golfreg_mamba_ssm.layers import Linear, ShortConvolution

OP = "mamba2_ssd"
State = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""(state_BHPN, the convolution's last inputs, where documents start among them)."""


@dataclass(frozen=True)
class Mamba2Config:
    d_state: int = 64
    expand: int = 2
    headdim: int = 64
    ngroups: int = 1
    conv_width: int = 4
    chunk_size: int = 64
    dt_min: float = 0.001
    dt_max: float = 0.1
    norm_eps: float = 1e-5

    def __post_init__(self) -> None:
        for name, most in (("d_state", 256), ("expand", 64), ("headdim", 256), ("ngroups", 256), ("conv_width", 16)):
            if not 1 <= getattr(self, name) <= most:
                raise ConfigError(f"mamba2 has {name} = {getattr(self, name)}", hint=f"it is from 1 to {most}")
        if self.chunk_size not in (16, 32, 64, 128, 256):
            raise ConfigError(f"mamba2 has chunk_size = {self.chunk_size}", hint="a power of two from 16 to 256")
        if not (0 < self.dt_min <= self.dt_max < math.inf and 0 < self.norm_eps < math.inf):
            raise ConfigError(
                f"mamba2 has dt_min = {self.dt_min}, dt_max = {self.dt_max}, norm_eps = {self.norm_eps}",
                hint="0 < dt_min <= dt_max and norm_eps > 0",
            )

    def n_heads(self, d_model: int) -> int:
        inner = self.expand * d_model
        if inner % self.headdim or (inner // self.headdim) % self.ngroups:
            raise ConfigError(
                f"mamba2 has expand * d_model = {inner}, headdim = {self.headdim}, ngroups = {self.ngroups}",
                hint="headdim divides expand * d_model, and ngroups divides the number of heads",
            )
        return inner // self.headdim

    def rows(self, d_model: int) -> tuple[tuple[str, int], ...]:
        """The row groups of ``in_proj``."""
        inner, state = self.expand * d_model, self.ngroups * self.d_state
        return ("z", inner), ("x", inner), ("B", state), ("C", state), ("dt", self.n_heads(d_model))


class Mamba2(nn.Module):
    """Called as ``mixer(x_BTD, starts_BT)``; the state is reset at each document's start."""

    def __init__(self, d_model: int, config: Mamba2Config, context: BuildContext) -> None:
        super().__init__()
        if OP not in context.kernels:
            raise PluginError(f"the mixer `mamba2` was built without a kernel for `{OP}`")
        self.kernel, self.config = context.kernels[OP], config
        self.rows = config.rows(d_model)
        self.inner, self.n_heads = config.expand * d_model, config.n_heads(d_model)
        self.in_proj = Linear(d_model, sum(rows for _, rows in self.rows))
        self.conv = ShortConvolution(self.inner + 2 * config.ngroups * config.d_state, config.conv_width)
        low, high = math.log(config.dt_min), math.log(config.dt_max)
        dt_H = (torch.rand(self.n_heads) * (high - low) + low).exp()
        self.dt_bias = nn.Parameter(dt_H + (-(-dt_H).expm1()).log())
        self.A_log = nn.Parameter(torch.empty(self.n_heads).uniform_(1, 16).log())
        self.D = nn.Parameter(torch.ones(self.n_heads))
        self.norm = nn.Parameter(torch.ones(self.inner))
        self.out_proj = Linear(self.inner, d_model, zero=True)

    def forward(self, x_BTD: torch.Tensor, starts_BT: torch.Tensor | None = None) -> torch.Tensor:
        return self._run(x_BTD, starts_BT, None)[0]

    def initial_state(self, n_batch: int, context: int) -> State:
        """What ``step`` begins with. All that was read lies in the state, whatever ``context`` is."""
        c = self.config
        return self.D.new_zeros(n_batch, self.n_heads, c.headdim, c.d_state), *self.conv.nothing(n_batch)

    def step(self, x_BTD: torch.Tensor, starts_BT: torch.Tensor | None, state: State) -> tuple[torch.Tensor, State]:
        """``forward`` that goes on from ``state``, and the state after the last position."""
        y_BTD, after = self._run(x_BTD, starts_BT, state)
        assert after is not None
        return y_BTD, after

    def _run(
        self, x_BTD: torch.Tensor, starts_BT: torch.Tensor | None, state: State | None
    ) -> tuple[torch.Tensor, State | None]:
        c, widths = self.config, dict(self.rows)
        shared = [self.inner, widths["B"], widths["C"]]
        z_BTI, xbc_BTX, dt_BTH = self.in_proj(x_BTD).split([self.inner, sum(shared), self.n_heads], dim=-1)
        before = None if state is None else (state[1], state[2])
        x, B, C = self.conv(xbc_BTX, starts_BT, before).split(shared, dim=-1)
        found: Any = self.kernel(
            x.unflatten(-1, (-1, c.headdim)), F.softplus(dt_BTH.float() + self.dt_bias.float()),
            -self.A_log.float().exp(), B.unflatten(-1, (-1, c.d_state)), C.unflatten(-1, (-1, c.d_state)), self.D,
            starts_BT, None if state is None else state[0], chunk_size=c.chunk_size, return_state=state is not None,
        )  # fmt: skip
        y_BTHP, after = (found, None) if state is None else found
        gated_BTI = y_BTHP.flatten(2).float() * F.silu(z_BTI.float())
        gated_BTI = F.rms_norm(gated_BTI, (self.inner,), self.norm.float(), c.norm_eps).to(x_BTD.dtype)
        y_BTD = self.out_proj(gated_BTI)
        if before is None or after is None:
            return y_BTD, None
        return y_BTD, (after, *self.conv.after(xbc_BTX, starts_BT, before))


class Mamba2Mixer:
    """What the plugin host calls."""

    Config = Mamba2Config

    def build(self, d_model: int, config: Mamba2Config, context: BuildContext) -> Mamba2:
        return Mamba2(d_model, config, context)

    def roles(self, mixer: nn.Module) -> dict[str, Role]:
        assert isinstance(mixer, Mamba2)
        return {
            "in_proj.weight": Role("in_proj", mixer.rows),
            "out_proj.weight": Role("out"),
            **{name: Role("scalar") for name in ("conv.weight", "dt_bias", "A_log", "D", "norm")},
        }

    def static_arguments(self, config: Mamba2Config) -> dict[str, dict[str, Any]]:
        return {OP: {"chunk_size": config.chunk_size}}

    def flops_per_token(self, d_model: int, config: Mamba2Config, context: BuildContext) -> int:
        """6 per matrix and convolution weight, and per head 3 times what one position costs.

        That is the state's update and use, 2 * 2 * headdim * d_state, and inside the chunk
        2 * (headdim + d_state) for each of (chunk_size + 1) / 2 positions seen.
        """
        inner = config.expand * d_model
        weights = d_model * (sum(rows for _, rows in config.rows(d_model)) + inner)
        weights += config.conv_width * (inner + 2 * config.ngroups * config.d_state)
        chunk = min(config.chunk_size, context.sequence_length)
        head = 4 * config.headdim * config.d_state + (config.headdim + config.d_state) * (chunk + 1)
        return 6 * weights + 3 * config.n_heads(d_model) * head


mamba2 = Mamba2Mixer()
