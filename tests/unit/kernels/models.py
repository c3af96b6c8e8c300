"""Hybrids for the tests of ``golfreg.kernels`` and of the built-in mixers and architecture."""

from __future__ import annotations

from typing import Any

from torch import nn

from golfreg.api.values import BuildContext
from golfreg.config.plan import Chosen
from golfreg.kernels.build import build_model


def chosen(kind: str, name: str, target: str, **config: Any) -> Chosen:
    return Chosen(kind, name, target, "golfreg", "0", "golfreg.builtin.plugin", config=config)


HYBRID = "golfreg.builtin.architectures.hybrid:hybrid"
OP = chosen("op", "mamba3_siso", "golfreg.builtin.kernels.mamba3_siso:op")
REFERENCE = chosen("kernel", "reference", "golfreg.builtin.kernels.mamba3_siso:reference_kernel")


def build(
    *,
    vocab_size: int = 64,
    bos_id: int | None = None,
    device: str = "cpu",
    dtype: str = "float32",
    most_parameters: int | None = None,
    attention: dict[str, Any] | None = None,
    mamba3: dict[str, Any] | None = None,
    kernels: dict[str, Chosen] | None = None,
    **config: Any,
) -> tuple[nn.Module, BuildContext]:
    """The hybrid with the settings given."""
    return build_model(
        chosen("architecture", "hybrid", HYBRID, **config),
        {
            "attention": chosen("mixer", "attention", "golfreg.builtin.mixers.attention:attention", **attention or {}),
            "mamba3": chosen("mixer", "mamba3", "golfreg.builtin.mixers.mamba3:mamba3", **mamba3 or {}),
        },
        {"mamba3_siso": OP},
        {"mamba3_siso": REFERENCE} if kernels is None else kernels,
        vocab_size=vocab_size,
        sequence_length=256,
        bos_id=bos_id,
        device=device,
        dtype=dtype,
        most_parameters=most_parameters,
    )
