"""Checks of a mixer: any length, causal, nothing crosses a document's start, every parameter lives and has a role.

Shape letters: B batch, T time, D model width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from golfreg.api import BuildContext
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

D_MODEL = 128
LENGTHS = (1, 7, 65)


def check_mixer(target: Any, config: Any, ops: tuple[str, ...] | None = None) -> None:
    """Run every check over a mixer that need not be installed. ``ops``: installed ops that it calls; None: all."""
    check_all("mixer", Subject(target, config, ops=ops))


def context(subject: Subject) -> BuildContext:
    return BuildContext(vocab_size=96, sequence_length=65, bos_id=1, kernels=reference_kernels(subject.ops))


def build(subject: Subject, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    mixer: nn.Module = subject.target.build(D_MODEL, subject.config, context(subject))
    return liven(mixer)


def inputs(length: int, batch: int = 2, seed: int = 3) -> torch.Tensor:
    return torch.randn(batch, length, D_MODEL, generator=seeded(seed))


def starts(length: int, *positions: int, batch: int = 2) -> torch.Tensor:
    starts_BT = torch.zeros(batch, length, dtype=torch.bool)
    starts_BT[:, list(positions)] = True
    return starts_BT


@check("mixer", "pad inside the mixer and cut the padding off again: lengths are not multiples of anything")
def any_length_and_batch_gives_the_shape_of_the_input(subject: Subject) -> None:
    mixer = build(subject)
    with torch.no_grad():
        for batch, length in ((1, 1), (2, 7), (3, 65), (1, 64)):
            x_BTD = inputs(length, batch)
            for starts_BT in (None, starts(length, 0, batch=batch), starts(length, length // 2, batch=batch)):
                y_BTD = mixer(x_BTD, starts_BT)
                expect(y_BTD.shape == x_BTD.shape, f"the input is {list(x_BTD.shape)}, the output {list(y_BTD.shape)}")
                expect(y_BTD.dtype == x_BTD.dtype, f"the input is {x_BTD.dtype}, the output {y_BTD.dtype}")
                expect(bool(y_BTD.isfinite().all()), f"the output at length {length} is not finite")


@check(
    "mixer",
    "mask whatever looks ahead; pad convolutions on the left only; chunks may not share a statistic over time",
)
def no_position_sees_a_later_one(subject: Subject) -> None:
    mixer = build(subject)
    with torch.no_grad():
        for starts_BT in (None, starts(65, 0, 20)):
            x_BTD = inputs(65)
            y_BTD = mixer(x_BTD, starts_BT)
            for t in (1, 7, 32, 64):
                changed_BTD = x_BTD.clone()
                changed_BTD[:, t:] = inputs(65, seed=4)[:, t:]
                z_BTD = mixer(changed_BTD, starts_BT)
                expect_same(z_BTD[:, :t], y_BTD[:, :t], f"positions before {t} after a change from {t} on")
                expect_changed(z_BTD[:, t], y_BTD[:, t], f"the output at {t} does not depend on the input there")


@check(
    "mixer",
    "the output at a position depends on the input at earlier ones: is a projection that starts at zero in the way?",
)
def an_earlier_position_of_the_document_is_seen(subject: Subject) -> None:
    mixer = build(subject)
    with torch.no_grad():
        x_BTD = inputs(7)
        changed_BTD = x_BTD.clone()
        changed_BTD[:, 5] = inputs(7, seed=4)[:, 5]
        for starts_BT in (None, starts(7, 0, 3)):
            moved = mixer(changed_BTD, starts_BT)[:, 6], mixer(x_BTD, starts_BT)[:, 6]
            expect_changed(*moved, "a position does not depend on the one before it: nothing is mixed")


@check("mixer", "reset the state, or mask, where `starts_BT` is True; a start belongs to the new document")
def nothing_crosses_the_start_of_a_document(subject: Subject) -> None:
    mixer = build(subject)
    with torch.no_grad():
        x_BTD = inputs(65)
        for s in (1, 7, 33, 63, 64):
            starts_BT = starts(65, 0, s)
            y_BTD = mixer(x_BTD, starts_BT)
            changed_BTD = x_BTD.clone()
            changed_BTD[:, :s] = inputs(65, seed=4)[:, :s]
            after_BTD = mixer(changed_BTD, starts_BT)[:, s:]
            expect_same(after_BTD, y_BTD[:, s:], f"the document that starts at {s}, after a change before it")
            alone_BTD = mixer(x_BTD[:, s:], None)
            expect_same(y_BTD[:, s:], alone_BTD, f"the document that starts at {s}, against itself alone")
        every_BTD = mixer(x_BTD, torch.ones(2, 65, dtype=torch.bool))
        alone_BTD = torch.cat([mixer(x_BTD[:, t : t + 1], None) for t in range(65)], 1)
        expect_same(every_BTD, alone_BTD, "documents of one token, against each alone")


@check("mixer", "begin with an empty state: `starts_BT` None, all False, and True at 0 only are the same")
def the_start_of_the_window_is_a_start(subject: Subject) -> None:
    mixer = build(subject)
    with torch.no_grad():
        x_BTD = inputs(33)
        y_BTD = mixer(x_BTD, None)
        expect_same(mixer(x_BTD, starts(33)), y_BTD, "no starts, against None")
        expect_same(mixer(x_BTD, starts(33, 0)), y_BTD, "a start at 0, against None")


@check("mixer", "keep the batch dimension apart: no mean, norm or state over it; each sequence has its own starts")
def sequences_of_a_batch_are_apart(subject: Subject) -> None:
    mixer = build(subject)
    with torch.no_grad():
        x_BTD = inputs(33, batch=3)
        starts_BT = starts(33, 0, batch=3)
        starts_BT[1, 9] = starts_BT[2, 20] = True
        y_BTD = mixer(x_BTD, starts_BT)
        for b in range(3):
            alone_BTD = mixer(x_BTD[b : b + 1], starts_BT[b : b + 1])
            expect_same(y_BTD[b : b + 1], alone_BTD, f"sequence {b} of a batch, against itself alone")


@check("mixer", "use every parameter in the forward pass, and detach nothing on the way")
def gradients_reach_every_parameter_and_the_input(subject: Subject) -> None:
    for starts_BT in (None, starts(33, 0, 10)):
        mixer = build(subject).train()
        x_BTD = inputs(33).requires_grad_()
        expect_gradients(mixer, mixer(x_BTD, starts_BT))
        reached = x_BTD.grad is not None and bool(x_BTD.grad.abs().sum(-1).gt(0).all())
        expect(reached, "no gradient reaches some position of the input")


@check("mixer", "`roles(mixer)` has a `Role` for each of `mixer.named_parameters()`; fused matrices have row groups")
def every_parameter_has_a_role(subject: Subject) -> None:
    mixer = build(subject)
    expect_roles(dict(mixer.named_parameters()), subject.target.roles(mixer))


@check(
    "mixer",
    "make every weight an `nn.Parameter`, and compute buffers from the config: an artifact carries parameters only",
)
def the_parameters_are_all_that_a_second_build_needs(subject: Subject) -> None:
    first, second = build(subject, seed=0), build(subject, seed=1)
    copy_parameters(first, second)
    with torch.no_grad():
        x_BTD = inputs(33)
        expect_same(second(x_BTD, None), first(x_BTD, None), "a second build with the first one's parameters")
    second.load_state_dict(first.state_dict())


@check("mixer", "draw initial values from torch's global generator only")
def the_seed_decides_the_initial_values(subject: Subject) -> None:
    first, second = build(subject).state_dict(), build(subject).state_dict()
    expect(all(torch.equal(first[name], second[name]) for name in first), "two builds under one seed differ")


@check(
    "mixer",
    "return an int: 6 for each weight that multiplies activations, and three times what one position's mixing costs",
)
def flops_are_a_positive_count(subject: Subject) -> None:
    flops = subject.target.flops_per_token(D_MODEL, subject.config, context(subject))
    expect(type(flops) is int and flops > 0, f"flops_per_token is {flops!r}")


@check(
    "mixer",
    "make `step` exact: all that the next window needs lies in the state, which keeps no more than `context` positions",
)
def carrying_the_state_changes_nothing(subject: Subject) -> None:
    mixer: Any = build(subject)
    has = [hasattr(mixer, name) for name in ("step", "initial_state")]
    expect(all(has) or not any(has), "of `step` and `initial_state` only one is there: a state needs both")
    if not all(has):
        return
    with torch.no_grad():
        x_BTD = inputs(65)
        for starts_BT in (None, starts(65, 0, 20, 33)):
            whole_BTD = mixer(x_BTD, starts_BT)
            for length in (1, 7, 33, 65):
                state, parts = mixer.initial_state(2, 65), []
                for at in range(0, 65, length):
                    part_BT = None if starts_BT is None else starts_BT[:, at : at + length]
                    y_BTD, after = mixer.step(x_BTD[:, at : at + length], part_BT, state)
                    again_BTD, _ = mixer.step(x_BTD[:, at : at + length], part_BT, state)
                    expect_same(again_BTD, y_BTD, "`step` from the same state a second time: it wrote to the state")
                    parts.append(y_BTD)
                    state = after
                expect_same(torch.cat(parts, 1), whole_BTD, f"steps of {length}, against one call over all")
        sizes = []
        for length in (65, 650):
            _, state = mixer.step(inputs(length), None, mixer.initial_state(2, 16))
            sizes.append(sum(leaf.numel() for leaf in leaves(state)))
        expect(sizes[0] == sizes[1], f"with a context of 16 the state has {sizes[0]:,} numbers, later {sizes[1]:,}")


def leaves(state: Any) -> list[torch.Tensor]:
    """The tensors of a state made of tuples, lists and dicts."""
    if isinstance(state, torch.Tensor):
        return [state]
    inner = state.values() if isinstance(state, dict) else state if isinstance(state, tuple | list) else ()
    return [leaf for part in inner for leaf in leaves(part)]
