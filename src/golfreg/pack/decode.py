"""The model of an artifact. In the scoring process this file comes from the artifact itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from golfreg.api.errors import InputError
from golfreg.api.values import Section
from golfreg.kernels.build import build_model
from golfreg.pack.container import Container, read_container
from golfreg.pack.sections import decoded

if TYPE_CHECKING:
    import torch
    from torch import nn


def load_model(path: Path | str, device: str, dtype: str) -> nn.Module:
    """Decode an artifact and build its model on ``device``, computing in ``dtype``, ready to score.

    Runs the components that the header names. InputError if the weights are not the model's.
    """
    container = read_container(path, with_code=False)
    header = container.header
    state = decode_weights(container)
    model, _ = build_model(
        header.architecture, header.mixers, header.ops, header.kernels,
        vocab_size=header.vocab_size, sequence_length=header.sequence_length, bos_id=header.bos_id,
        device=device, dtype=dtype, most_parameters=sum(weight.numel() for weight in state.values()),
    )  # fmt: skip
    _load(model, state)
    return model.requires_grad_(False).eval()


def decode_weights(container: Container) -> dict[str, torch.Tensor]:
    """Every parameter by name, float32 on the CPU: streams to sections to weights."""
    header = container.header
    arrays = decoded(header.codec.load(), container.streams, container.layouts, header.codec.make_config())
    sections = [Section(layout, array) for layout, array in zip(container.layouts, arrays, strict=True)]
    weights: dict[str, torch.Tensor] = header.quantizer.load().dequantize(sections, header.quantizer.make_config())
    return weights


def _load(model: nn.Module, state: dict[str, torch.Tensor]) -> None:
    parameters = dict(model.named_parameters())
    for name in sorted(parameters.keys() ^ state.keys()):
        where = (
            "the model has it and the artifact has not" if name in parameters else "the artifact has it, the model not"
        )
        raise InputError(f"the artifact's weights are not the model's: `{name}`: {where}")
    for name, parameter in parameters.items():
        if parameter.shape != state[name].shape:
            raise InputError(
                f"the artifact's weights are not the model's: `{name}` has the shape {list(state[name].shape)}, "
                f"the model's {list(parameter.shape)}"
            )
        parameter.data.copy_(state[name])
