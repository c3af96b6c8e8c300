"""The architecture ``hybrid``: mixers and MLPs stacked by a pattern.

With its default configuration and the mixer ``attention`` it is the challenge's baseline
(``train_gpt.py`` of openai/parameter-golf, 17,059,912 parameters at 1024 tokens of vocabulary).
Shape letters: B batch, T time, D model width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import nn

from golfreg.api.errors import ConfigError, PluginError
from golfreg.api.values import BuildContext, Role
from golfreg.builtin.mixers.linear import Linear

ACTIVATIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "relu2": lambda x: F.relu(x).square(),
    "leaky_relu2": lambda x: F.leaky_relu(x, 0.5).square(),
    "gelu": F.gelu,
    "silu": F.silu,
}


@dataclass(frozen=True)
class HybridConfig:
    n_layers: int = 9
    d_model: int = 512
    mixer: str = "attention"
    """Mixer of every layer that ``attention_layers`` does not name."""
    attention_layers: tuple[int, ...] = ()
    """Layers, counted from 0, whose mixer is ``attention``."""
    mlp_ratio: float = 2.0
    """Hidden width of the MLP over ``d_model``; 0: no MLP."""
    mlp_activation: str = "relu2"
    unet_skips: bool = True
    """Each layer of the second half adds the output of its mirror image in the first, weighted per channel."""
    residual_mix: bool = True
    """Each layer starts from a learned mix, per channel, of the residual stream and the embedding."""
    layer_scales: bool = True
    """Outputs of mixers and MLPs are scaled per channel."""
    logit_softcap: float = 30.0
    """Logits are bounded by softcap * tanh(logits / softcap); 0: not."""
    tie_embeddings: bool = True
    tied_embedding_std: float = 0.005
    norm_scale: bool = False
    """What mixer and MLP of layer i read is divided by sqrt(i + 1) (LN scale, parameter-golf PR 315)."""
    smear_channels: int = 0
    """The embedding before is added to each one, times a learned factor and a sigmoid of this many of its channels,
    but not across a document's start (SmearGate, modded-nanogpt; PR 1667, with the mask of PR 1851: 12); 0: not."""
    loop_layers: tuple[int, ...] = ()
    """Layers, one after the other, that are run ``loop_times`` times (depth recurrence, PR 1344: [3, 4, 5])."""
    loop_times: int = 3
    lane_layers: int = 0
    """The last layers in which mixer and MLP read a residual stream each and write to both, with learned factors;
    their mean is read out (parallel residual lanes, PR 1204 and 1530: 3 or 4 of 11)."""
    document_mask: bool = True
    """Nothing passes from one document to the next. False: as in the challenge, the stream is one text."""

    def __post_init__(self) -> None:
        for name, largest in (("n_layers", 256), ("d_model", 65536)):
            if not 1 <= getattr(self, name) <= largest:
                raise ConfigError(f"hybrid has {name} = {getattr(self, name)}", hint=f"it is from 1 to {largest}")
        outside = [layer for layer in self.attention_layers if not 0 <= layer < self.n_layers]
        if outside:
            raise ConfigError(
                f"hybrid has attention_layers = {list(self.attention_layers)} but no layer {outside[0]}",
                hint=f"layers are counted from 0 to {self.n_layers - 1}",
            )
        if self.mlp_activation not in ACTIVATIONS:
            raise ConfigError(
                f"hybrid has mlp_activation = {self.mlp_activation!r}", hint=f"known: {', '.join(ACTIVATIONS)}"
            )
        for name, most in (("mlp_ratio", 64.0), ("logit_softcap", 1e6), ("tied_embedding_std", 1e6)):
            if not 0 <= getattr(self, name) <= most:
                raise ConfigError(f"hybrid has {name} = {getattr(self, name)}", hint=f"it is from 0 to {most:g}")
        most_of = {"smear_channels": self.d_model, "lane_layers": self.n_layers, "loop_times": 64}
        for name, largest in most_of.items():
            if not 0 <= getattr(self, name) <= largest:
                raise ConfigError(f"hybrid has {name} = {getattr(self, name)}", hint=f"it is from 0 to {largest}")
        loop, first_lane = self.loop_layers, self.n_layers - self.lane_layers
        if loop and (loop != tuple(range(loop[0], loop[0] + len(loop))) or loop[0] < 0 or loop[-1] >= first_lane):
            raise ConfigError(
                f"hybrid has loop_layers = {list(loop)}",
                hint=f"layers that follow one another, of those from 0 to {first_lane - 1}: lanes are not looped",
            )
        if loop and not self.loop_times:
            raise ConfigError("hybrid has loop_times = 0", hint="a loop is run at least once")
        if self.lane_layers and not self.mlp_width:
            raise ConfigError("hybrid has lane_layers but no MLP", hint="set mlp_ratio, or lane_layers = 0")

    @property
    def mlp_width(self) -> int:
        return round(self.mlp_ratio * self.d_model)

    @property
    def n_skips(self) -> int:
        return len(self.order()) // 2 if self.unet_skips else 0

    def order(self) -> tuple[int, ...]:
        """The layers as they are run."""
        loop = self.loop_layers
        if not loop:
            return tuple(range(self.n_layers))
        return (*range(loop[0]), *loop * self.loop_times, *range(loop[-1] + 1, self.n_layers))

    def pattern(self) -> tuple[str, ...]:
        """The mixer of each layer."""
        return tuple("attention" if i in self.attention_layers else self.mixer for i in range(self.n_layers))


