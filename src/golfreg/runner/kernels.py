"""The kernels of a run: those that its mixers need, and those that a user puts in place of plain code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from golfreg.api.errors import ConfigError, EnvironmentFault, nearest
from golfreg.config.plan import Chosen
from golfreg.kernels.choose import choose_kernel
from golfreg.registry.host import get_host
from golfreg.registry.records import Registered
from golfreg.registry.resolve import load, resolve

Static = Sequence[Mapping[str, Any]]
PLAIN = "reference"
TRAIN_OPS = ("softcapped_cross_entropy", "symmetric_product")
"""What training computes itself unless it is given a kernel."""


def parse_wanted(text: str) -> tuple[str, dict[str, str]]:
    """``components.kernel`` as (name or ``auto`` for the ops of mixers, op to name)."""
    plain, by_op = [], {}
    for part in (x.strip() for x in text.split(",")):
        op, equals, name = (x.strip() for x in part.partition("="))
        if not part or (equals and not (op and name)) or op in by_op:
            raise ConfigError(
                f"`components.kernel = {text}` is no choice of kernels",
                "it is `auto`, a kernel's name, or OP=NAME for an op; several are separated by commas",
            )
        if equals:
            by_op[op] = name
        else:
            plain.append(part)
    if len(plain) > 1:
        raise ConfigError(f"`components.kernel = {text}` names two kernels for every op", "write OP=NAME for each op")
    return (plain[0] if plain else "auto"), by_op


def choose_all(
    needed: Mapping[str, Static], inline: Mapping[str, Static], wanted: str, device: str, dtype: str
) -> tuple[dict[str, Chosen], dict[str, Chosen]]:
    """(kernels of the model, kernels of training) by op.

    ``needed``: ops that mixers call, with their static arguments; each gets a kernel. ``inline``: ops that the
    architecture computes itself unless it has a kernel; they and those of training get one only if
    it is not the plain reference, or asked for. ConfigError for an op that this run does not have.
    """
    usual, by_op = parse_wanted(wanted)
    optional = {**inline, **dict.fromkeys(TRAIN_OPS, ())}
    for op in by_op:
        if op not in needed and op not in optional:
            known = (*needed, *optional)
            raise ConfigError(
                f"`components.kernel` names the op `{op}`, which this run has not", nearest(op, known, "ops")
            )
    found = choose_kernels(needed, usual, device, dtype, by_op)
    registered = {c.name for c in get_host().of_kind("op")}
    extra = {op: static for op, static in optional.items() if op in registered and op not in needed}
    for op, static in extra.items():
        try:
            kernel = choose_kernels({op: static}, "auto", device, dtype, by_op)[op]
        except EnvironmentFault:
            if op in by_op:
                raise
            continue  # Not even the reference is made for these arguments: the architecture computes it itself.
        if kernel.name != PLAIN or op in by_op:
            found[op] = kernel
    return (
        {op: kernel for op, kernel in found.items() if op not in TRAIN_OPS},
        {op: kernel for op, kernel in found.items() if op in TRAIN_OPS},
    )


def choose_kernels(
    ops: Mapping[str, Static], wanted: str, device: str, dtype: str, by_op: Mapping[str, str] | None = None
) -> dict[str, Chosen]:
    """The kernel of each op: the one asked for where the op has it, else the first by priority that can run here.

    ``ops``: name to the static arguments with which this run's mixers call it.
    """
    offered = {op: {c.name for c in get_host().of_kind("kernel") if c.op == op} for op in sorted(ops)}
    nobody_has_it = not any(wanted in names for names in offered.values())
    kernels = {}
    for op, names in offered.items():
        by_name = {name: resolve("kernel", name, op=op) for name in sorted(names)}
        usual = wanted if wanted in names or (wanted != "auto" and nobody_has_it) else None
        asked = (by_op or {}).get(op, usual)
        name, reason = choose_kernel(
            op,
            [
                (c.name, getattr(c.descriptor, "priority", 0), partial(load, c))
                for c in by_name.values()
                if not c.missing or c.name == asked
            ],
            device,
            dtype,
            asked if asked != "auto" else None,
            static=ops[op],
        )
        kernels[op] = replace(plain_choice(by_name[name]), reason=reason)
    return kernels


def plain_choice(component: Registered) -> Chosen:
    """A component that is not configured."""
    return Chosen(
        kind=component.kind,
        name=component.name,
        target=component.target,
        distribution=component.distribution,
        version=component.version,
        module=component.module,
    )
