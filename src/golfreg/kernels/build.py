"""A model from resolved components: the one way that training, calibration and decoding get it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from golfreg.api.errors import ConfigError, InputError, PluginError
from golfreg.api.values import BuildContext

if TYPE_CHECKING:
    from golfreg.config.plan import Chosen


def build_model(
    architecture: Chosen,
    mixers: Mapping[str, Chosen],
    ops: Mapping[str, Chosen],
    kernels: Mapping[str, Chosen],
    *,
    vocab_size: int,
    sequence_length: int,
    bos_id: int | None,
    device: str,
    dtype: str,
    most_parameters: int | None = None,
) -> tuple[nn.Module, BuildContext]:
    """The model on ``device`` with float32 parameters, computing in ``dtype`` (a torch name), and its context.

    Initial values are drawn on the CPU, so ``torch.manual_seed`` by the caller decides them on every
    device. ``most_parameters``: refuse a larger model before memory is allocated for it.
    Raises ``ConfigError`` for configurations that do not fit, ``PluginError`` for missing parts.
    """
    target, config = architecture.load(), _config(architecture)
    named = tuple(target.mixers(config))
    missing = [name for name in named if name not in mixers]
    if missing:
        raise PluginError(f"architecture `{architecture.name}` uses the mixer `{missing[0]}`, which was not resolved")
    built_with = {name: (mixers[name].load(), _config(mixers[name])) for name in named}
    static = static_arguments([*built_with.values(), (target, config)])
    context = BuildContext(
        vocab_size=vocab_size,
        sequence_length=sequence_length,
        bos_id=bos_id,
        mixers=built_with,
        kernels={
            name: kernel_for(op, kernels.get(name), device, dtype, static.get(name, []))[0] for name, op in ops.items()
        },
        dtype=dtype,
    )
    if most_parameters is not None:
        with torch.device("meta"):
            parameters = sum(p.numel() for p in target.build(config, context).parameters())
        if parameters > most_parameters:
            raise InputError(
                f"architecture `{architecture.name}` would have {parameters:,} parameters, over {most_parameters:,}"
            )
    model: nn.Module = target.build(config, context)
    return model.to(device), context


def kernel_for(
    op: Chosen, kernel: Chosen | None, device: str, dtype: str, static: Sequence[Mapping[str, Any]] = ()
) -> tuple[Callable[..., Any], str]:
    """What to call for an op, and why: the kernel that the plan chose if it can run here, else the reference.

    ``static``: the op's static arguments of each mixer that calls it.
    """
    if kernel is None:
        return op.load().reference, "reference: no kernel was chosen"
    implementation = kernel.load()
    for arguments in static or ({},):
        refusal = implementation.supports(device, dtype, **arguments)
        if refusal is not None:
            return op.load().reference, f"reference: `{kernel.name}` cannot run here: {refusal}"
    return implementation.call, f"{kernel.name}: {kernel.reason or 'chosen'}"


def static_arguments(targets: Iterable[tuple[Any, Any]]) -> dict[str, list[dict[str, Any]]]:
    """By op, the static arguments with which each (target, config) calls it.

    The target of a mixer or architecture tells them with ``static_arguments(config) -> {op: {...}}``, if it has it.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for target, config in targets:
        tell = getattr(target, "static_arguments", None)
        for op, arguments in (tell(config) if tell else {}).items():
            found.setdefault(op, []).append(arguments)
    return found


def _config(chosen: Chosen) -> Any:
    try:
        return chosen.make_config()
    except TypeError as error:
        raise ConfigError(f"{chosen.kind} `{chosen.name}` does not take its configuration: {error}") from error