def mixer_of(name: str, context: BuildContext) -> tuple[Any, Any]:
    """(target, config) of a mixer that was resolved for this model."""
    if name not in context.mixers:
        raise PluginError(
            f"the architecture was built without its mixer `{name}`",
            hint=f"given: {', '.join(context.mixers) or 'none'}",
        )
    return context.mixers[name]


class Mlp(nn.Module):
    """One hidden layer; ``down`` starts at zero."""

    def __init__(self, config: HybridConfig) -> None:
        super().__init__()
        self.up = Linear(config.d_model, config.mlp_width)
        self.down = Linear(config.mlp_width, config.d_model, zero=True)
        self.activation = ACTIVATIONS[config.mlp_activation]

    def forward(self, x_BTD: torch.Tensor) -> torch.Tensor:
        return self.down(self.activation(self.up(x_BTD)))


class Carried:
    """What goes from layer to layer beside the residual stream: states of mixers, and what they pass on.

    ``before``: the states from which mixers go on, in the order in which they are run; None: nothing was read before.
    A mixer whose ``passes_on`` is true takes what the last one of its class passed on, None in the first, and returns
    it after its output (and state).
    """

    def __init__(self, before: list[Any] | None) -> None:
        self.before = before
        self.after: list[Any] = []
        self.passed: dict[str, Any] = {}

    def through(self, mixer: Any, x_BTD: torch.Tensor, starts_BT: torch.Tensor | None) -> torch.Tensor:
        kind = type(mixer).__name__
        passes_on = getattr(mixer, "passes_on", False)
        more = (self.passed.get(kind),) if passes_on else ()
        if self.before is None:
            given = mixer(x_BTD, starts_BT, *more)
        else:
            given = mixer.step(x_BTD, starts_BT, self.before[len(self.after)], *more)
            self.after.append(given[1])
        if passes_on:
            self.passed[kind] = given[-1]
        return given[0] if isinstance(given, tuple) else given


class Block(nn.Module):
    """A mixer and an MLP, each on the normalized residual stream."""

    mixer: Any
    normalized: Callable[[torch.Tensor], torch.Tensor]

    def __init__(self, config: HybridConfig, layer: int, mixer: nn.Module) -> None:
        super().__init__()
        d = config.d_model
        self.mixer, self.normalized = mixer, normalized
        self.mlp = Mlp(config) if config.mlp_width else None
        self.mixer_scale = nn.Parameter(torch.ones(d)) if config.layer_scales else None
        self.mlp_scale = nn.Parameter(torch.ones(d)) if config.layer_scales and config.mlp_width else None
        self.residual_mix = nn.Parameter(torch.stack((torch.ones(d), torch.zeros(d)))) if config.residual_mix else None
        lanes = layer >= config.n_layers - config.lane_layers
        self.lane_carry = nn.Parameter(torch.ones(2)) if lanes else None
        self.lane_writes = nn.Parameter(torch.ones(2, 2)) if lanes else None
        self.read_scale = (layer + 1) ** -0.5 if config.norm_scale else 1.0

    def forward(
        self, lanes: tuple[torch.Tensor, ...], x0_BTD: torch.Tensor, starts_BT: torch.Tensor | None, carried: Carried
    ) -> tuple[torch.Tensor, ...]:
        """The residual stream, or the mixer's and the MLP's, after this layer."""
        x_BTD = lanes[0]
        if self.residual_mix is not None:
            of_x, of_x0 = self.residual_mix.to(x_BTD.dtype)
            x_BTD = of_x * x_BTD + of_x0 * x0_BTD
        mixed_BTD = scaled(self.mixer_scale, carried.through(self.mixer, self._read(x_BTD), starts_BT))
        if self.lane_carry is None or self.lane_writes is None:
            x_BTD = x_BTD + mixed_BTD
            return (x_BTD if self.mlp is None else x_BTD + self._mlp(x_BTD),)
        both, mlp_BTD = (lanes[0], lanes[-1]), self._mlp(lanes[-1])
        kept, (of_mixer, of_mlp) = self.lane_carry.to(x_BTD.dtype), self.lane_writes.to(x_BTD.dtype)
        return tuple(kept[i] * both[i] + of_mixer[i] * mixed_BTD + of_mlp[i] * mlp_BTD for i in (0, 1))

    def _mlp(self, x_BTD: torch.Tensor) -> torch.Tensor:
        assert self.mlp is not None
        return scaled(self.mlp_scale, self.mlp(self._read(x_BTD)))

    def _read(self, x_BTD: torch.Tensor) -> torch.Tensor:
        return self.normalized(x_BTD) if self.read_scale == 1.0 else self.read_scale * self.normalized(x_BTD)


