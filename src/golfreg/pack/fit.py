"""Bits and clips by role, so that the artifact lands just under the cap: what ``golfreg run --fit`` does.

Every role is quantized at every rung of a ladder, and coded for real. A rung's error is the sum over the role's
tensors of the squared error relative to the weights, times the elements, and more for embeddings: relative steps then
come out alike, which cost a trained model less than weighing by the outputs' errors did. From the coarsest rungs up,
the step that takes away most error a byte comes first (the lower convex hull of every role's curve, so the choice is
that of one Lagrange multiplier). The first choice that is over the cap is made to fit: all its clips grow together,
or, for a quantizer that finds a price, the price does. Off the training clock; deterministic.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

import torch

from golfreg.api.errors import ConfigError
from golfreg.api.values import EMBEDDING_ROLES, Role, Section
from golfreg.config.plan import Chosen

LADDER = ((5, 18.0), (5, 12.5), (6, 17.7), (6, 12.4), (6, 8.0), (7, 10.0), (8, 13.0))
"""(bits, clip in standard deviations), from coarse to fine. The step decides error and bytes, and codes that are rare
cost little: so no clip is tighter than 8, which trained rows with outliers do not survive."""
TOLERANCE = 0.002
"""Part of the cap that may be left over."""
MOST_LANDINGS = 8
EMBEDDING_WEIGHT = 8.0
"""What an error of an embedding or head counts more: with it their steps come to about a third, as 8 bits beside 6."""
LARGEST_CLIP = 100.0
PRICE = 0.15
"""At which a quantizer that finds a price is tried."""

Quantize = Callable[[Chosen], list[Section]]
Measure = Callable[[Chosen, list[Section]], tuple[int, dict[str, int]]]
"""Sections to the artifact's bytes, and to those of every role."""
Choice = dict[str, int]
"""Role to its rung."""


@dataclasses.dataclass(frozen=True)
class Fitted:
    """What was chosen. ``facts``: for the stage's result and the record."""

    quantizer: Chosen
    sections: list[Section]
    facts: dict[str, Any]


def check_fit(quantizer: Chosen) -> None:
    """ConfigError for a quantizer that has nothing to choose."""
    names = {f.name for f in dataclasses.fields(quantizer.make_config())}
    if missing := sorted({"bits", "clip_std", "overrides"} - names):
        raise ConfigError(
            f"`--fit` chooses bits and clips by role: quantizer `{quantizer.name}` has no setting `{missing[0]}`",
            "choose `--quantizer rdo`, `gptq` or `int6`, or leave out `--fit`",
        )
    if quantizer.config.get("price", -1) >= 0:
        raise ConfigError(
            f"`--fit` finds the price of quantizer `{quantizer.name}`, and `quantizer.price` sets it",
            "leave one of them out",
        )


def fit(
    quantizer: Chosen,
    weights: Mapping[str, torch.Tensor],
    roles: Mapping[str, Role],
    cap_bytes: int,
    quantize: Quantize,
    measure: Measure,
    tell: Callable[[str], None],
) -> Fitted:
    """Choose and quantize."""
    check_fit(quantizer)
    cap_bytes = quantizer.config.get("target_bytes") or cap_bytes
    priced = "price" in quantizer.config
    trial = _with(quantizer, price=PRICE) if priced else quantizer
    pinned = {
        name.partition(".")[0]
        for name, value in quantizer.config["overrides"].items()
        if "." not in name and (not isinstance(value, Mapping) or {"bits", "clip_std"} & set(value))
    }
    smallest = quantizer.config.get("raw_elements", 0)
    large = {name for name, weight in weights.items() if weight.ndim > 1 and weight.numel() > smallest}
    free = sorted({roles[name].name for name in large} - pinned)
    errors: list[dict[str, float]] = []
    sizes: list[dict[str, int]] = []
    rest = 0
    for rung, (bits, clip_std) in enumerate(LADDER):
        tried = _chosen(trial, dict.fromkeys(free, rung))
        sections = quantize(tried)
        total, by_role = measure(tried, sections)
        coded = {s.layout.role for s in sections if s.layout.part == "codes"} - pinned
        errors.append(role_errors(quantizer, sections, weights, roles))
        sizes.append({role: by_role.get(role, 0) for role in sorted(coded)})
        rest = total - sum(sizes[-1].values())
        tell(f"fit: {total:,} bytes with every role at {bits} bits, clip {clip_std:g}")
    order = upgrades(errors, sizes)
    choice = dict.fromkeys(sizes[0], 0)
    upcoming = list(order)
    while upcoming and rest + _sum(sizes, choice) <= cap_bytes:
        role, rung = upcoming.pop(0)
        choice[role] = rung
    if priced:
        fitted = _chosen(quantizer, choice)
        sections = quantize(fitted)
        size, encodes = measure(fitted, sections)[0], len(LADDER) + 1
    else:
        fitted, sections, size, encodes = _land(quantizer, choice, upcoming, cap_bytes, quantize, measure, tell)
        encodes += len(LADDER)
    if size < (1 - TOLERANCE) * cap_bytes:
        tell(
            f"fit: the artifact has {size:,} bytes, {cap_bytes - size:,} less than the cap of {cap_bytes:,}: "
            + ("a larger model would use them" if not upcoming else "no setting that was tried comes closer")
        )
    elif size > cap_bytes:
        tell(f"fit: the smallest artifact that was tried has {size:,} bytes; the cap is {cap_bytes:,}")
    overrides = fitted.config["overrides"]
    picked = {r: {"bits": overrides[r]["bits"], "clip_std": overrides[r]["clip_std"]} for r in sorted(choice)}
    tell("fit: " + ", ".join(f"{r} {p['bits']} bits, clip {p['clip_std']:g}" for r, p in picked.items()))
    return Fitted(fitted, sections, {"cap_bytes": cap_bytes, "bytes": size, "encodes": encodes, "roles": picked})


