"""All that training changes, as named tensors and a few numbers: what a checkpoint holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from golfreg.api.errors import InputError
from golfreg.train.average import Average
from golfreg.train.muon import Muon
from golfreg.train.optimizers import AdamW


class Batches(Protocol):
    """What training asks of ``golfreg.data.loader.Loader``: tokens from a position on, and each one's next."""

    def read(self, position: int, tokens: int) -> tuple[np.ndarray, np.ndarray]: ...


@dataclass
class TrainState:
    """Weights, optimizers, average, data position and counts. ``step`` steps of ``tokens`` tokens in all are done."""

    model: nn.Module
    muon: Muon
    adamw: AdamW
    average: Average | None
    batches: Batches
    step: int = 0
    tokens: int = 0
    position: int = 0
    """Training tokens handed out since the very start."""

    def weights(self) -> dict[str, Tensor]:
        """What is submitted: the average if there is one; each tied weight once."""
        if self.average is not None:
            return self.average.means
        return {name: p.detach() for name, p in self.model.named_parameters()}

    def tensors(self) -> dict[str, Tensor]:
        """What every process has alike: the tensors themselves, by name."""
        parameters = dict(self.model.named_parameters(remove_duplicate=False))
        buffers = {k: t for k, t in self.model.state_dict().items() if k not in parameters}
        return {
            **{f"weight/{k}": p.detach() for k, p in self.model.named_parameters()},
            **{f"buffer/{k}": t for k, t in buffers.items()},
            **{f"average/{k}": t for k, t in (self.average.means.items() if self.average else ())},
            **self.adamw.tensors(),
        }

    def numbers(self) -> dict[str, int]:
        return {"step": self.step, "tokens": self.tokens, "position": self.position}

    def save(self) -> tuple[dict[str, Tensor], dict[str, int]]:
        """Everything, random generators included, from all processes at once. The tensors are not copies."""
        return {**self.tensors(), **self.muon.gathered(), **_random_state()}, self.numbers()

    @torch.no_grad()
    def load(self, tensors: Mapping[str, Tensor], numbers: Mapping[str, Any]) -> None:
        """Take over what ``save`` gave. InputError if names or shapes are not this run's."""
        mine = self.tensors()
        shapes = {name: tensor.shape for name, tensor in mine.items()} | self.muon.shapes()
        expected = shapes.keys() | _random_state().keys()
        if tensors.keys() != expected:
            name = min(tensors.keys() ^ expected)
            raise InputError(f"the checkpoint does not fit this run: `{name}` is in one of them only")
        for name, shape in shapes.items():
            if tensors[name].shape != shape:
                raise InputError(f"the checkpoint does not fit this run: `{name}` has another shape")
        # Copied, not kept: the memory of a mapped file may be aligned otherwise, which can change sums.
        for name, tensor in mine.items():
            tensor.copy_(tensors[name])
        self.muon.load(tensors)
        _set_random_state(tensors)
        self.step, self.tokens = int(numbers["step"]), int(numbers["tokens"])
        self.position = int(numbers["position"])


def _random_state() -> dict[str, Tensor]:
    _, keys, position, has_gauss, gauss = np.random.get_state()
    counts = np.array([*np.asarray(keys, np.int64), int(position), int(has_gauss)], np.int64)
    state = {
        "random/torch": torch.get_rng_state(),
        "random/numpy": torch.from_numpy(counts),
        "random/numpy_gauss": torch.tensor([float(gauss)], dtype=torch.float64),
    }
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        state["random/cuda"] = torch.cuda.get_rng_state()
    return state


def _set_random_state(tensors: Mapping[str, Tensor]) -> None:
    torch.set_rng_state(tensors["random/torch"].cpu())
    counts = tensors["random/numpy"].numpy()
    gauss = float(tensors["random/numpy_gauss"][0])
    np.random.set_state(("MT19937", counts[:-2].astype(np.uint32), int(counts[-2]), int(counts[-1]), gauss))
    if "random/cuda" in tensors:
        torch.cuda.set_rng_state(tensors["random/cuda"].cpu())