def normalized(x: torch.Tensor) -> torch.Tensor:
    return F.rms_norm(x, (x.shape[-1],))


def normalized_by(kernel: Callable[..., torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    """``normalized``, computed by a kernel of the op ``rms_norm``."""
    return kernel(x, eps=torch.finfo(x.dtype).eps)


def scaled(scale: torch.Tensor | None, x: torch.Tensor) -> torch.Tensor:
    return x if scale is None else scale.to(x.dtype) * x


class Hybrid(nn.Module):
    """``features`` ends with the final norm, so ``head`` is one matrix product and the softcap."""

    normalized: Callable[[torch.Tensor], torch.Tensor]

    def __init__(self, config: HybridConfig, context: BuildContext) -> None:
        super().__init__()
        self.config, self.bos_id, self.normalized = config, context.bos_id, normalized
        self.mixer_targets = {name: mixer_of(name, context)[0] for name in config.pattern()}
        self.dtype: torch.dtype = getattr(torch, context.dtype)
        self.embedding = nn.Embedding(context.vocab_size, config.d_model)
        mixers = enumerate(mixer_of(name, context) for name in config.pattern())
        self.blocks = nn.ModuleList(
            Block(config, i, target.build(config.d_model, own, context)) for i, (target, own) in mixers
        )
        self._compute_with(context.kernels)
        self.skip_scales = nn.Parameter(torch.ones(config.n_skips, config.d_model)) if config.n_skips else None
        smears = config.smear_channels
        self.smear_gate = nn.Parameter(torch.zeros(smears)) if smears else None
        self.smear_scale = nn.Parameter(torch.zeros(1)) if smears else None
        self.lm_head = None if config.tie_embeddings else Linear(config.d_model, context.vocab_size, zero=True)
        if config.tie_embeddings:
            nn.init.normal_(self.embedding.weight, std=config.tied_embedding_std)

    def _compute_with(self, kernels: Mapping[str, Callable[..., torch.Tensor]]) -> None:
        """What has a kernel is computed by it, the rest in plain code."""
        blocks = [cast(Block, block) for block in self.blocks]
        if norm := kernels.get("rms_norm"):
            self.normalized = partial(normalized_by, norm)
            for block in blocks:
                block.normalized = self.normalized
        if activation := kernels.get("mlp_activation"):
            for mlp in (block.mlp for block in blocks if block.mlp is not None):
                mlp.activation = partial(activation, kind=self.config.mlp_activation)

    def features(self, tokens_BT: torch.Tensor) -> torch.Tensor:
        return self._run(tokens_BT, None)[0]

    def initial_state(self, n_batch: int, context: int) -> list[Any]:
        """What ``step`` begins with: for each layer as it is run, and with ``smear_channels`` the embedding before.

        ConfigError if a mixer has no state to carry.
        """
        mixers = [cast(Block, block).mixer for block in self.blocks]
        for name, mixer in zip(self.config.pattern(), mixers, strict=True):
            if not (hasattr(mixer, "step") and hasattr(mixer, "initial_state")):
                raise ConfigError(
                    f"the mixer `{name}` cannot carry its state from window to window",
                    hint="it has no `step` and `initial_state`: score with windows `fixed` or `sliding:STRIDE`",
                )
        state = [mixers[i].initial_state(n_batch, context) for i in self.config.order()]
        return state if self.smear_gate is None else [*state, self._nothing(n_batch)]

    def step(self, tokens_BT: torch.Tensor, state: list[Any]) -> tuple[torch.Tensor, list[Any]]:
        """``features`` that go on from ``state``, and the state after the last token."""
        return self._run(tokens_BT, state)

    def _run(self, tokens_BT: torch.Tensor, state: list[Any] | None) -> tuple[torch.Tensor, list[Any]]:
        starts_BT = tokens_BT == self.bos_id if self.config.document_mask and self.bos_id is not None else None
        x_BTD = self.embedding(tokens_BT).to(self.dtype)
        carried, last = Carried(state), []
        if self.smear_gate is not None:
            last = [x_BTD[:, -1:]]
            x_BTD = self._smeared(x_BTD, self._nothing(len(x_BTD)) if state is None else state[-1], starts_BT)
        x0_BTD = self.normalized(x_BTD)
        lanes: tuple[torch.Tensor, ...] = (x0_BTD,)
        skips: list[torch.Tensor] = []
        order = self.config.order()
        n_first = len(order) // 2
        for i, layer in enumerate(order):
            block = cast(Block, self.blocks[layer])
            if self.skip_scales is not None and i >= n_first and skips:
                lanes = (lanes[0] + scaled(self.skip_scales[i - n_first], skips.pop()), *lanes[1:])
            lanes = block(lanes, x0_BTD, starts_BT, carried)
            if i < self.config.n_skips:
                skips.append(lanes[0])
        return self.normalized(lanes[0] if len(lanes) == 1 else (lanes[0] + lanes[1]) / 2), carried.after + last

    def _nothing(self, n_batch: int) -> torch.Tensor:
        """The embedding before a stream's first."""
        weight_VD = self.embedding.weight
        return torch.zeros(n_batch, 1, weight_VD.shape[1], dtype=self.dtype, device=weight_VD.device)

    def _smeared(self, x_BTD: torch.Tensor, before_B1D: torch.Tensor, starts_BT: torch.Tensor | None) -> torch.Tensor:
        assert self.smear_gate is not None
        gate_BT = (x_BTD[..., : len(self.smear_gate)] @ self.smear_gate.to(x_BTD.dtype)).sigmoid()
        if starts_BT is not None:
            gate_BT = gate_BT.masked_fill(starts_BT, 0)
        shifted_BTD = torch.cat((before_B1D, x_BTD[:, :-1]), 1)
        return x_BTD + scaled(self.smear_scale, gate_BT.unsqueeze(-1) * shifted_BTD)

    def head_parts(self) -> tuple[torch.Tensor, float]:
        """The head's weight_VD and the softcap, for a loss that computes both."""
        return (self.embedding if self.lm_head is None else self.lm_head).weight, self.config.logit_softcap

    def head(self, x_BTD: torch.Tensor) -> torch.Tensor:
        weight_VD, cap = self.head_parts()
        logits_BTV = F.linear(x_BTD, weight_VD.to(x_BTD.dtype))
        return cap * torch.tanh(logits_BTV / cap) if cap else logits_BTV

    def forward(self, tokens_BT: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(tokens_BT))


class HybridArchitecture:
    """What the plugin host calls."""

    Config = HybridConfig

    def mixers(self, config: HybridConfig) -> tuple[str, ...]:
        return tuple(dict.fromkeys((config.mixer, *config.pattern())))

    def build(self, config: HybridConfig, context: BuildContext) -> Hybrid:
        return Hybrid(config, context)

    def roles(self, model: nn.Module) -> dict[str, Role]:
        assert isinstance(model, Hybrid)
        fixed = {
            "embedding.weight": Role("embedding"),
            "lm_head.weight": Role("head"),
            "mlp.up.weight": Role("mlp_up"),
            "mlp.down.weight": Role("mlp_down"),
        }
        roles = {}
        of_mixers = {
            f"blocks.{i}.mixer.{name}": role
            for i, mixer in enumerate(model.config.pattern())
            for name, role in model.mixer_targets[mixer].roles(model.blocks[i].mixer).items()
        }
        for name, _ in model.named_parameters():
            inner = name.split(".", 2)[2] if name.startswith("blocks.") else name
            roles[name] = of_mixers.get(name) or fixed.get(inner) or Role("scalar")
        return roles

    def static_arguments(self, config: HybridConfig) -> dict[str, Any]:
        return {"mlp_activation": {"kind": config.mlp_activation}}

    def flops_per_token(self, config: HybridConfig, context: BuildContext) -> int:
        """6 per weight that multiplies activations (the head's too, not the embedding's lookup) and the mixers' own."""
        mlp = 6 * 2 * config.d_model * config.mlp_width
        order, pattern = config.order(), config.pattern()
        total = 6 * config.d_model * context.vocab_size + len(order) * mlp + 6 * config.smear_channels
        for layer in order:
            target, mixer_config = mixer_of(pattern[layer], context)
            total += target.flops_per_token(config.d_model, mixer_config, context)
        return int(total)


hybrid = HybridArchitecture()
