"""Checks of an architecture: features and head, causal, documents apart, roles, what an artifact must carry.

Shape letters: B batch, T time, D model width, V vocabulary.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import nn

from golfreg.api import BuildContext, GolfregError
from golfreg.registry.resolve import resolve
from golfreg.registry.settings import configure
from golfreg.testing.kit import Subject, check, check_all, expect
from golfreg.testing.models import (
    copy_parameters,
    expect_changed,
    expect_gradients,
    expect_roles,
    expect_same,
    liven,
    reference_kernels,
    seeded,
)

VOCABULARY = 96
BOS = 1
SMALLER = ({"n_layers": 3},)
"""Overrides that make most checks quicker, where the configuration has them."""


def check_architecture(target: Any, config: Any) -> None:
    """Run every check over an architecture that need not be installed; the mixers that it names must be."""
    check_all("architecture", Subject(target, config))


def smaller(config: Any) -> Any:
    """The config with fewer layers if it takes that, else as it is."""
    names = {field.name for field in dataclasses.fields(config)}
    for overrides in SMALLER:
        if set(overrides) <= names and all(getattr(config, name) > value for name, value in overrides.items()):
            try:
                return dataclasses.replace(config, **overrides)
            except GolfregError:
                continue
    return config


def context(subject: Subject, config: Any, vocab_size: int = VOCABULARY, bos_id: int | None = BOS) -> BuildContext:
    """Mixers with their default settings and ops by their references."""
    mixers: dict[str, tuple[Any, Any]] = {}
    ops: list[str] = []
    for name in subject.target.mixers(config):
        found = resolve("mixer", name)
        mixers[name] = configure(found, {})
        ops += getattr(found.descriptor, "ops", ())
    kernels = reference_kernels(dict.fromkeys(ops))
    return BuildContext(vocab_size=vocab_size, sequence_length=33, bos_id=bos_id, mixers=mixers, kernels=kernels)


def build(subject: Subject, seed: int = 0) -> nn.Module:
    config = smaller(subject.config)
    torch.manual_seed(seed)
    model: nn.Module = subject.target.build(config, context(subject, config))
    return liven(model)


def tokens(length: int, batch: int = 2, seed: int = 3) -> torch.Tensor:
    """Random tokens, none of which starts a document."""
    return torch.randint(BOS + 1, VOCABULARY, (batch, length), generator=seeded(seed))


def logits(model: Any, tokens_BT: torch.Tensor) -> torch.Tensor:
    given: torch.Tensor = model.head(model.features(tokens_BT))
    return given


@check(
    "architecture",
    "give every field of `Config` a default with which `build` makes a model that runs; `roles` names each parameter",
)
def the_default_configuration_builds_and_runs(subject: Subject) -> None:
    built = context(subject, subject.config)
    model: Any = subject.target.build(subject.config, built)
    with torch.no_grad():
        logits_BTV = logits(model, tokens(5))
    expect(logits_BTV.shape == (2, 5, VOCABULARY), f"logits of 2 x 5 tokens are {list(logits_BTV.shape)}")
    expect(bool(logits_BTV.isfinite().all()), "the logits of the initial model are not finite")
    expect_roles(dict(model.named_parameters()), subject.target.roles(model))


@check(
    "architecture",
    "return a tuple of distinct names of installed mixers from `mixers(config)`; () if the model uses none",
)
def mixers_are_named(subject: Subject) -> None:
    names = subject.target.mixers(subject.config)
    expect(isinstance(names, tuple) and all(isinstance(name, str) for name in names), f"mixers() gives {names!r}")
    expect(len(set(names)) == len(names), f"mixers() names one twice: {names}")


@check(
    "architecture",
    "`features(tokens_BT)` gives [B, T, D] for every B and T, and `head` maps each position alone to [B, T, V]",
)
def features_and_head_have_the_right_shapes(subject: Subject) -> None:
    model: Any = build(subject)
    widths = set()
    with torch.no_grad():
        for batch, length in ((1, 1), (2, 7), (1, 33)):
            x_BTD = model.features(tokens(length, batch))
            expect(x_BTD.ndim == 3 and x_BTD.shape[:2] == (batch, length), f"features are {list(x_BTD.shape)}")
            widths.add(x_BTD.shape[2])
            logits_BTV = model.head(x_BTD)
            expect(logits_BTV.shape == (batch, length, VOCABULARY), f"logits are {list(logits_BTV.shape)}")
            expect(bool(logits_BTV.isfinite().all()), f"logits at length {length} are not finite")
            last_BTV = model.head(x_BTD[:, -1:])
            expect_same(last_BTV, logits_BTV[:, -1:], "the head of one position, against the head of all")
    expect(len(widths) == 1, f"the width of the features changes with the length: {sorted(widths)}")


@check(
    "architecture",
    "mask whatever looks ahead: attention with `is_causal`, convolutions padded on the left only, norms over channels",
)
def no_position_sees_a_later_token(subject: Subject) -> None:
    model = build(subject)
    with torch.no_grad():
        tokens_BT = tokens(33)
        tokens_BT[:, 0] = tokens_BT[:, 12] = BOS
        logits_BTV = logits(model, tokens_BT)
        for t in (1, 12, 16, 32):
            changed_BT = tokens_BT.clone()
            changed_BT[:, t:] = (changed_BT[:, t:] + 7) % VOCABULARY
            given_BTV = logits(model, changed_BT)
            expect_same(given_BTV[:, :t], logits_BTV[:, :t], f"logits before {t} after a change from {t} on")
            expect_changed(given_BTV[:, t:], logits_BTV[:, t:], f"logits from {t} on do not depend on the tokens there")


@check(
    "architecture",
    "pass `starts_BT = tokens_BT == context.bos_id` to the mixers; nothing else in the model may mix positions",
)
def nothing_crosses_the_start_of_a_document(subject: Subject) -> None:
    model = build(subject)
    with torch.no_grad():
        for s in (1, 9, 32):
            tokens_BT = tokens(33)
            tokens_BT[:, s] = BOS
            changed_BT = tokens_BT.clone()
            changed_BT[:, :s] = tokens(33, seed=4)[:, :s]
            logits_BTV = logits(model, tokens_BT)
            what = f"the document that starts at {s}"
            expect_same(logits(model, changed_BT)[:, s:], logits_BTV[:, s:], f"{what}, after a change before it")
            expect_same(logits(model, tokens_BT[:, s:]), logits_BTV[:, s:], f"{what}, against itself alone")


@check("architecture", "mix positions somewhere: use a mixer, or another layer that looks back")
def earlier_tokens_of_the_document_are_seen(subject: Subject) -> None:
    model = build(subject)
    with torch.no_grad():
        tokens_BT = tokens(9)
        tokens_BT[:, 0] = BOS
        changed_BT = tokens_BT.clone()
        changed_BT[:, 5] = (changed_BT[:, 5] + 7 - BOS) % (VOCABULARY - BOS - 1) + BOS + 1
        moved = logits(model, changed_BT)[:, 8], logits(model, tokens_BT)[:, 8]
        expect_changed(*moved, "the last position does not depend on an earlier token")


@check("architecture", "where `context.bos_id` is None there are no document starts: pass `starts_BT = None`")
def a_vocabulary_without_bos_is_accepted(subject: Subject) -> None:
    config = smaller(subject.config)
    model = liven(subject.target.build(config, context(subject, config, bos_id=None)))
    with torch.no_grad():
        expect(bool(logits(model, tokens(7)).isfinite().all()), "logits are not finite")


@check(
    "architecture",
    "`roles(model)` has a `Role` for each of `model.named_parameters()`; the token embedding's is `embedding`",
)
def every_parameter_has_a_role(subject: Subject) -> None:
    model = build(subject)
    roles = subject.target.roles(model)
    expect_roles(dict(model.named_parameters()), roles)
    names = {role.name for role in roles.values()}
    expect("embedding" in names, "no parameter has the role `embedding`")


@check(
    "architecture",
    "use every parameter in the forward pass, or do not create it; no `.detach()` or in-place overwrite on the way",
)
def gradients_reach_every_parameter(subject: Subject) -> None:
    model = build(subject).train()
    tokens_BT = tokens(33)
    tokens_BT[:, 0] = BOS
    expect_gradients(model, logits(model, tokens_BT))


@check(
    "architecture",
    "tie weights in `build`, and compute buffers from the config: an artifact carries parameters only",
)
def the_parameters_are_all_that_a_second_build_needs(subject: Subject) -> None:
    """An artifact carries each distinct parameter once: tied weights must be tied by the build."""
    first, second = build(subject, seed=0), build(subject, seed=1)
    copy_parameters(first, second)
    with torch.no_grad():
        given = logits(second, tokens(17))
        expect_same(given, logits(first, tokens(17)), "a second build with the first one's parameters")
    second.load_state_dict(first.state_dict())


@check(
    "architecture",
    "create parameters with torch's constructors and no explicit `device=`, so that `torch.device('meta')` takes hold",
)
def the_size_is_known_without_memory(subject: Subject) -> None:
    """Scoring builds a stranger's model on the meta device to know its size first."""
    config = smaller(subject.config)
    with torch.device("meta"):
        outline = subject.target.build(config, context(subject, config))
    expect(all(p.is_meta for p in outline.parameters()), "a parameter was allocated on the meta device's build")
    real = {name: p.shape for name, p in build(subject).named_parameters()}
    expect(real == {name: p.shape for name, p in outline.named_parameters()}, "the outline has other parameters")


