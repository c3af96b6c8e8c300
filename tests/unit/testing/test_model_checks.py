"""The kit passes right mixers and architectures and names the check that a wrong one breaks.

Shape letters: B batch, T time, D model width, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import nn

from golfreg.api import BuildContext, Role
from golfreg.testing import Subject, checks
from golfreg.testing.architectures import check_architecture
from golfreg.testing.mixers import check_mixer


@dataclass(frozen=True)
class Config:
    fault: str = ""
    n_layers: int = 1


def averages(x_BTD: torch.Tensor, starts_BT: torch.Tensor | None, fault: str) -> torch.Tensor:
    """The mean of the document so far, weighted by nearness."""
    length = x_BTD.shape[1]
    positions = torch.arange(length)
    nearness_TT = 0.8 ** (positions[:, None] - positions).abs().to(x_BTD.dtype)
    seen = (positions[:, None] + (1 if fault == "peeks" else 0) >= positions).expand(len(x_BTD), -1, -1)
    if starts_BT is not None and fault != "leaks":
        document_BT = starts_BT.cumsum(1)
        seen = seen & (document_BT[:, :, None] == document_BT[:, None])
    y_BTD = (seen * nearness_TT) @ x_BTD
    return y_BTD + y_BTD.mean(0, keepdim=True) if fault == "mixes the batch" else y_BTD


class Mixer(nn.Module):
    def __init__(self, d_model: int, fault: str) -> None:
        super().__init__()
        self.fault = fault
        self.in_proj = nn.Linear(d_model, d_model, bias=False)
        self.gain = nn.Parameter(torch.ones(d_model))
        if fault == "is not seeded":
            nn.init.uniform_(self.gain, generator=torch.Generator().manual_seed(torch.seed() % 2**31))
        if fault == "hides weights":
            self.hidden = torch.randn(d_model)
        if fault == "has a dead parameter":
            self.dead = nn.Parameter(torch.ones(3))

    def forward(self, x_BTD: torch.Tensor, starts_BT: torch.Tensor | None = None) -> torch.Tensor:
        if self.fault == "needs a multiple of 8" and x_BTD.shape[1] % 8:
            x_BTD = x_BTD[:, : x_BTD.shape[1] // 8 * 8]
        if self.fault == "mixes nothing":
            return self.gain * self.in_proj(x_BTD)
        y_BTD = self.gain * averages(self.in_proj(x_BTD), starts_BT, self.fault)
        return y_BTD + self.hidden if self.fault == "hides weights" else y_BTD


class Stepping(Mixer):
    """The same mean as a recurrence."""

    def initial_state(self, n_batch: int, context: int) -> torch.Tensor:
        return torch.zeros(n_batch, self.gain.numel())

    def step(self, x_BTD: torch.Tensor, starts_BT: torch.Tensor | None, state: torch.Tensor) -> Any:
        mean_BD = state if self.fault == "writes to its state" else state.clone()
        outputs = []
        for t, u_BD in enumerate(self.in_proj(x_BTD).unbind(1)):
            if starts_BT is not None and self.fault != "carries over a start":
                mean_BD[starts_BT[:, t]] = 0
            mean_BD.mul_(0.8).add_(u_BD)
            outputs.append(mean_BD.clone())
        y_BTD = self.gain * torch.stack(outputs, 1)
        grows = self.fault == "grows"
        return y_BTD, torch.cat((mean_BD, x_BTD.flatten(1)), 1) if grows else mean_BD


class MixerTarget:
    Config = Config

    def build(self, d_model: int, config: Config, context: BuildContext) -> Mixer:
        return (Stepping if config.fault in ("steps", *STEP_FAULTS) else Mixer)(d_model, config.fault)

    def roles(self, mixer: nn.Module) -> dict[str, Role]:
        fault = getattr(mixer, "fault", "")
        groups = (("a", 100), ("b", 29 if fault == "miscounts rows" else 28))
        roles = {"in_proj.weight": Role("in_proj", groups), "gain": Role("scalar"), "dead": Role("scalar")}
        if fault == "invents a role":
            roles["gain"] = Role("gain")
        wanted = {name for name, _ in mixer.named_parameters()} - ({"gain"} if fault == "forgets a role" else set())
        return {name: role for name, role in roles.items() if name in wanted}

    def flops_per_token(self, d_model: int, config: Config, context: BuildContext) -> Any:
        return 1.5 if config.fault == "counts by halves" else 6 * d_model**2


MIXER_FAULTS = {
    "peeks": "no_position_sees_a_later_one",
    "leaks": "nothing_crosses_the_start_of_a_document",
    "mixes the batch": "sequences_of_a_batch_are_apart",
    "mixes nothing": "an_earlier_position_of_the_document_is_seen",
    "needs a multiple of 8": "any_length_and_batch_gives_the_shape_of_the_input",
    "has a dead parameter": "gradients_reach_every_parameter_and_the_input",
    "forgets a role": "every_parameter_has_a_role",
    "invents a role": "every_parameter_has_a_role",
    "miscounts rows": "every_parameter_has_a_role",
    "hides weights": "the_parameters_are_all_that_a_second_build_needs",
    "is not seeded": "the_seed_decides_the_initial_values",
    "counts by halves": "flops_are_a_positive_count",
}


def test_a_right_mixer_passes_every_check() -> None:
    check_mixer(MixerTarget(), Config(), ops=())


@pytest.mark.parametrize("fault", sorted(MIXER_FAULTS))
def test_a_wrong_mixer_breaks_the_check_of_its_fault(fault: str) -> None:
    (each,) = (c for c in checks("mixer") if c.name == MIXER_FAULTS[fault])
    with pytest.raises(AssertionError):
        each.run(Subject(MixerTarget(), Config(fault), ops=()))


STEP_FAULTS = ("writes to its state", "carries over a start", "grows")


@pytest.mark.parametrize("fault", STEP_FAULTS)
def test_a_mixer_whose_state_is_wrong_breaks_the_check_of_carrying(fault: str) -> None:
    (each,) = (c for c in checks("mixer") if c.name == "carrying_the_state_changes_nothing")
    each.run(Subject(MixerTarget(), Config("steps"), ops=()))
    with pytest.raises((AssertionError, RuntimeError)):
        each.run(Subject(MixerTarget(), Config(fault), ops=()))


class Model(nn.Module):
    def __init__(self, config: Config, context: BuildContext) -> None:
        super().__init__()
        self.config, self.bos_id = config, context.bos_id
        self.embedding = nn.Embedding(context.vocab_size, 16)
        self.layers = nn.ModuleList(nn.Linear(16, 16, bias=False) for _ in range(config.n_layers))
        self.lm_head = nn.Linear(16, context.vocab_size, bias=False)
        if config.fault != "unties":
            self.lm_head.weight = self.embedding.weight
        else:
            self.lm_head.weight = nn.Parameter(self.embedding.weight.detach().clone(), requires_grad=False)
            del self.lm_head._parameters["weight"]
            self.lm_head.register_buffer("weight", self.embedding.weight.detach().clone())

    def features(self, tokens_BT: torch.Tensor) -> torch.Tensor:
        starts_BT = None if self.bos_id is None else tokens_BT == self.bos_id
        x_BTD = self.embedding(tokens_BT)
        for layer in self.layers:
            x_BTD = x_BTD + layer(averages(x_BTD, starts_BT, self.config.fault))
        return x_BTD.flatten(1) if self.config.fault == "flattens" else x_BTD

    def head(self, x_BTD: torch.Tensor) -> torch.Tensor:
        if self.config.fault == "heads by mean":
            x_BTD = x_BTD - x_BTD.mean(1, keepdim=True)
        logits_BTV: torch.Tensor = self.lm_head(x_BTD)
        return logits_BTV


class ArchitectureTarget:
    Config = Config

    def mixers(self, config: Config) -> Any:
        return ["attention"] if config.fault == "lists its mixers" else ()

    def build(self, config: Config, context: BuildContext) -> nn.Module:
        if config.fault == "allocates":
            context = BuildContext(context.vocab_size, context.sequence_length, context.bos_id)
            with torch.device("cpu"):
                return Model(config, context)
        return Model(config, context)

    def roles(self, model: nn.Module) -> dict[str, Role]:
        return {
            name: Role("embedding" if name == "embedding.weight" else "out") for name, _ in model.named_parameters()
        }

    def flops_per_token(self, config: Config, context: BuildContext) -> int:
        return -1 if config.fault == "counts backwards" else 6 * 256 * config.n_layers


ARCHITECTURE_FAULTS = {
    "peeks": "no_position_sees_a_later_token",
    "leaks": "nothing_crosses_the_start_of_a_document",
    "heads by mean": "features_and_head_have_the_right_shapes",
    "flattens": "features_and_head_have_the_right_shapes",
    "unties": "the_parameters_are_all_that_a_second_build_needs",
    "lists its mixers": "mixers_are_named",
    "allocates": "the_size_is_known_without_memory",
    "counts backwards": "flops_are_a_positive_count_that_grows_with_the_model",
}


@pytest.mark.parametrize("n_layers", [1, 5])
def test_a_right_architecture_passes_every_check(n_layers: int) -> None:
    check_architecture(ArchitectureTarget(), Config(n_layers=n_layers))


@pytest.mark.parametrize("fault", sorted(ARCHITECTURE_FAULTS))
def test_a_wrong_architecture_breaks_the_check_of_its_fault(fault: str) -> None:
    (each,) = (c for c in checks("architecture") if c.name == ARCHITECTURE_FAULTS[fault])
    with pytest.raises(AssertionError):
        each.run(Subject(ArchitectureTarget(), Config(fault)))
