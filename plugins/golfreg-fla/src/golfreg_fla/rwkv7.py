"""The mixer ``rwkv7`` (arXiv 2503.14456, the time mixing): token shift, a generalized delta rule, a gated norm.

Every matrix reads the position mixed with the one before it. Decay, learning rate, gate and (with ``value_residual``)
the share of the first layer's values come from products of two thin matrices. Keys start at a tenth and decays spread
over the channels, as in the authors' code; ``out_proj`` starts at zero, and no initial value depends on the layer.
Shape letters: B batch, T time, D model width, H heads, K head width (D = H K), S = T + 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from golfreg.api.errors import ConfigError, PluginError
from golfreg.api.values import BuildContext, Role
from golfreg_fla.layers import Linear, unit
from golfreg_fla.wkv import LOWEST

OP = "rwkv7_wkv"
State = tuple[torch.Tensor, torch.Tensor]
"""(state_BHKK, the last position x_B1D)."""
SHIFTED = {"receptance": 0.1, "key": 0.35, "value": 0.35, "decay": 0.45, "rate": 0.45, "gate": 0.1}
"""What is read through the token shift. Channel i begins with 1 - (i / D)^power of the position before."""


@dataclass(frozen=True)
class Rwkv7Config:
    head_width: int = 64
    """Of keys and values."""
    decay_rank: int = 64
    rate_rank: int = 64
    value_rank: int = 32
    gate_rank: int = 128
    chunk_size: int = 64
    norm_eps: float = 64e-5
    value_residual: bool = False
    """Values are mixed with those of the first layer, by a share for each channel and position, as in the paper."""

    def __post_init__(self) -> None:
        for name in ("decay_rank", "rate_rank", "value_rank", "gate_rank"):
            if not 1 <= getattr(self, name) <= 4096:
                raise ConfigError(f"rwkv7 has {name} = {getattr(self, name)}", hint="it is from 1 to 4096")
        if not 1 <= self.head_width <= 256:
            raise ConfigError(f"rwkv7 has head_width = {self.head_width}", hint="it is from 1 to 256")
        if self.chunk_size not in (16, 32, 64):
            raise ConfigError(f"rwkv7 has chunk_size = {self.chunk_size}", hint="it is 16, 32 or 64")
        if not 0 < self.norm_eps <= 1:
            raise ConfigError(f"rwkv7 has norm_eps = {self.norm_eps}", hint="it is above 0 and at most 1")

    def ranks(self) -> dict[str, int]:
        """Of the products of two matrices."""
        own = {"decay": self.decay_rank, "rate": self.rate_rank, "gate": self.gate_rank}
        return {**own, "share": self.value_rank} if self.value_residual else own


class Rwkv7(nn.Module):
    """Called as ``mixer(x_BTD, starts_BT)``; state and token shift are reset at each document's start.

    With ``value_residual`` it ``passes_on`` values: they are one more argument, None in the first layer, and returned.
    """

    def __init__(self, d_model: int, config: Rwkv7Config, context: BuildContext) -> None:
        super().__init__()
        if OP not in context.kernels:
            raise PluginError(f"the mixer `rwkv7` was built without a kernel for `{OP}`")
        if d_model % config.head_width:
            raise ConfigError(
                f"rwkv7 has d_model = {d_model} and head_width = {config.head_width}",
                hint="head_width divides d_model",
            )
        self.kernel, self.config, self.passes_on = context.kernels[OP], config, config.value_residual
        heads = d_model // config.head_width, config.head_width
        at_D = torch.arange(d_model) / d_model
        self.shift = nn.Parameter(torch.stack([1 - at_D**power for power in SHIFTED.values()]))
        self.r_proj, self.k_proj, self.v_proj = (Linear(d_model, d_model) for _ in range(3))
        with torch.no_grad():
            self.k_proj.weight.mul_(0.1)
        self.down = nn.ModuleDict({name: Linear(d_model, rank, zero=True) for name, rank in config.ranks().items()})
        self.up = nn.ModuleDict({name: Linear(rank, d_model) for name, rank in config.ranks().items()})
        self.decay_bias = nn.Parameter(6 * at_D**1.5 - 6)
        self.rate_bias = nn.Parameter(torch.zeros(d_model))
        self.share_bias = nn.Parameter(torch.zeros(d_model)) if config.value_residual else None
        self.removal = nn.Parameter(torch.full(heads, 0.7))
        self.replacement = nn.Parameter(torch.ones(heads))
        self.bonus = nn.Parameter(torch.zeros(heads))
        self.norm = nn.Parameter(torch.ones(heads))
        self.norm_bias = nn.Parameter(torch.zeros(heads))
        self.out_proj = Linear(d_model, d_model, zero=True)

    def forward(
        self, x_BTD: torch.Tensor, starts_BT: torch.Tensor | None = None, first_BTD: torch.Tensor | None = None
    ) -> Any:
        y_BTD, _, first_BTD = self._run(x_BTD, starts_BT, None, first_BTD)
        return (y_BTD, first_BTD) if self.passes_on else y_BTD

    def initial_state(self, n_batch: int, context: int) -> State:
        """What ``step`` begins with. All that was read lies in the state, whatever ``context`` is."""
        n_heads, width = self.bonus.shape
        return self.bonus.new_zeros(n_batch, n_heads, width, width), self.bonus.new_zeros(n_batch, 1, n_heads * width)

    def step(
        self,
        x_BTD: torch.Tensor,
        starts_BT: torch.Tensor | None,
        state: State,
        first_BTD: torch.Tensor | None = None,
    ) -> Any:
        """``forward`` that goes on from ``state``, and the state after the last position."""
        y_BTD, after, first_BTD = self._run(x_BTD, starts_BT, state, first_BTD)
        return (y_BTD, after, first_BTD) if self.passes_on else (y_BTD, after)

    def _run(
        self, x_BTD: torch.Tensor, starts_BT: torch.Tensor | None, state: State | None, first_BTD: torch.Tensor | None
    ) -> tuple[torch.Tensor, State | None, torch.Tensor]:
        def of_heads(y_BTD: torch.Tensor) -> torch.Tensor:
            return y_BTD.unflatten(-1, self.bonus.shape)

        before_B1D = torch.zeros_like(x_BTD[:, :1]) if state is None else state[1].to(x_BTD.dtype)
        earlier_BTD = torch.cat((before_B1D, x_BTD[:, :-1]), 1)
        if starts_BT is not None:
            earlier_BTD = earlier_BTD.masked_fill(starts_BT.unsqueeze(-1), 0)
        change_BTD = earlier_BTD - x_BTD
        r, k, v, decay, rate, gate = (x_BTD + change_BTD * share for share in self.shift.to(x_BTD.dtype))

        g_BTD = LOWEST * (self.up["decay"](self.down["decay"](decay).tanh()).float() + self.decay_bias).sigmoid()
        rate_BTHK = of_heads((self.up["rate"](self.down["rate"](rate)) + self.rate_bias.to(x_BTD.dtype)).sigmoid())
        gate_BTD = self.up["gate"](self.down["gate"](gate).sigmoid())
        values_BTD = self.v_proj(v)
        if self.share_bias is not None:
            first_BTD = values_BTD if first_BTD is None else first_BTD
            share_BTD = (self.up["share"](self.down["share"](v)) + self.share_bias.to(x_BTD.dtype)).sigmoid()
            values_BTD = values_BTD + share_BTD * (first_BTD - values_BTD)
        r_BTHK, k_BTHK, v_BTHK = of_heads(self.r_proj(r)), of_heads(self.k_proj(k)), of_heads(values_BTD)
        kappa_BTHK = unit(k_BTHK * self.removal.to(x_BTD.dtype))
        k_BTHK = k_BTHK * (1 + (rate_BTHK - 1) * self.replacement.to(x_BTD.dtype))

        found: Any = self.kernel(
            r_BTHK, of_heads(g_BTD), k_BTHK, v_BTHK, kappa_BTHK, rate_BTHK, starts_BT,
            None if state is None else state[0], chunk_size=self.config.chunk_size, return_state=state is not None,
        )  # fmt: skip
        o_BTHK, after_BHKK = (found, None) if state is None else found
        o_BTHK = F.layer_norm(o_BTHK.float(), (o_BTHK.shape[-1],), eps=self.config.norm_eps)
        o_BTHK = o_BTHK * self.norm.float() + self.norm_bias.float()
        bonus_BTH1 = (r_BTHK * k_BTHK * self.bonus.to(x_BTD.dtype)).float().sum(-1, keepdim=True)
        o_BTHK = (o_BTHK + bonus_BTH1 * v_BTHK.float()).to(x_BTD.dtype)
        y_BTD = self.out_proj(gate_BTD * o_BTHK.flatten(2))
        after = None if after_BHKK is None else (after_BHKK, x_BTD[:, -1:])
        return y_BTD, after, values_BTD if first_BTD is None else first_BTD


class Rwkv7Mixer:
    """What the plugin host calls."""

    Config = Rwkv7Config

    def build(self, d_model: int, config: Rwkv7Config, context: BuildContext) -> Rwkv7:
        return Rwkv7(d_model, config, context)

    def roles(self, mixer: nn.Module) -> dict[str, Role]:
        assert isinstance(mixer, Rwkv7)
        matrices = {f"{name}_proj.weight": Role("qkv") for name in ("r", "k", "v")} | {"out_proj.weight": Role("out")}
        for name in mixer.config.ranks():
            matrices |= {f"{way}.{name}.weight": Role("in_proj") for way in ("down", "up")}
        return {name: matrices.get(name, Role("scalar")) for name, _ in mixer.named_parameters()}

    def static_arguments(self, config: Rwkv7Config) -> dict[str, dict[str, Any]]:
        return {OP: {"chunk_size": config.chunk_size}}

    def flops_per_token(self, d_model: int, config: Rwkv7Config, context: BuildContext) -> int:
        """6 per matrix weight, and per head 3 times what one position costs.

        That is two readings of the state and two writings, 4 * 2 * K^2, and inside the chunk four scores and their
        use, 2 * 8 K, for each of (chunk_size + 1) / 2 positions seen.
        """
        weights = 4 * d_model**2 + 2 * d_model * sum(config.ranks().values())
        chunk, K = min(config.chunk_size, context.sequence_length), config.head_width
        return 6 * weights + 3 * (d_model // K) * (8 * K * K + 8 * K * (chunk + 1))


rwkv7 = Rwkv7Mixer()
