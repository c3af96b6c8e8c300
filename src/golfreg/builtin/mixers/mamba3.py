"""The mixer ``mamba3``: Mamba-3 SISO (arXiv 2603.15569), a state-space layer with a rotating state.

Names and initial values follow ``mamba_ssm/modules/mamba3.py`` of state-spaces/mamba, except that
``out_proj`` starts at zero as every projection into this repository's residual stream does.
Shape letters: B batch, T time, D model width, H heads, N state.
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
from golfreg.builtin.kernels.mamba3_siso import State, projection_rows
from golfreg.builtin.mixers.linear import Linear

OP = "mamba3_siso"


@dataclass(frozen=True)
class Mamba3Config:
    d_state: int = 64
    expand: float = 2.0
    """Inner width over ``d_model``."""
    headdim: int = 64
    ngroups: int = 1
    chunk_size: int = 64
    in_proj_rank: int = 0
    """``in_proj`` is the product of two matrices with this many channels between them; 0: one matrix."""
    in_proj_fixed: bool = False
    """The first of the two stays as it was drawn, from the configuration alone, and costs no bytes."""
    rope_fraction: float = 0.5
    """Part of the state's channels that rotate."""
    a_form: str = "softplus"
    """``softplus`` (the published wheel) or ``heavy_tail`` (the repository's head)."""
    a_floor: float = 1e-4
    dt_min: float = 0.001
    dt_max: float = 0.1
    dt_init_floor: float = 1e-4
    norm_eps: float = 1e-5

    def __post_init__(self) -> None:
        for name in ("d_state", "headdim", "ngroups", "chunk_size", "expand", "in_proj_rank"):
            least = {"expand": 1 / 64, "in_proj_rank": 0}.get(name, 1)
            if not least <= getattr(self, name) <= 4096:
                raise ConfigError(f"mamba3 has {name} = {getattr(self, name)}", hint=f"it is from {least:g} to 4096")
        if self.in_proj_fixed and not self.in_proj_rank:
            raise ConfigError("mamba3 has in_proj_fixed but no in_proj_rank", hint="set in_proj_rank, or neither")
        if not 0 < self.rope_fraction <= 1 or self.n_angles < 1:
            raise ConfigError(
                f"mamba3 has rope_fraction = {self.rope_fraction} and d_state = {self.d_state}",
                hint="rope_fraction is in (0, 1] and leaves at least one pair of channels to rotate",
            )
        if self.a_form not in ("softplus", "heavy_tail"):
            raise ConfigError(f"mamba3 has a_form = {self.a_form!r}", hint="it is `softplus` or `heavy_tail`")
        if not (0 < self.dt_min <= self.dt_max < math.inf and 0 < self.dt_init_floor < math.inf):
            raise ConfigError(
                f"mamba3 has dt_min = {self.dt_min}, dt_max = {self.dt_max}, dt_init_floor = {self.dt_init_floor}",
                hint="0 < dt_min <= dt_max and dt_init_floor > 0",
            )
        if not (0 <= self.a_floor < math.inf and 0 < self.norm_eps < math.inf):
            raise ConfigError(
                f"mamba3 has a_floor = {self.a_floor} and norm_eps = {self.norm_eps}",
                hint="a_floor is not negative and norm_eps is positive",
            )

    @property
    def n_angles(self) -> int:
        return int(self.d_state * self.rope_fraction) // 2

    def inner(self, d_model: int) -> int:
        """Channels of all heads."""
        return self.n_heads(d_model) * self.headdim

    def n_heads(self, d_model: int) -> int:
        inner = self.expand * d_model
        heads = int(inner // self.headdim)
        if inner % self.headdim or heads % self.ngroups or not heads:
            raise ConfigError(
                f"mamba3 has expand * d_model = {inner:g}, headdim = {self.headdim}, ngroups = {self.ngroups}",
                hint="headdim divides expand * d_model, and ngroups divides the number of heads",
            )
        return heads

    def static_arguments(self) -> dict[str, Any]:
        """What the op is called with beside tensors."""
        names = ("headdim", "d_state", "ngroups", "n_angles", "chunk_size", "a_form", "a_floor", "norm_eps")
        return {name: getattr(self, name) for name in names}

    def rows(self, d_model: int) -> tuple[tuple[str, int], ...]:
        """The row groups of ``in_proj``."""
        return projection_rows(self.n_heads(d_model), self.headdim, self.d_state, self.ngroups, self.n_angles)


def drawn_matrix(rank: int, d_model: int) -> torch.Tensor:
    """A random matrix that keeps the size of what it multiplies; the same one each time."""
    drawn_RD = torch.randn(rank, d_model, generator=torch.Generator().manual_seed(rank), device="cpu")
    return drawn_RD / d_model**0.5


class Mamba3(nn.Module):
    """Called as ``mixer(x_BTD, starts_BT)``; the state is reset at each document's start."""

    drawn_RD: torch.Tensor | None

    def __init__(self, d_model: int, config: Mamba3Config, context: BuildContext) -> None:
        super().__init__()
        if OP not in context.kernels:
            raise PluginError(f"the mixer `mamba3` was built without a kernel for `{OP}`")
        self.kernel = context.kernels[OP]
        self.rows = config.rows(d_model)
        self.static = config.static_arguments()
        n_heads = config.n_heads(d_model)
        rank = config.in_proj_rank
        self.in_proj = Linear(rank or d_model, sum(rows for _, rows in self.rows))
        fixed = config.in_proj_fixed
        self.in_down = Linear(d_model, rank) if rank and not fixed else None
        self.register_buffer("drawn_RD", drawn_matrix(rank, d_model) if fixed else None, persistent=False)
        low, high = math.log(config.dt_min), math.log(config.dt_max)
        dt_H = (torch.rand(n_heads) * (high - low) + low).exp().clamp_min(config.dt_init_floor)
        self.dt_bias = nn.Parameter(dt_H + (-(-dt_H).expm1()).log())
        self.B_bias = nn.Parameter(torch.ones(n_heads, config.d_state))
        self.C_bias = nn.Parameter(torch.ones(n_heads, config.d_state))
        self.B_norm = nn.Parameter(torch.ones(config.d_state))
        self.C_norm = nn.Parameter(torch.ones(config.d_state))
        self.D = nn.Parameter(torch.ones(n_heads))
        self.out_proj = Linear(config.inner(d_model), d_model, zero=True)

    def forward(self, x_BTD: torch.Tensor, starts_BT: torch.Tensor | None = None) -> torch.Tensor:
        return self.out_proj(self.kernel(*self._arguments(x_BTD), starts_BT, **self.static))

    def initial_state(self, n_batch: int, context: int) -> State:
        """What ``step`` begins with. All that was read lies in the state, whatever ``context`` is."""
        heads, width, n, angles = len(self.D), self.static["headdim"], self.static["d_state"], self.static["n_angles"]
        shapes = ((heads, angles), (heads, width, n), (heads, n), (heads, width))
        phi_BHR, h_BHPN, k_BHN, v_BHP = (self.D.new_zeros((n_batch, *shape)) for shape in shapes)
        return phi_BHR, h_BHPN, k_BHN, v_BHP

    def step(self, x_BTD: torch.Tensor, starts_BT: torch.Tensor | None, state: State) -> tuple[torch.Tensor, State]:
        """``forward`` that goes on from ``state``, and the state after the last position."""
        y_BTI, after = self.kernel(*self._arguments(x_BTD), starts_BT, state, **self.static, return_state=True)
        return self.out_proj(y_BTI), after

    def _arguments(self, x_BTD: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The op's tensors, in its order."""
        if self.in_down is not None:
            x_BTD = self.in_down(x_BTD)
        elif self.drawn_RD is not None:
            x_BTD = F.linear(x_BTD, self.drawn_RD.to(x_BTD.dtype))
        biases = (self.dt_bias, self.B_bias, self.C_bias, self.B_norm, self.C_norm, self.D)
        return self.in_proj(x_BTD), *biases


class Mamba3Mixer:
    """What the plugin host calls."""

    Config = Mamba3Config

    def build(self, d_model: int, config: Mamba3Config, context: BuildContext) -> Mamba3:
        return Mamba3(d_model, config, context)

    def roles(self, mixer: nn.Module) -> dict[str, Role]:
        assert isinstance(mixer, Mamba3)
        return {
            "in_proj.weight": Role("in_proj", mixer.rows),
            "out_proj.weight": Role("out"),
            **({} if mixer.in_down is None else {"in_down.weight": Role("in_proj")}),
            **{name: Role("scalar") for name in ("dt_bias", "B_bias", "C_bias", "B_norm", "C_norm", "D")},
        }

    def static_arguments(self, config: Mamba3Config) -> dict[str, dict[str, Any]]:
        return {OP: config.static_arguments()}

    def flops_per_token(self, d_model: int, config: Mamba3Config, context: BuildContext) -> int:
        """6 per matrix weight, and per head 3 times what one position costs.

        That is the state's update and use, 2 * 2 * headdim * d_state, and inside the chunk
        2 * (headdim + d_state) for each of (chunk_size + 1) / 2 positions seen.
        """
        rows, rank = sum(rows for _, rows in config.rows(d_model)), config.in_proj_rank
        weights = d_model * config.inner(d_model) + (rank * (rows + d_model) if rank else d_model * rows)
        chunk = min(config.chunk_size, context.sequence_length)
        head = 4 * config.headdim * config.d_state + (config.headdim + config.d_state) * (chunk + 1)
        return 6 * weights + 3 * config.n_heads(d_model) * head


mamba3 = Mamba3Mixer()