def upgrades(errors: list[dict[str, float]], sizes: list[dict[str, int]]) -> list[tuple[str, int]]:
    """(role, rung) from the coarsest up, by error taken away a byte; every role's on its lower convex hull."""
    steps: list[tuple[float, str, int]] = []
    for role in sizes[0]:
        at, slope = 0, math.inf
        while at + 1 < len(sizes):
            gains = [
                ((errors[at][role] - errors[to][role]) / max(sizes[to][role] - sizes[at][role], 1), to)
                for to in range(at + 1, len(sizes))
            ]
            gain, to = max(gains)
            slope = min(slope, gain)
            if slope <= 0:
                break
            steps.append((-slope, role, to))
            at = to
    return [(role, rung) for _, role, rung in sorted(steps)]


def role_errors(
    quantizer: Chosen, sections: list[Section], weights: Mapping[str, torch.Tensor], roles: Mapping[str, Role]
) -> dict[str, float]:
    """For each role the sum over its tensors of elements times the squared error relative to the weights."""
    found = quantizer.load().dequantize(sections, quantizer.make_config())
    errors: dict[str, float] = {}
    for name in sorted({s.layout.tensor for s in sections if s.layout.part == "codes"}):
        weight, role = weights[name].float().cpu(), roles[name].name
        lost, whole = (float(x.square().sum(dtype=torch.float64)) for x in (found[name] - weight, weight))
        count = weight.numel() * (EMBEDDING_WEIGHT if role in EMBEDDING_ROLES else 1)
        errors[role] = errors.get(role, 0.0) + count * lost / max(whole, 1e-30)
    return errors


def _land(
    quantizer: Chosen,
    choice: Choice,
    upcoming: list[tuple[str, int]],
    cap_bytes: int,
    quantize: Quantize,
    measure: Measure,
    tell: Callable[[str], None],
) -> tuple[Chosen, list[Section], int, int]:
    """Let all clips grow until the artifact fits; finer rungs first if it fits as it is. ``choice`` is changed."""
    best: tuple[Chosen, list[Section], int] | None = None
    largest_factor = LARGEST_CLIP / max(clip_std for _, clip_std in LADDER)
    factor, over, under = 1.0, (0.0, 0.0), (math.inf, 0.0)
    aim = (1 - TOLERANCE / 2) * cap_bytes
    tried = 0
    while tried < MOST_LANDINGS:
        tried += 1
        fitted = _chosen(quantizer, choice, factor)
        sections = quantize(fitted)
        size = measure(fitted, sections)[0]
        tell(f"fit: {size:,} bytes with all clips times {factor:.4g}")
        # What fits is better than what does not; of what fits the largest is, of what does not the smallest.
        if best is None or (size <= cap_bytes, -abs(cap_bytes - size)) > (
            best[2] <= cap_bytes,
            -abs(cap_bytes - best[2]),
        ):
            best = fitted, sections, size
        if (1 - TOLERANCE) * cap_bytes <= size <= cap_bytes:
            break
        if size <= cap_bytes:
            if not over[0]:
                if not upcoming:
                    break
                role, rung = upcoming.pop(0)
                choice[role] = rung
                continue
            under = math.log2(factor), float(size)
        else:
            over = factor, float(size)
        low = math.log2(over[0])
        codes = sum(s.layout.count for s in sections if s.layout.part == "codes")
        if math.isinf(under[0]):
            # A step that is twice as large takes a bit off every code.
            step = 8 * (over[1] - aim) / max(codes, 1)
            if over[0] >= largest_factor:
                break
            factor = min(over[0] * 2 ** max(step, 0.002), largest_factor)
        else:
            part = (over[1] - aim) / max(over[1] - under[1], 1.0)
            factor = 2 ** (low + min(max(part, 0.1), 0.9) * (under[0] - low))
    assert best is not None
    return *best, tried


def _chosen(quantizer: Chosen, choice: Choice, factor: float = 1.0) -> Chosen:
    """The quantizer with these rungs, and with the overrides that it had of row groups."""
    overrides: dict[str, Any] = {k: dict(v) if isinstance(v, Mapping) else v for k, v in _nested(quantizer).items()}
    for role, rung in choice.items():
        bits, clip_std = LADDER[rung]
        table = {"bits": bits, "clip_std": float(f"{clip_std * factor:.4g}")}
        overrides[role] = {**table, **overrides.get(role, {})}
    return _with(quantizer, overrides=overrides)


def _nested(quantizer: Chosen) -> dict[str, Any]:
    """The overrides, ``"in_proj.dt"`` as ``in_proj`` and in it ``dt``."""
    found: dict[str, Any] = {}
    for name, value in quantizer.config["overrides"].items():
        role, dot, group = name.partition(".")
        if dot:
            found.setdefault(role, {})
            if isinstance(found[role], Mapping):
                found[role] = {**found[role], group: value}
        elif isinstance(value, Mapping):
            found[role] = {**found.get(role, {}), **value}
        else:
            found[role] = {"bits": value, **found.get(role, {})}
    return found


def _with(quantizer: Chosen, **config: Any) -> Chosen:
    return dataclasses.replace(quantizer, config={**quantizer.config, **config})


def _sum(sizes: list[dict[str, int]], choice: Choice) -> int:
    return sum(sizes[rung][role] for role, rung in choice.items())
