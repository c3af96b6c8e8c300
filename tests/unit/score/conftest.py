"""A small causal model, a byte table and a token stream that the tests of the score share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

VOCAB, BOS = 50, 1


class Table:
    """The challenge's rule over arrays made for a test."""

    def __init__(self, base: np.ndarray, space: np.ndarray, boundary: np.ndarray) -> None:
        self.base, self.space, self.boundary = base, space, boundary

    def count(self, previous: np.ndarray, targets: np.ndarray) -> np.ndarray:
        return self.base[targets].astype(np.int64) + (self.space[targets] & ~self.boundary[previous])


class Mean(nn.Module):
    """Predicts from the mean of the document's tokens so far, so every earlier token matters."""

    def __init__(self, vocab: int = VOCAB, width: int = 16, bos: int | None = BOS) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(5)
        self.embedding = nn.Parameter(torch.randn(vocab, width, generator=generator))
        self.out = nn.Parameter(torch.randn(width, vocab, generator=generator))
        self.bos = bos

    def weights(self, tokens_BT: torch.Tensor) -> torch.Tensor:
        """Which positions each position sees, bool [B, T, T]."""
        length = tokens_BT.shape[1]
        causal_TT = torch.ones(length, length, dtype=torch.bool).tril()
        if self.bos is None:
            return causal_TT[None].expand(len(tokens_BT), -1, -1)
        document_BT = (tokens_BT == self.bos).cumsum(1)
        return causal_TT & (document_BT[:, :, None] == document_BT[:, None, :])

    def features(self, tokens_BT: torch.Tensor) -> torch.Tensor:
        seen_BTT = self.weights(tokens_BT).float()
        mean_BTT = seen_BTT / seen_BTT.sum(-1, keepdim=True).clamp(min=1)
        x_BTD = self.embedding[tokens_BT]
        return torch.tanh(x_BTD + mean_BTT @ x_BTD)

    def head(self, x_BTD: torch.Tensor) -> torch.Tensor:
        return x_BTD @ self.out


@pytest.fixture
def model() -> Mean:
    return Mean()


@pytest.fixture
def make_model() -> Callable[..., Any]:
    return Mean


@pytest.fixture
def tokens() -> np.ndarray:
    """2,000 tokens in documents of about 30."""
    random = np.random.default_rng(3)
    stream = random.integers(2, VOCAB, 2000)
    stream[random.random(2000) < 1 / 30] = BOS
    stream[0] = BOS
    return stream.astype(np.uint16)


@pytest.fixture
def table() -> Table:
    random = np.random.default_rng(4)
    base = random.integers(1, 6, VOCAB).astype(np.int16)
    boundary = np.zeros(VOCAB, bool)
    base[:2], boundary[:2] = 0, True
    space = random.random(VOCAB) < 0.5
    space[:2] = False
    return Table(base, space, boundary)
