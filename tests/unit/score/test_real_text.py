"""On real documents and the challenge's tokenizer: bytes are proven, and the score is the challenge's formula."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from golfreg.api.values import Documents
from golfreg.config.spec import DataSettings
from golfreg.data.prepare import prepare
from golfreg.score.evaluate import Scored, evaluate
from golfreg.score.windows import parse_windows

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
TEXT_BYTES = 1_835_209
WINDOW = 512
MAX_TARGETS = int(os.environ.get("GOLFREG_TEST_TARGETS", "50000"))
"""Targets that the formula is computed for; bytes are always compared over the whole text."""


class Bigram(torch.nn.Module):
    """Logits from a small factored table, the same for every run."""

    def __init__(self, vocab: int) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.left = torch.randn(vocab, 4, generator=generator)
        self.right = torch.randn(4, vocab, generator=generator)

    def features(self, tokens_BT: torch.Tensor) -> torch.Tensor:
        return self.left[tokens_BT]

    def head(self, x_BTD: torch.Tensor) -> torch.Tensor:
        return x_BTD @ self.right


def challenge_luts(path: Path, vocab: int) -> tuple[Any, Any, Any]:
    """The three tables as ``build_sentencepiece_luts`` of the challenge defines them."""
    from sentencepiece import SentencePieceProcessor

    model = SentencePieceProcessor(model_file=str(path))
    base, space, boundary = np.zeros(vocab, np.int16), np.zeros(vocab, bool), np.ones(vocab, bool)
    for i in range(vocab):
        if model.is_control(i) or model.is_unknown(i) or model.is_unused(i):
            continue
        boundary[i] = False
        if model.is_byte(i):
            base[i] = 1
            continue
        piece = model.id_to_piece(i)
        space[i] = piece.startswith("▁")
        base[i] = len(piece.removeprefix("▁").encode())
    return base, space, boundary


@pytest.mark.parametrize(
    ("tokenizer", "vocab", "tokens"),
    [("fineweb_1024_bpe.derived.model", 1024, 751_931), ("fineweb_8192_bpe.model", 8192, 498_989)],
)
def test_nats_and_bpb_of_real_text_are_the_challenges(tmp_path: Path, tokenizer: str, vocab: int, tokens: int) -> None:
    text, model_file = DATA / "text" / "fineweb_eval.jsonl", DATA / "tokenizers" / tokenizer
    if not (text.exists() and model_file.exists()):
        pytest.skip("the development data is not here")
    with text.open(encoding="utf-8") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    documents = Documents(lambda: iter(["no validation document"]), lambda: iter(texts), "0", "ODC-By-1.0")
    settings = DataSettings(tokenizer=str(model_file))
    dataset, _ = prepare(lambda: documents, "eval", settings, tmp_path / "set", lambda done, text: None)
    assert (dataset.vocab_size, dataset.validation_token_count) == (vocab, tokens)
    assert dataset.validation_bytes == TEXT_BYTES

    stream = dataset.validation_tokens()
    targets = stream[1:].astype(np.int64)
    assert int(dataset.byte_table.count(stream[:-1].astype(np.int64), targets).sum()) == TEXT_BYTES

    # The challenge leaves out what does not fill a window, so the formula is compared without it.
    used = min(len(stream) - 1, MAX_TARGETS) // WINDOW * WINDOW
    stream = stream[: used + 1]
    model = Bigram(vocab)
    scored = Scored(model, "architecture `bigram`", vocab, torch.device("cpu"))
    score = evaluate(scored, stream, dataset.byte_table, parse_windows("fixed", WINDOW), 8192, dataset.bos_id).score()

    base, space, boundary = challenge_luts(model_file, vocab)
    loss_sum, token_count, byte_count = 0.0, 0, 0
    for start in range(0, used, 8 * WINDOW):
        piece = torch.from_numpy(stream[start : min(start + 8 * WINDOW, used) + 1].astype(np.int64))
        x, y = piece[:-1], piece[1:]
        logits = model.head(model.features(x[None]))[0]
        loss_sum += float(torch.nn.functional.cross_entropy(logits.double(), y, reduction="mean")) * len(y)
        token_count += len(y)
        previous, target = x.numpy(), y.numpy()
        byte_count += int(base[target].astype(np.int64).sum() + (space[target] & ~boundary[previous]).sum())
    bpb = (loss_sum / token_count) / math.log(2.0) * (token_count / byte_count)
    assert (score.tokens, score.bytes) == (token_count, byte_count)
    assert score.nats == pytest.approx(loss_sum, rel=1e-9)
    assert score.bits_per_byte == pytest.approx(bpb, rel=1e-9)
