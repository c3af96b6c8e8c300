"""The mixer ``mamba1`` (arXiv 2312.00752): a short convolution, a selective scan with a decay of its own for each
channel and state number, a gate.

Initial values are the paper's (section 3.6): A is -1 to -N, steps are spread from ``dt_min`` to ``dt_max``;
``out_proj`` starts at zero. Shape letters: B batch, T time, D model width, I channels, N state, R rank of the step.
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

OP = "mamba1_scan"
State = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""(state_BIN, the convolution's last inputs, where documents start among them)."""


@dataclass(frozen=True)
class Mamba1Config:
    d_state: int = 16
    expand: int = 2
    conv_width: int = 4
    dt_rank: int = 0
    """The step's projection goes through this many channels; 0: a sixteenth of ``d_model``, rounded up."""
    dt_min: float = 0.001
    dt_max: float = 0.1

    def __post_init__(self) -> None:
        for name, least, most in (("d_state", 1, 256), ("expand", 1, 64), ("conv_width", 1, 16), ("dt_rank", 0, 4096)):
            if not least <= getattr(self, name) <= most:
                raise ConfigError(f"mamba1 has {name} = {getattr(self, name)}", hint=f"it is from {least} to {most}")
        if not 0 < self.dt_min <= self.dt_max < math.inf:
            raise ConfigError(
                f"mamba1 has dt_min = {self.dt_min} and dt_max = {self.dt_max}", hint="0 < dt_min <= dt_max"
            )

    def rank(self, d_model: int) -> int:
        return self.dt_rank or -(-d_model // 16)

    def rows(self, d_model: int) -> tuple[tuple[str, int], ...]:
        """The row groups of ``x_proj``."""
        return ("dt", self.rank(d_model)), ("B", self.d_state), ("C", self.d_state)


class Mamba1(nn.Module):
    """Called as ``mixer(x_BTD, starts_BT)``; the state is reset at each document's start."""

    def __init__(self, d_model: int, config: Mamba1Config, context: BuildContext) -> None:
        super().__init__()
        if OP not in context.kernels:
            raise PluginError(f"the mixer `mamba1` was built without a kernel for `{OP}`")
        self.kernel = context.kernels[OP]
        self.inner, self.rows = config.expand * d_model, config.rows(d_model)
        rank = config.rank(d_model)
        self.in_proj = Linear(d_model, 2 * self.inner)
        self.conv = ShortConvolution(self.inner, config.conv_width)
        self.x_proj = Linear(self.inner, rank + 2 * config.d_state)
        self.dt_proj = Linear(rank, self.inner)
        with torch.no_grad():
            self.dt_proj.weight.uniform_(-(rank**-0.5), rank**-0.5)
        low, high = math.log(config.dt_min), math.log(config.dt_max)
        dt_I = (torch.rand(self.inner) * (high - low) + low).exp()
        self.dt_bias = nn.Parameter(dt_I + (-(-dt_I).expm1()).log())
        self.A_log = nn.Parameter(torch.arange(1.0, config.d_state + 1).log().repeat(self.inner, 1))
        self.D = nn.Parameter(torch.ones(self.inner))
        self.out_proj = Linear(self.inner, d_model, zero=True)

    def forward(self, x_BTD: torch.Tensor, starts_BT: torch.Tensor | None = None) -> torch.Tensor:
        return self._run(x_BTD, starts_BT, None)[0]

    def initial_state(self, n_batch: int, context: int) -> State:
        """What ``step`` begins with. All that was read lies in the state, whatever ``context`` is."""
        return self.D.new_zeros(n_batch, *self.A_log.shape), *self.conv.nothing(n_batch)

    def step(self, x_BTD: torch.Tensor, starts_BT: torch.Tensor | None, state: State) -> tuple[torch.Tensor, State]:
        """``forward`` that goes on from ``state``, and the state after the last position."""
        y_BTD, after = self._run(x_BTD, starts_BT, state)
        assert after is not None
        return y_BTD, after

    def _run(
        self, x_BTD: torch.Tensor, starts_BT: torch.Tensor | None, state: State | None
    ) -> tuple[torch.Tensor, State | None]:
        u_BTI, z_BTI = self.in_proj(x_BTD).chunk(2, dim=-1)
        before = None if state is None else (state[1], state[2])
        x_BTI = self.conv(u_BTI, starts_BT, before)
        rank_BTR, B_BTN, C_BTN = self.x_proj(x_BTI).split([rows for _, rows in self.rows], dim=-1)
        dt_BTI = F.softplus(self.dt_proj(rank_BTR).float() + self.dt_bias.float())
        found: Any = self.kernel(
            x_BTI, dt_BTI, -self.A_log.float().exp(), B_BTN, C_BTN, self.D, starts_BT,
            None if state is None else state[0], return_state=state is not None,
        )  # fmt: skip
        y_BTI, after = (found, None) if state is None else found
        y_BTD = self.out_proj(y_BTI * F.silu(z_BTI))
        if before is None or after is None:
            return y_BTD, None
        return y_BTD, (after, *self.conv.after(u_BTI, starts_BT, before))


class Mamba1Mixer:
    """What the plugin host calls."""

    Config = Mamba1Config

    def build(self, d_model: int, config: Mamba1Config, context: BuildContext) -> Mamba1:
        return Mamba1(d_model, config, context)

    def roles(self, mixer: nn.Module) -> dict[str, Role]:
        assert isinstance(mixer, Mamba1)
        return {
            "in_proj.weight": Role("in_proj", (("x", mixer.inner), ("z", mixer.inner))),
            "x_proj.weight": Role("in_proj", mixer.rows),
            "dt_proj.weight": Role("in_proj"),
            "out_proj.weight": Role("out"),
            **{name: Role("scalar") for name in ("conv.weight", "dt_bias", "A_log", "D")},
        }

    def static_arguments(self, config: Mamba1Config) -> dict[str, dict[str, Any]]:
        return {OP: {}}

    def flops_per_token(self, d_model: int, config: Mamba1Config, context: BuildContext) -> int:
        """6 per matrix and convolution weight, and 3 times what one position's scan costs.

        That is, of each channel and state number, decay, writing and reading: 3 * 2.
        """
        inner, rank = config.expand * d_model, config.rank(d_model)
        weights = inner * (3 * d_model + 2 * rank + 2 * config.d_state + config.conv_width)
        return 6 * weights + 3 * 6 * inner * config.d_state


mamba1 = Mamba1Mixer()
