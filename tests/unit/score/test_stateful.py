"""State carried from window to window scores as one pass over everything does, and its leaks are found."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from golfreg.api.errors import AnswerIsNo
from golfreg.score.evaluate import Scored, evaluate
from golfreg.score.probe import Probe
from golfreg.score.stateful import Stateful
from golfreg.score.windows import parse_windows

VOCAB, BOS = 50, 1
CPU = torch.device("cpu")


class Decayed(nn.Module):
    """Predicts from a decaying sum of the document's embeddings. ``fault``: what it does wrong."""

    def __init__(self, fault: str = "") -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(5)
        self.embedding = nn.Parameter(torch.randn(VOCAB, 16, generator=generator))
        self.out = nn.Parameter(torch.randn(16, VOCAB, generator=generator) / 4)
        self.fault = fault
        self.calls = 0

    def initial_state(self, n_batch: int, context: int) -> torch.Tensor:
        return torch.zeros(n_batch, 16)

    def step(self, tokens_BT: torch.Tensor, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        self.calls += 1
        sum_BD = state if self.fault == "writes to its state" else state.clone()
        outputs = []
        for t, token_B in enumerate(tokens_BT.unbind(1)):
            if self.fault != "crosses":
                sum_BD[token_B == BOS] = 0
            sum_BD.mul_(0.7).add_(self.embedding[token_B])
            outputs.append(sum_BD.clone())
            if self.fault == "looks ahead" and t + 1 < tokens_BT.shape[1]:
                outputs[-1] += self.embedding[tokens_BT[:, t + 1]]
        x_BTD = torch.stack(outputs, 1)
        if self.fault == "keeps a secret":
            x_BTD = x_BTD + 0.1 * self.calls
        return x_BTD, sum_BD

    def features(self, tokens_BT: torch.Tensor) -> torch.Tensor:
        return self.step(tokens_BT, self.initial_state(len(tokens_BT), 0))[0]

    def head(self, x_BTD: torch.Tensor) -> torch.Tensor:
        return x_BTD @ self.out


def scored(model: Any) -> Scored:
    return Scored(model, "architecture `test`", VOCAB, CPU)


def score(model: Any, tokens: np.ndarray, table: Any, windows: str, length: int) -> Any:
    parsed = parse_windows(windows, length)
    harness = scored(model)
    audit: Any = Stateful(harness, parsed, len(tokens), seed=3).audit if parsed.stateful else lambda *args: None
    return evaluate(harness, tokens, table, parsed, 4096, BOS, audit=audit).score()


@pytest.mark.parametrize("length", [1, 7, 32, 5000])
def test_any_window_scores_as_one_pass_over_everything(tokens: np.ndarray, table: Any, length: int) -> None:
    whole = score(Decayed(), tokens, table, "fixed", len(tokens))
    carried = score(Decayed(), tokens, table, "stateful", length)
    assert carried.nats == pytest.approx(whole.nats, rel=1e-6)
    assert (carried.tokens, carried.bytes) == (whole.tokens, whole.bytes)


def test_windows_that_forget_score_otherwise(tokens: np.ndarray, table: Any) -> None:
    whole = score(Decayed(), tokens, table, "fixed", len(tokens))
    assert abs(score(Decayed(), tokens, table, "fixed", 8).nats / whole.nats - 1) > 1e-3


def probe(model: Any, tokens: np.ndarray, isolated: bool = True) -> Any:
    windows = parse_windows("stateful", 32)
    stateful = Stateful(scored(model), windows, len(tokens), seed=3)
    return Probe(stateful, tokens, BOS, seed=11).run(stateful.pairs, 512, 16, isolated)


def test_an_honest_state_passes_the_probe(tokens: np.ndarray) -> None:
    report = probe(Decayed(), tokens)
    assert report.positions >= 16
    assert report.documents > 0


def test_a_state_that_crosses_documents_is_found(tokens: np.ndarray) -> None:
    with pytest.raises(AnswerIsNo, match=r"crosses a document's start"):
        probe(Decayed("crosses"), tokens)
    assert probe(Decayed("crosses"), tokens, isolated=False).documents == 0


def test_a_step_that_looks_ahead_is_found(tokens: np.ndarray) -> None:
    with pytest.raises(AnswerIsNo, match=r"looks ahead"):
        probe(Decayed("looks ahead"), tokens)


@pytest.mark.parametrize("fault", ["writes to its state", "keeps a secret", "looks ahead"])
def test_a_wrong_step_is_found_while_the_stream_is_scored(tokens: np.ndarray, table: Any, fault: str) -> None:
    with pytest.raises(AnswerIsNo, match=r"run again from the same state|looks ahead"):
        score(Decayed(fault), tokens, table, "stateful", 32)


def test_a_model_without_a_state_is_told_what_to_set(model: Any, tokens: np.ndarray, table: Any) -> None:
    with pytest.raises(AnswerIsNo, match=r"no `step` and `initial_state`") as caught:
        score(model, tokens, table, "stateful", 32)
    assert "sliding:STRIDE" in str(caught.value.hint)
