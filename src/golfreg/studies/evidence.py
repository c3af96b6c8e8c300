"""What numbers can carry: estimates with intervals, and the rule that makes a verdict of one.

A published effect stands if the whole 95 % interval of what was measured lies above half of the
published figure, and does not stand if the whole interval lies below that half. Otherwise, and
wherever there is no interval, it is not decided.

M models, D documents, S samples of the bootstrap.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from golfreg.api.errors import InputError
from golfreg.rules.figures import mean, sample_std

STANDS, FALLS, OPEN = "stands", "does not stand", "not decided"
LEVEL = 0.95
RESAMPLES = 2000
SPREAD = "The interval is that of a paired document bootstrap, checkpoints drawn too."
FEWEST = 20
"""Documents that a bootstrap takes at the least."""
_SEED = 20260503
_DRAWN = 1 << 20
"""Documents drawn at once."""


@dataclass(frozen=True)
class Estimate:
    """A mean and its 95 % interval. Without an interval ``why`` says what it would take."""

    value: float
    low: float | None = None
    high: float | None = None
    count: int = 1
    why: str = ""

    def text(self, digits: int = 3, sign: bool = False) -> str:
        """``0.81 (0.62 to 1.00)``."""
        form = f"{'+' if sign else ''}.{digits}f"
        if self.low is None or self.high is None:
            return f"{self.value:{form}}"
        return f"{self.value:{form}} ({self.low:{form}} to {self.high:{form}})"

    def facts(self) -> dict[str, Any]:
        """As TOML has it."""
        return {k: v for k, v in asdict(self).items() if v not in (None, "")}


@dataclass(frozen=True)
class Verdict:
    """One of ``STANDS``, ``FALLS``, ``OPEN``, and the sentence that says why. ``rule``: how it was decided."""

    word: str
    sentence: str
    rule: str


def over_seeds(values: Sequence[float]) -> Estimate:
    """Mean over models trained from several seeds, with Student's t interval: for what training changes."""
    if len(values) < 2:
        return Estimate(mean(values), count=len(values), why="one seed has no spread: three or more are needed")
    from scipy.special import stdtrit

    half = float(stdtrit(len(values) - 1, (1 + LEVEL) / 2)) * (sample_std(values) or 0.0) / math.sqrt(len(values))
    return Estimate(mean(values), mean(values) - half, mean(values) + half, len(values))


def over_documents(differences: Sequence[np.ndarray], document_bytes: np.ndarray) -> Estimate:
    """Paired document bootstrap of a difference of scores, in mBPB: for what only quantization changes.

    ``differences``: for each model the nats of each document less those of the same document and
    model under the treatment that it is held against. Documents are drawn anew, the same for all
    models, and of several models so are they: how weights happen to be rounded differs by model.
    """
    if any(d.shape != document_bytes.shape for d in differences):
        raise InputError("the models were scored on different documents", "study models of one corpus and tokenizer")
    nats_MD = np.stack(list(differences))
    factor = 1000 / math.log(2.0)
    value = factor * float(nats_MD.mean(0).sum()) / max(int(document_bytes.sum()), 1)
    models, count = nats_MD.shape
    if count < FEWEST:
        return Estimate(
            value, count=count, why=f"{count} documents are too few to draw from: {FEWEST} or more are needed"
        )
    draw = np.random.default_rng(_SEED)
    found: list[np.ndarray] = []
    while (left := RESAMPLES - sum(map(len, found))) > 0:
        size = min(left, max(1, _DRAWN // (count * models)))
        chosen_SD = draw.integers(0, count, (size, count))
        sums_MS = np.stack([nats_D[chosen_SD].sum(1) for nats_D in nats_MD])
        models_SM = draw.integers(0, models, (size, models))
        nats_S = sums_MS[models_SM, np.arange(size)[:, None]].mean(1)
        found.append(factor * nats_S / np.maximum(document_bytes[chosen_SD].sum(1), 1))
    low, high = np.quantile(np.concatenate(found), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(value, float(low), float(high), count)


def held_against(estimate: Estimate, published: float) -> str:
    """The word of the verdict, by the rule above."""
    if estimate.low is None or estimate.high is None:
        return OPEN
    if estimate.low > published / 2:
        return STANDS
    return FALLS if estimate.high < published / 2 else OPEN


def rule_text(what: str, published: float, unit: str, spread: str) -> str:
    """The rule in words, for a report."""
    half = published / 2
    return (
        f"The claim stands if the whole 95 % interval of {what} lies above {half:g}{unit and ' '}{unit}, half of the "
        f"published {published:g}; it does not stand if the whole interval lies below; else it is not decided. {spread}"
    )
