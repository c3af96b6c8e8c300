"""What does the precision of the rows that feed the state transition (dt, A) cost, and does it grow with the window?

An error in those rows multiplies along the sequence, one anywhere else adds. So the rows are rounded
to each width while all else stays as it is, and every variant is scored with short and long windows,
from the same artifact, on the same documents.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from golfreg.api.errors import ConfigError, InputError
from golfreg.plots.kinds import Point, curves
from golfreg.studies.checkpoints import Checkpoint
from golfreg.studies.evidence import (
    FALLS,
    OPEN,
    SPREAD,
    STANDS,
    Estimate,
    Verdict,
    held_against,
    over_documents,
    rule_text,
)
from golfreg.studies.remeasure import SECTIONS, Scored, Variant, packed, run_stages, scored
from golfreg.studies.report import Report, table
from golfreg.studies.workplace import Workplace

PUBLISHED = 0.8
BEST = 8


@dataclass(frozen=True)
class Config:
    bits: tuple[int, ...] = (4, 5, 6, 7, 8)
    """Widths of the rows under study; 8 is what the others are held against."""
    rest: int = 6
    """Width of all other matrices; the verdict is on this width against 8."""
    rows: tuple[str, ...] = ("in_proj.dt", "in_proj.A")
    """The row groups under study, as role.group."""
    lengths: tuple[int, ...] = ()
    """Tokens of the windows; empty: a quarter of the training window, half of it, the window, twice the window."""
    quantizer: str = "int6"
    """What rounds; it takes ``bits`` and ``overrides``."""
    settings: dict[str, Any] = field(default_factory=dict)
    """More settings of the quantizer."""

    def __post_init__(self) -> None:
        if len(set(self.bits)) != len(self.bits) or any(not 2 <= bits <= BEST for bits in self.bits):
            raise ConfigError(f"bits is {list(self.bits)}", "different widths, each from 2 to 8")
        if not {self.rest, BEST} <= set(self.bits) or self.rest == BEST:
            raise ConfigError(
                f"bits is {list(self.bits)} and rest {self.rest}", "8 and `rest`, below 8, are among them"
            )
        if not self.rows:
            raise ConfigError("rows names no row group", 'it is `rows=["in_proj.dt", "in_proj.A"]`')
        if any(length < 2 for length in self.lengths):
            raise ConfigError(f"lengths is {list(self.lengths)}", "a window has two tokens or more")


Scores = dict[tuple[str, int, int], Scored]
"""By the weights' digest, the rows' bits (16: nothing is quantized) and the window's tokens."""
RAW = 16


