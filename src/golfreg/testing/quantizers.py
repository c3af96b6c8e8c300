"""Checks of a quantizer, on weights like a model's: matrices, row groups, embeddings, scalars, rows of zeros."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from golfreg.api import ITEM_BYTES, STORAGE_DTYPE, Budget, GolfregError, Role, Section
from golfreg.testing.kit import Subject, check, check_all, expect

KNOWN_STATISTICS = frozenset({"input_second_moment"})
LARGEST_RELATIVE_ERROR = 0.75
"""RMS of the error over RMS of the weights, of any matrix or row group: two bits a weight do better."""


def check_quantizer(target: Any, config: Any) -> None:
    """Run every check over a quantizer that need not be installed."""
    check_all("quantizer", Subject(target, config))


def sample_weights(seed: int = 0) -> tuple[dict[str, torch.Tensor], dict[str, Role]]:
    """float32 tensors by name, and the role of each."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int, std: float = 1.0) -> torch.Tensor:
        return torch.randn(shape, generator=generator) * std

    groups = (("z", 40), ("x", 40), ("B", 8), ("C", 8), ("dt", 2), ("A", 1))
    spread = torch.cat([torch.full((rows, 1), 10.0 ** (i - 3)) for i, (_, rows) in enumerate(groups)])
    heavy = normal(90, 64)
    heavy[3, 5] = 60.0
    zero_row = normal(96, 48)
    zero_row[7] = 0
    state = {
        "embedding.weight": normal(130, 48, std=0.02),
        "head.weight": normal(130, 48),
        "blocks.0.qkv.weight": normal(96, 48, std=0.1).t().contiguous().t(),
        "blocks.0.out.weight": zero_row,
        "blocks.0.mlp_up.weight": heavy,
        "blocks.0.mlp_down.weight": torch.zeros(80, 64),
        "blocks.0.in_proj.weight": normal(99, 48) * spread,
        "blocks.0.small.weight": normal(3, 5),
        "blocks.0.two_rows.weight": normal(2, 2100),
        "blocks.0.conv.weight": normal(64, 1, 80),
        "blocks.0.scale": normal(48),
        "gain": torch.tensor(1.5),
    }
    names = ("embedding", "head", "qkv", "out", "mlp_up", "mlp_down", "in_proj", "out", "qkv", "scalar", "scalar")
    roles = {name: Role(role) for name, role in zip(state, (*names, "scalar"), strict=True)}
    roles["blocks.0.in_proj.weight"] = Role("in_proj", groups)
    return state, roles


def sample_statistics(needs: frozenset[str], state: Mapping[str, torch.Tensor]) -> dict[str, dict[str, torch.Tensor]]:
    """What golfreg would gather: a positive definite second moment for each matrix's input."""
    unknown = sorted(needs - KNOWN_STATISTICS)
    expect(not unknown, f"`needs` names {unknown}; golfreg gathers {sorted(KNOWN_STATISTICS)}")
    generator = torch.Generator().manual_seed(5)
    moments = {}
    for name, weight in state.items():
        if needs and weight.ndim == 2:
            x_XC = torch.randn(64, weight.shape[1], generator=generator)
            moments[name] = x_XC.t() @ x_XC / len(x_XC) + 0.1 * torch.eye(weight.shape[1])
    return dict.fromkeys(sorted(needs), moments)


def budget() -> Budget:
    """A generous cap; packing costs the uncompressed bytes."""
    return Budget(16_000_000, lambda sections: sum(section.layout.nbytes for section in sections))


def quantized(subject: Subject) -> tuple[dict[str, torch.Tensor], dict[str, Role], list[Section]]:
    """Weights, roles, and what the quantizer made of them; done once for all checks."""
    state, roles = sample_weights()
    if "sections" not in subject.kept:
        statistics = sample_statistics(frozenset(subject.target.needs), state)
        subject.kept["sections"] = list(subject.target.quantize(state, roles, statistics, budget(), subject.config))
    return state, roles, list(subject.kept["sections"])


@check("quantizer", "`needs = frozenset()` or names of statistics that golfreg knows: `input_second_moment`")
def needs_are_statistics_that_golfreg_gathers(subject: Subject) -> None:
    expect(isinstance(subject.target.needs, frozenset), "`needs` is a frozenset of names")
    sample_statistics(subject.target.needs, {})


@check(
    "quantizer",
    "make sections for every tensor of the state, small and one-dimensional ones too; `dequantize` gives float32",
)
def every_tensor_comes_back_by_name_and_shape(subject: Subject) -> None:
    state, _, sections = quantized(subject)
    found = subject.target.dequantize(sections, subject.config)
    expect(set(found) == set(state), f"names that differ: {sorted(set(found) ^ set(state))}")
    for name, weight in state.items():
        expect(isinstance(found[name], torch.Tensor), f"`{name}` came back as a {type(found[name]).__name__}")
        expect(found[name].shape == weight.shape, f"`{name}` came back as {list(found[name].shape)}")
        expect(found[name].dtype == torch.float32, f"`{name}` came back as {found[name].dtype}")
        expect(bool(found[name].isfinite().all()), f"`{name}` came back with values that are not finite")


