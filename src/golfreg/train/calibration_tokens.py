"""Tokens to calibrate on that are no training data: drawn from the model itself, or at random.

B windows, L tokens of a window, V vocabulary, D model width.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from golfreg.api.errors import ConfigError

GENERATED_LENGTH = 512
"""Longest window that is drawn from a model. Tokens come one after the other, windows side by side: more and shorter
windows cost less time."""
TOGETHER = 256
"""Windows that are drawn side by side; their states are in memory."""
WITHOUT_STATE = 64
"""Tokens that a model sees which cannot carry its state on: it reads them again for each one that is drawn."""


def random_tokens(windows: int, length: int, vocab_size: int, bos_id: int | None, generator: torch.Generator) -> Tensor:
    """int64[B, L]: each token as likely as any other, after a document's start."""
    tokens_BL = torch.randint(vocab_size, (windows, length), generator=generator, device=generator.device)
    if bos_id is not None:
        tokens_BL[:, 0] = bos_id
    return tokens_BL


@torch.no_grad()
def generated_tokens(
    model: nn.Module, windows: int, length: int, vocab_size: int, bos_id: int | None, generator: torch.Generator
) -> Tensor:
    """int64[B, L]: drawn from the model's own distribution, token by token, after a document's start.

    Without a token that starts documents the first one is random. The model's state is carried on where
    it can (``step``); else it sees the last ``WITHOUT_STATE`` tokens.
    """
    parts = []
    for first in range(0, windows, TOGETHER):
        count = min(TOGETHER, windows - first)
        tokens_BL = random_tokens(count, length, vocab_size, bos_id, generator)
        state = _initial_state(model, count, length)
        for t in range(1, length):
            if state is None:
                x_BD = model.features(tokens_BL[:, max(0, t - WITHOUT_STATE) : t])[:, -1]  # type: ignore[operator]
            else:
                x_B1D, state = model.step(tokens_BL[:, t - 1 : t], state)  # type: ignore[operator]
                x_BD = x_B1D[:, -1]
            logits_BV = model.head(x_BD[:, None])[:, 0].float()  # type: ignore[operator]
            tokens_BL[:, t] = torch.multinomial(logits_BV.softmax(-1), 1, generator=generator)[:, 0]
        parts.append(tokens_BL)
    return torch.cat(parts)


def _initial_state(model: nn.Module, windows: int, length: int) -> Any:
    if not (hasattr(model, "step") and hasattr(model, "initial_state")):
        return None
    try:
        return model.initial_state(windows, length)  # type: ignore[operator]
    except ConfigError:  # one of its mixers has none
        return None


def drawn_batches(
    source: str, model: nn.Module, *, tokens: int, batch_tokens: int, window: int, vocab_size: int, bos_id: int | None,
    seed: int, device: str,
) -> list[Tensor]:  # fmt: skip
    """About ``tokens`` tokens of ``source``, ``generated`` or ``random``, in batches of at most ``batch_tokens``."""
    generator = torch.Generator(device).manual_seed(seed)
    length = min(window, GENERATED_LENGTH) if source == "generated" else window
    windows = max(1, tokens // length)
    if source == "generated":
        tokens_BL = generated_tokens(model, windows, length, vocab_size, bos_id, generator)
    else:
        tokens_BL = random_tokens(windows, length, vocab_size, bos_id, generator)
    return list(tokens_BL.split(max(1, batch_tokens // length)))