def run(place: Workplace, config: Config) -> Report:
    """InputError for a model without the row groups."""
    for checkpoint in place.checkpoints:
        _check_rows(place, checkpoint, config)
    window = place.checkpoints[0].plan.spec.train.sequence_length
    lengths = tuple(sorted(set(config.lengths or (max(2, window // 4), max(2, window // 2), window, 2 * window))))
    widths = sorted(config.bits)
    place.expect(len(place.checkpoints) * ((len(widths) + 1) * len(lengths) + 2))
    scores: Scores = {}
    sizes: dict[int, list[int]] = {config.rest: [], BEST: []}
    for checkpoint in place.checkpoints:
        for bits in (*widths, RAW):
            variant = _variant(checkpoint, bits, config)
            if bits in sizes:
                sizes[bits].append(int(packed(place, checkpoint, variant)["weight_bytes"]))
            for length in lengths:
                scores[checkpoint.digest, bits, length] = scored(place, checkpoint, variant, length, "fixed")
    return _report(place.checkpoints, config, widths, lengths, window, scores, sizes)


def _variant(checkpoint: Checkpoint, bits: int, config: Config) -> Variant:
    codec = checkpoint.plan.codec
    if bits == RAW:
        return Variant("none", {}, codec.name, codec.config)
    overrides = {**config.settings.get("overrides", {}), **dict.fromkeys(config.rows, bits)}
    settings = {**config.settings, "bits": config.rest, "overrides": overrides}
    return Variant(config.quantizer, settings, codec.name, codec.config)


def _check_rows(place: Workplace, checkpoint: Checkpoint, config: Config) -> None:
    variant = _variant(checkpoint, BEST, config)

    def measure() -> dict[str, Any]:
        from golfreg.pack.sections import load_sections
        from golfreg.sizes.table import by_group

        sections = load_sections(run_stages(place, checkpoint, variant, ("quantize",)) / SECTIONS)[1]
        return {"groups": sorted({by_group(s.layout) for s in sections if s.layout.part == "codes"})}

    place.expect(1)
    found = place.cell(f"{checkpoint.name}: rows", {"what": "groups", **variant.inputs(checkpoint)}, measure)
    if missing := [row for row in config.rows if row not in found["groups"]]:
        raise InputError(
            f"`{checkpoint.run_dir}` has no codes of `{missing[0]}`: it has {', '.join(found['groups'])}",
            "study a model with mamba3 layers, or name its row groups: --set 'rows=[\"in_proj.dt\"]'",
        )


def _against(
    checkpoints: Sequence[Checkpoint], scores: Scores, bits: int, other: int, length: int, short: int = 0
) -> Estimate:  # fmt: skip
    """mBPB that ``bits`` cost over ``other``; with ``short`` less what they cost at that length."""

    def cost(checkpoint: Checkpoint, at: int) -> np.ndarray:
        here, there = scores[checkpoint.digest, bits, at], scores[checkpoint.digest, other, at]
        found: np.ndarray = here.nats - there.nats
        return found

    differences = [cost(c, length) - (cost(c, short) if short else 0.0) for c in checkpoints]
    sizes = {scores[c.digest, bits, length].bytes.tobytes() for c in checkpoints}
    if len(sizes) > 1:
        raise InputError("the models were scored on different documents", "study models of one corpus and tokenizer")
    return over_documents(differences, scores[checkpoints[0].digest, bits, length].bytes)


def _report(
    checkpoints: Sequence[Checkpoint], config: Config, widths: Sequence[int], lengths: Sequence[int], window: int,
    scores: Scores, sizes: dict[int, list[int]],
) -> Report:  # fmt: skip
    at = window if window in lengths else lengths[-1]
    gain = _against(checkpoints, scores, config.rest, BEST, at)
    growth = _against(checkpoints, scores, config.rest, BEST, lengths[-1], lengths[0]) if len(lengths) > 1 else None
    spent = sum(sizes[BEST]) / len(sizes[BEST]) - sum(sizes[config.rest]) / len(sizes[config.rest])
    costs = {
        bits: {length: _against(checkpoints, scores, bits, BEST, length) for length in lengths}
        for bits in widths
        if bits != BEST
    }
    whole = {length: _against(checkpoints, scores, BEST, RAW, length) for length in lengths}
    page = Report(_verdict(config, gain, at, spent, len(checkpoints)), {})
    names = " and ".join(f"`{row}`" for row in config.rows)
    page.add(
        "## Cost against 8 bits",
        f"mBPB that {names} cost at each width over 8 bits; all other matrices have {config.rest} bits, so only these "
        "rows differ. 95 % intervals by a paired document bootstrap, checkpoints drawn too. The last column "
        "is what is lost to bfloat16 with these rows at 8 bits: all the rest of the quantization.",
        table(
            ("window", *(f"{bits} bits" for bits in costs), "the rest"),
            [
                (f"{length}", *(costs[bits][length].text(2, True) for bits in costs), whole[length].text(2, True))
                for length in lengths
            ],
        ),
        curves(
            "cost", "mBPB that the rows cost at each width over 8 bits, by the tokens of the scoring windows.", lengths,
            [(f"{bits} bits", [_point(costs[bits][length]) for length in lengths]) for bits in costs],
            "tokens of the scoring window", "mBPB over 8 bits", [(PUBLISHED, "published 0.8")],
            [str(n) for n in lengths],
        ),
        "## Does it grow with the window?",
        _growth(config, growth, lengths),
        "## Bits per byte",
        _scores_table(checkpoints, widths, lengths, scores),
        f"The rows at 8 bits take {spent:,.0f} bytes more than at {config.rest} in the coded artifact, on average; "
        "published were 81,920 bytes before coding.",
    )  # fmt: skip
    page.results = {
        "published_mbpb": PUBLISHED, "gain_mbpb": gain.facts(), "window": at, "bytes_more": spent,
        "cost_mbpb": {f"{b} bits": {str(n): e.facts() for n, e in by.items()} for b, by in costs.items()},
        "rest_of_quantization_mbpb": {str(n): e.facts() for n, e in whole.items()},
        "bits_per_byte": {
            c.name: {
                _width(b): {str(n): scores[c.digest, b, n].bits_per_byte for n in lengths} for b in (*widths, RAW)
            }
            for c in checkpoints
        },
        **({"growth_mbpb": growth.facts()} if growth else {}),
    }  # fmt: skip
    return page


def _verdict(config: Config, gain: Estimate, window: int, spent: float, count: int) -> Verdict:
    word = held_against(gain, PUBLISHED)
    models = "1 model" if count == 1 else f"{count} models"
    figures = (
        f"in {models} 8 bits instead of {config.rest} in the rows of the state transition gain {gain.text(2, True)} "
        f"mBPB for {spent:,.0f} coded bytes at windows of {window} tokens"
    )
    said = {
        STANDS: f"{figures}; published are 0.8.",
        FALLS: f"{figures}, less than half of the published 0.8.",
        OPEN: f"{figures}; {gain.why or 'the interval holds half of the published 0.8'}.",
    }[word]
    rule = rule_text("the gain", PUBLISHED, "mBPB", SPREAD)
    return Verdict(word, said, rule)


def _growth(config: Config, growth: Estimate | None, lengths: Sequence[int]) -> str:
    if growth is None:
        return "One length was scored: it cannot be told."
    told = growth.low is not None and growth.high is not None and (growth.low > 0 or growth.high < 0)
    word = "Not told apart from none" if not told else "Yes" if growth.value > 0 else "No, it shrinks"
    return (
        f"{word}: from {lengths[0]} to {lengths[-1]} tokens the cost of {config.rest} bits over 8 changes by "
        f"{growth.text(2, True)} mBPB."
    )


def _scores_table(
    checkpoints: Sequence[Checkpoint], widths: Sequence[int], lengths: Sequence[int], scores: Scores
) -> str:  # fmt: skip
    rows = [
        (c.name, f"{n}", *(f"{scores[c.digest, b, n].bits_per_byte:.4f}" for b in (*widths, RAW)))
        for c in checkpoints
        for n in lengths
    ]
    return table(("checkpoint", "window", *(_width(b) for b in (*widths, RAW))), rows)


def _width(bits: int) -> str:
    return "unquantized" if bits == RAW else f"{bits} bits"


def _point(estimate: Estimate) -> Point:
    return Point(estimate.value, estimate.low, estimate.high)