@check(
    "quantizer",
    "one scale a row, made from that row, with the groups of `role.groups` in order; store scales that float16 "
    "can hold",
)
def the_error_of_every_row_group_is_bounded(subject: Subject) -> None:
    """Row groups whose scales differ by 10**5 show rows in the wrong order, and one scale for all of them."""
    state, roles, sections = quantized(subject)
    found = subject.target.dequantize(sections, subject.config)
    for name, weight in state.items():
        sizes = [rows for _, rows in roles[name].groups] or [weight.shape[0] if weight.ndim else 1]
        true_pieces, given_pieces = (x.reshape(sum(sizes), -1).split(sizes) for x in (weight, found[name]))
        labels = [group for group, _ in roles[name].groups] or [""]
        for label, true, given in zip(labels, true_pieces, given_pieces, strict=True):
            error, size = rms(given - true), rms(true)
            most = LARGEST_RELATIVE_ERROR * size
            told = f"the error is {error:.3g} RMS, at most {most:.3g} may be, of weights of {size:.3g}"
            expect(error <= most, f"`{name}` {label}".strip() + f": {told}")


def rms(x: torch.Tensor) -> float:
    return math.sqrt(float(x.double().square().mean()))


@check(
    "quantizer",
    "make each `Layout` from the array that goes with it (shape, dtype, role, group, alphabet), and that in C order",
)
def sections_keep_what_their_layouts_say(subject: Subject) -> None:
    state, roles, sections = quantized(subject)
    seen: set[tuple[str, str, str]] = set()
    for section in sections:
        layout, data = section.layout, section.data
        what = f"the section {layout}"
        expect(layout.tensor in state, f"{what} is of no tensor of the model")
        role = roles[layout.tensor]
        expect(layout.role == role.name, f"{what} has not the role `{role.name}`")
        known = {name for name, _ in role.groups} | {""}
        expect(layout.group in known, f"{what} has none of the row groups {sorted(known)}")
        expect(layout.part in ("codes", "scale", "raw"), f"{what} has a part that is not codes, scale or raw")
        expect(layout.dtype in ITEM_BYTES, f"{what} has an unknown dtype")
        expect(isinstance(data, np.ndarray) and data.flags.c_contiguous, f"{what} holds no C-contiguous array")
        expect(data.dtype == STORAGE_DTYPE[layout.dtype], f"{what} holds {data.dtype}")
        expect(data.shape == layout.shape, f"{what} holds an array of {data.shape}")
        key = (layout.tensor, layout.part, layout.group)
        expect(key not in seen, f"{what} is there twice")
        seen.add(key)
        if layout.part == "codes":
            expect(layout.alphabet is not None, f"{what} has codes and no alphabet")
            low, high = layout.alphabet or (0, 0)
            inside = data.size == 0 or (low <= int(data.min()) and int(data.max()) <= high)
            expect(inside, f"{what} holds codes from {data.min()} to {data.max()}")


@check("quantizer", "work on a copy (`.detach().clone()`), and seed whatever is random")
def quantizing_twice_gives_the_same_sections_and_changes_nothing(subject: Subject) -> None:
    state, roles = sample_weights()
    statistics = sample_statistics(frozenset(subject.target.needs), state)
    before = copy.deepcopy(state)
    first, second = (subject.target.quantize(state, roles, statistics, budget(), subject.config) for _ in range(2))
    expect([s.layout for s in first] == [s.layout for s in second], "the layouts of two runs differ")
    same = all(a.data.tobytes() == b.data.tobytes() for a, b in zip(first, second, strict=True))
    expect(same, "the data of two runs differs")
    expect(all(torch.equal(state[n], before[n]) for n in before), "`quantize` changed the weights that it was given")


@check(
    "quantizer",
    "`dequantize` gets new read-only arrays: copy before writing, and keep nothing on the object between the two",
)
def decoding_needs_only_the_stored_bytes(subject: Subject) -> None:
    """As a codec gives them back: read-only arrays made from bytes."""
    _, _, sections = quantized(subject)
    stored = [
        Section(s.layout, np.frombuffer(s.data.tobytes(), STORAGE_DTYPE[s.layout.dtype]).reshape(s.layout.shape))
        for s in sections
    ]
    first = subject.target.dequantize(sections, subject.config)
    second = subject.target.dequantize(stored, subject.config)
    expect(all(torch.equal(first[name], second[name]) for name in first), "stored sections decode to other weights")


@check("quantizer", "raise `InputError` when codes have no scales, or a tensor has not all of its row groups")
def a_missing_section_is_refused_or_leaves_its_tensor_out(subject: Subject) -> None:
    state, _, sections = quantized(subject)
    for i, section in enumerate(sections):
        try:
            found = subject.target.dequantize(sections[:i] + sections[i + 1 :], subject.config)
        except GolfregError:
            continue
        except Exception as error:
            raise AssertionError(f"without {section.layout}: raised {type(error).__name__}: {error}") from error
        name = section.layout.tensor
        whole = name in found and found[name].shape == state[name].shape
        expect(not whole, f"without {section.layout} the tensor came back whole")


@check("quantizer", "pass the gradient straight through: `weight + (rounded - weight).detach()`")
def fake_quantization_passes_gradients(subject: Subject) -> None:
    """For a quantizer that has ``fake_quant(weight, role, config)``: same shape and dtype, a finite gradient."""
    fake_quant = getattr(subject.target, "fake_quant", None)
    if fake_quant is None:
        return
    state, roles = sample_weights()
    for name in ("blocks.0.qkv.weight", "blocks.0.in_proj.weight", "embedding.weight"):
        weight = state[name].clone().requires_grad_()
        given = fake_quant(weight, roles[name], subject.config)
        expect(given.shape == weight.shape and given.dtype == weight.dtype, f"`{name}` changes its shape or dtype")
        given.square().sum().backward()
        gradient = weight.grad
        alive = gradient is not None and bool(gradient.isfinite().all()) and float(gradient.abs().sum()) > 0
        expect(alive, f"no gradient reaches `{name}`")
