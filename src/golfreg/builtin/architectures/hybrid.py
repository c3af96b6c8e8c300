"""The architecture ``hybrid``: mixers and MLPs stacked by a pattern.

With its default configuration and the mixer ``attention`` it is the challenge's baseline
(``train_gpt.py`` of openai/parameter-golf, 17,059,912 parameters at 1024 tokens of vocabulary).
Shape letters: B batch, T time, D model width, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Callable
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

    @property
    def mlp_width(self) -> int:
        return round(self.mlp_ratio * self.d_model)

    @property
    def n_skips(self) -> int:
        return self.n_layers // 2 if self.unet_skips else 0

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


class Block(nn.Module):
    """A mixer and an MLP, each on the normalized residual stream."""

    mixer: Any

    def __init__(self, config: HybridConfig, mixer: nn.Module) -> None:
        super().__init__()
        d = config.d_model
        self.mixer = mixer
        self.mlp = Mlp(config) if config.mlp_width else None
        self.mixer_scale = nn.Parameter(torch.ones(d)) if config.layer_scales else None
        self.mlp_scale = nn.Parameter(torch.ones(d)) if config.layer_scales and config.mlp_width else None
        self.residual_mix = nn.Parameter(torch.stack((torch.ones(d), torch.zeros(d)))) if config.residual_mix else None

    def forward(self, x_BTD: torch.Tensor, x0_BTD: torch.Tensor, starts_BT: torch.Tensor | None) -> torch.Tensor:
        x_BTD = self._entered(x_BTD, x0_BTD)
        return self._mixed(x_BTD, self.mixer(normalized(x_BTD), starts_BT))

    def step(
        self, x_BTD: torch.Tensor, x0_BTD: torch.Tensor, starts_BT: torch.Tensor | None, state: Any
    ) -> tuple[torch.Tensor, Any]:
        x_BTD = self._entered(x_BTD, x0_BTD)
        y_BTD, state = self.mixer.step(normalized(x_BTD), starts_BT, state)
        return self._mixed(x_BTD, y_BTD), state

    def _entered(self, x_BTD: torch.Tensor, x0_BTD: torch.Tensor) -> torch.Tensor:
        if self.residual_mix is None:
            return x_BTD
        of_x, of_x0 = self.residual_mix.to(x_BTD.dtype)
        return of_x * x_BTD + of_x0 * x0_BTD

    def _mixed(self, x_BTD: torch.Tensor, y_BTD: torch.Tensor) -> torch.Tensor:
        x_BTD = x_BTD + scaled(self.mixer_scale, y_BTD)
        if self.mlp is not None:
            x_BTD = x_BTD + scaled(self.mlp_scale, self.mlp(normalized(x_BTD)))
        return x_BTD


def normalized(x: torch.Tensor) -> torch.Tensor:
    return F.rms_norm(x, (x.shape[-1],))


def scaled(scale: torch.Tensor | None, x: torch.Tensor) -> torch.Tensor:
    return x if scale is None else scale.to(x.dtype) * x


class Hybrid(nn.Module):
    """``features`` ends with the final norm, so ``head`` is one matrix product and the softcap."""

    def __init__(self, config: HybridConfig, context: BuildContext) -> None:
        super().__init__()
        self.config, self.bos_id = config, context.bos_id
        self.mixer_targets = {name: mixer_of(name, context)[0] for name in config.pattern()}
        self.dtype: torch.dtype = getattr(torch, context.dtype)
        self.embedding = nn.Embedding(context.vocab_size, config.d_model)
        mixers = (mixer_of(name, context) for name in config.pattern())
        self.blocks = nn.ModuleList(Block(config, target.build(config.d_model, own, context)) for target, own in mixers)
        if activation := context.kernels.get("mlp_activation"):
            for mlp in (cast(Block, block).mlp for block in self.blocks):
                if mlp is not None:
                    mlp.activation = partial(activation, kind=config.mlp_activation)
        self.skip_scales = nn.Parameter(torch.ones(config.n_skips, config.d_model)) if config.n_skips else None
        self.lm_head = None if config.tie_embeddings else Linear(config.d_model, context.vocab_size, zero=True)
        if config.tie_embeddings:
            nn.init.normal_(self.embedding.weight, std=config.tied_embedding_std)

    def features(self, tokens_BT: torch.Tensor) -> torch.Tensor:
        return self._run(tokens_BT, None)[0]

    def initial_state(self, n_batch: int, context: int) -> list[Any]:
        """What ``step`` begins with, for each layer. ConfigError if a mixer has no state to carry."""
        mixers = [cast(Block, block).mixer for block in self.blocks]
        for name, mixer in zip(self.config.pattern(), mixers, strict=True):
            if not (hasattr(mixer, "step") and hasattr(mixer, "initial_state")):
                raise ConfigError(
                    f"the mixer `{name}` cannot carry its state from window to window",
                    hint="it has no `step` and `initial_state`: score with windows `fixed` or `sliding:STRIDE`",
                )
        return [mixer.initial_state(n_batch, context) for mixer in mixers]

    def step(self, tokens_BT: torch.Tensor, state: list[Any]) -> tuple[torch.Tensor, list[Any]]:
        """``features`` that go on from ``state``, and the state after the last token."""
        return self._run(tokens_BT, state)

    def _run(self, tokens_BT: torch.Tensor, state: list[Any] | None) -> tuple[torch.Tensor, list[Any]]:
        starts_BT = tokens_BT == self.bos_id if self.config.document_mask and self.bos_id is not None else None
        x_BTD = x0_BTD = normalized(self.embedding(tokens_BT).to(self.dtype))
        skips: list[torch.Tensor] = []
        after: list[Any] = []
        n_first = len(self.blocks) // 2
        for i, block in enumerate(self.blocks):
            if self.skip_scales is not None and i >= n_first and skips:
                x_BTD = x_BTD + scaled(self.skip_scales[i - n_first], skips.pop())
            if state is None:
                x_BTD = block(x_BTD, x0_BTD, starts_BT)
            else:
                x_BTD, carried = cast(Block, block).step(x_BTD, x0_BTD, starts_BT, state[i])
                after.append(carried)
            if i < self.config.n_skips:
                skips.append(x_BTD)
        return normalized(x_BTD), after

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
        total = 6 * config.d_model * context.vocab_size + config.n_layers * mlp
        for name in config.pattern():
            target, mixer_config = mixer_of(name, context)
            total += target.flops_per_token(config.d_model, mixer_config, context)
        return int(total)


hybrid = HybridArchitecture()
