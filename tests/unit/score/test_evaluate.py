"""The harness normalizes, gathers and adds; the model gives logits and no more."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from golfreg.api.errors import AnswerIsNo
from golfreg.score import evaluate as evaluate_module
from golfreg.score.evaluate import Scored, evaluate
from golfreg.score.windows import parse_windows

VOCAB, BOS = 50, 1
CPU = torch.device("cpu")


def run(model: Any, tokens: np.ndarray, table: Any, windows: str = "fixed", length: int = 32, batch: int = 256) -> Any:
    scored = Scored(model, "architecture `test`", VOCAB, CPU)
    return evaluate(scored, tokens, table, parse_windows(windows, length), batch, BOS).score()


def challenge_formula(model: Any, tokens: np.ndarray, table: Any, length: int) -> tuple[float, float]:
    """nats and bpb as ``eval_val`` of the challenge writes them, in float64, window by window."""
    nats = nbytes = count = 0.0
    for start in range(0, len(tokens) - 1, length):
        piece = torch.from_numpy(tokens[start : start + length + 1].astype(np.int64))
        with torch.no_grad():
            logits = model.head(model.features(piece[None, :-1]))[0].double()
        nats += float(torch.nn.functional.cross_entropy(logits, piece[1:], reduction="sum"))
        count += len(piece) - 1
        for previous, target in zip(piece[:-1].tolist(), piece[1:].tolist(), strict=True):
            nbytes += int(table.base[target]) + int(bool(table.space[target]) and not bool(table.boundary[previous]))
    loss = nats / count
    return nats, (loss / math.log(2.0)) * (count / nbytes)


def test_nats_and_bpb_are_the_challenges(model: Any, tokens: np.ndarray, table: Any) -> None:
    score = run(model, tokens, table)
    nats, bpb = challenge_formula(model, tokens, table, 32)
    assert score.nats == pytest.approx(nats, rel=1e-9)
    assert score.bits_per_byte == pytest.approx(bpb, rel=1e-9)
    assert score.tokens == len(tokens) - 1


def test_the_batch_and_the_heads_slices_change_nothing(
    model: Any, tokens: np.ndarray, table: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(model, tokens, table)
    monkeypatch.setattr(evaluate_module, "HEAD_ELEMENTS", 3 * VOCAB)
    sliced = run(model, tokens, table, batch=64)
    assert sliced.nats == pytest.approx(whole.nats, rel=1e-7)
    assert sliced.bytes == whole.bytes


def test_sliding_windows_see_more_context_and_count_the_same_bytes(model: Any, tokens: np.ndarray, table: Any) -> None:
    fixed, sliding = run(model, tokens, table), run(model, tokens, table, "sliding:8")
    assert (sliding.bytes, sliding.tokens) == (fixed.bytes, fixed.tokens)
    assert sliding.nats != fixed.nats


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (lambda x: x @ torch.zeros(16, VOCAB - 1), "shape \\[8, 32, 49\\] where logits of shape \\[8, 32, 50\\]"),
        (lambda x: (x @ torch.zeros(16, VOCAB))[:, :-1], "where logits of shape"),
        (lambda x: torch.full((*x.shape[:2], VOCAB), float("nan")), "NaN or infinite"),
        (lambda x: torch.full((*x.shape[:2], VOCAB), float("-inf")), "NaN or infinite"),
        (lambda x: torch.zeros(*x.shape[:2], VOCAB, dtype=torch.int32), "int32"),
        (lambda x: None, "a NoneType"),
    ],
)
def test_logits_that_cannot_be_normalized_stop_the_score_with_the_architectures_name(
    model: Any, tokens: np.ndarray, table: Any, head: Any, said: str
) -> None:
    model.head = head
    with pytest.raises(AnswerIsNo, match=f"architecture `test`.*{said}"):
        run(model, tokens, table)


def test_unnormalized_output_gains_nothing(model: Any, tokens: np.ndarray, table: Any) -> None:
    honest = run(model, tokens, table)
    head = model.head
    model.head = lambda x: head(x) + 1000.0  # as if every token had probability e^1000
    assert run(model, tokens, table).nats == pytest.approx(honest.nats, rel=1e-4)


def test_features_of_another_shape_stop_the_score(model: Any, tokens: np.ndarray, table: Any) -> None:
    model.features = lambda t: torch.zeros(len(t), 3, 16)
    with pytest.raises(AnswerIsNo, match="features of architecture `test`"):
        run(model, tokens, table)


def test_a_model_without_a_head_is_refused() -> None:
    with pytest.raises(AnswerIsNo, match="no `features`"):
        Scored(torch.nn.Linear(1, 1), "architecture `test`", VOCAB, CPU)


def test_the_model_cannot_write_into_the_tokens(model: Any, tokens: np.ndarray, table: Any) -> None:
    honest = run(model, tokens, table)
    features = model.features

    def scribble(t: torch.Tensor) -> torch.Tensor:
        x = features(t)
        t.zero_()
        return x

    model.features = scribble
    assert run(model, tokens, table).nats == honest.nats


@pytest.mark.parametrize("windows", ["fixed", "sliding:8"])
def test_adapt_gets_tokens_after_they_were_scored_never_before(
    model: Any, tokens: np.ndarray, table: Any, windows: str
) -> None:
    calls: list[tuple[str, int]] = []
    features = model.features

    def noted(t: torch.Tensor) -> torch.Tensor:
        calls.append(("score", t.numel()))
        return features(t)

    def adapt(inputs_BT: torch.Tensor, targets_BT: torch.Tensor) -> None:
        assert torch.is_grad_enabled()
        assert torch.equal(inputs_BT[:, 1:], targets_BT[:, :-1])
        calls.append(("adapt", inputs_BT.numel()))

    model.features, model.adapt = noted, adapt
    run(model, tokens, table, windows)
    assert [kind for kind, _ in calls] == ["score", "adapt"] * (len(calls) // 2)
    assert all(a[1] == b[1] for a, b in zip(calls[::2], calls[1::2], strict=True))


def test_learning_from_scored_text_helps_and_counts(model: Any, tokens: np.ndarray, table: Any) -> None:
    honest = run(model, tokens, table)

    def adapt(inputs_BT: torch.Tensor, targets_BT: torch.Tensor) -> None:
        logits = model.head(model.features(inputs_BT))
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets_BT.flatten())
        (gradient,) = torch.autograd.grad(loss, [model.out])
        model.out.data -= 0.5 * gradient

    model.adapt = adapt
    assert run(model, tokens, table).nats < honest.nats