@check("architecture", "draw initial values from torch's global generator only, on the CPU")
def the_seed_decides_the_initial_values(subject: Subject) -> None:
    first, second = build(subject).state_dict(), build(subject).state_dict()
    expect(all(torch.equal(first[name], second[name]) for name in first), "two builds under one seed differ")


@check("architecture", "return an int: 6 for each weight that multiplies activations, plus what the mixers say")
def flops_are_a_positive_count_that_grows_with_the_model(subject: Subject) -> None:
    flops = subject.target.flops_per_token(subject.config, context(subject, subject.config))
    expect(type(flops) is int and flops > 0, f"flops_per_token is {flops!r}")
    config = smaller(subject.config)
    if config != subject.config:
        fewer = subject.target.flops_per_token(config, context(subject, config))
        expect(fewer < flops, f"fewer layers cost {fewer:,} floating-point operations, the default {flops:,}")


@check(
    "architecture",
    "make `step` exact: all that the next window needs lies in the state, which keeps no more than `context` positions",
)
def carrying_the_state_changes_nothing(subject: Subject) -> None:
    model: Any = build(subject)
    has = [hasattr(model, name) for name in ("step", "initial_state")]
    expect(all(has) or not any(has), "of `step` and `initial_state` only one is there: a state needs both")
    try:
        state = model.initial_state(2, 33) if all(has) else None
    except GolfregError:
        return
    if state is None:
        return
    with torch.no_grad():
        tokens_BT = tokens(33)
        tokens_BT[:, 0] = tokens_BT[:, 12] = BOS
        parts = []
        for part_BT in tokens_BT.split(8, 1):
            x_BTD, state = model.step(part_BT, state)
            parts.append(model.head(x_BTD))
        expect_same(torch.cat(parts, 1), logits(model, tokens_BT), "steps of 8 tokens, against one pass over all")
