"""A leak is found wherever it is, and an honest model is left alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from golfreg.api.errors import AnswerIsNo
from golfreg.score.evaluate import Scored, batch_nats, cut
from golfreg.score.probe import Probe, ProbeReport, same_answer
from golfreg.score.windows import parse_windows

VOCAB, BOS = 50, 1


def probe(
    model: Any, tokens: np.ndarray, windows: str = "fixed", isolated: bool = True, batch: int = 256, count: int = 16
) -> ProbeReport:
    scored = Scored(model, "architecture `test`", VOCAB, torch.device("cpu"))
    return Probe(scored, tokens, BOS, seed=11).run(parse_windows(windows, 32), batch, count, isolated)


@pytest.mark.parametrize("windows", ["fixed", "sliding:8"])
@pytest.mark.parametrize("batch", [32, 256])
def test_an_honest_model_passes(model: Any, tokens: np.ndarray, windows: str, batch: int) -> None:
    report = probe(model, tokens, windows, batch=batch)
    assert report.positions >= 16
    assert report.documents > 0
    assert (report.rows > 0) == (batch > 32)
    assert report.largest_move_nats < 1e-4


def test_an_honest_model_in_bfloat16_passes(model: Any, tokens: np.ndarray) -> None:
    model.bfloat16()
    weights = model.weights
    model.weights = lambda t: weights(t).bfloat16()
    model.features = lambda t: torch.tanh(model.embedding[t] + model.weights(t) @ model.embedding[t] * 0.1)
    assert probe(model, tokens).tolerance_nats == 3e-2


@pytest.mark.parametrize("distance", [1, 7])
def test_a_peek_ahead_is_found(model: Any, tokens: np.ndarray, distance: int) -> None:
    honest = model.features

    def peek(t: torch.Tensor) -> torch.Tensor:
        ahead = torch.nn.functional.pad(t[:, distance:], (0, distance))
        return honest(t) + 0.5 * model.embedding[ahead]

    model.features = peek
    with pytest.raises(AnswerIsNo, match=r"architecture `test` looks ahead: .* at position \d+ of a window .* nats"):
        probe(model, tokens)


def test_a_peek_at_one_position_in_eight_is_found(model: Any, tokens: np.ndarray) -> None:
    honest = model.features

    def peek(t: torch.Tensor) -> torch.Tensor:
        x = honest(t)
        x[:, ::8] += model.embedding[torch.nn.functional.pad(t[:, 1:], (0, 1))][:, ::8]
        return x

    model.features = peek
    with pytest.raises(AnswerIsNo, match=r"looks ahead"):
        probe(model, tokens, count=128)


def test_a_leak_between_rows_is_found(model: Any, tokens: np.ndarray) -> None:
    honest = model.features
    model.features = lambda t: honest(t) + 0.1 * honest(t).mean(0, keepdim=True)
    with pytest.raises(AnswerIsNo, match=r"mixes windows of a batch"):
        probe(model, tokens)


def test_a_leak_from_the_next_row_only_is_found(model: Any, tokens: np.ndarray) -> None:
    honest = model.features

    def next_row(t: torch.Tensor) -> torch.Tensor:
        x = honest(t)
        x[:-1, -1] += 0.5 * model.embedding[t[1:, 0]]
        return x

    model.features = next_row
    with pytest.raises(AnswerIsNo, match=r"mixes windows of a batch"):
        probe(model, tokens)


@pytest.mark.parametrize("seed", range(64))
def test_a_leak_between_rows_is_found_whichever_batch_is_drawn(model: Any, tokens: np.ndarray, seed: int) -> None:
    """The stream's last batch has one row, where rows cannot leak: it is never the only one that is probed."""
    honest = model.features

    def first_of_next_row(t: torch.Tensor) -> torch.Tensor:
        x = honest(t)
        x[:-1] += 0.5 * model.embedding[t[1:, :1]]
        return x

    model.features = first_of_next_row
    stream = tokens[: 3 * 256 + 20]
    scored = Scored(model, "architecture `test`", VOCAB, torch.device("cpu"))
    with pytest.raises(AnswerIsNo, match=r"mixes windows of a batch"):
        Probe(scored, stream, BOS, seed=seed).run(parse_windows("fixed", 32), 256, 16, True)


def test_a_leak_across_documents_is_found_and_allowed_where_the_setting_says_so(
    make_model: Any, tokens: np.ndarray
) -> None:
    leaky = make_model(bos=None)
    with pytest.raises(AnswerIsNo, match=r"crosses a document's start"):
        probe(leaky, tokens)
    assert probe(leaky, tokens, isolated=False).documents == 0


def test_a_one_token_look_back_over_a_document_start_is_found(model: Any, tokens: np.ndarray) -> None:
    """The challenge's SmearGate case: BOS mixed with the last token of the document before."""
    honest = model.features
    model.features = lambda t: honest(t) + 0.3 * model.embedding[torch.nn.functional.pad(t[:, :-1], (1, 0))]
    with pytest.raises(AnswerIsNo, match=r"crosses a document's start"):
        probe(model, tokens)


def test_places_differ_from_run_to_run_without_a_seed(model: Any, tokens: np.ndarray) -> None:
    scored = Scored(model, "architecture `test`", VOCAB, torch.device("cpu"))
    places = {tuple(Probe(scored, tokens, BOS).random.integers(0, 1000, 4)) for _ in range(8)}
    assert len(places) > 1


def test_no_probe_is_asked_for_and_none_is_done(model: Any, tokens: np.ndarray) -> None:
    assert probe(model, tokens, count=0).positions == 0


def test_a_model_that_answers_otherwise_when_scored_is_found(model: Any, tokens: np.ndarray) -> None:
    scored = Scored(model, "architecture `test`", VOCAB, torch.device("cpu"))
    windows = parse_windows("fixed", 32)
    report = Probe(scored, tokens, BOS, seed=11).run(windows, 256, 16, True)
    number = next(iter(report.nats))
    inputs, targets = cut(tokens, list(windows.batches(len(tokens), 256))[number])
    nats = batch_nats(scored, scored.put(inputs), scored.put(targets))
    same_answer(scored, report, number, nats)
    with pytest.raises(AnswerIsNo, match=r"answers differently"):
        same_answer(scored, report, number, nats - 0.5)
