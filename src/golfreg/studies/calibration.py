"""Where may GPTQ's statistics come from, and can the process that trained a compiled model gather them?

The published scripts could not calibrate on training data after torch.compile and used text that the
model wrote itself. Here one model is quantized with statistics from training data, from its own
text and from random tokens, each gathered by an uncompiled model in a process of its own; and once
more by a process that has just run compiled training steps, in two ways.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from golfreg.api.errors import ConfigError, InputError
from golfreg.plots.kinds import Point, points
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
from golfreg.studies.remeasure import STATISTICS, Scored, Variant, run_stages, scored
from golfreg.studies.report import Report, table
from golfreg.studies.workplace import Workplace

PUBLISHED = 5.5
SOURCES = {"train": "training data", "generated": "text by the model", "random": "random tokens"}
COMPILED, NEAREST, RAW = "compiled", "nearest", "unquantized"
NAMES = {**SOURCES, COMPILED: "training data, same process after torch.compile", NEAREST: "none: nearest codes"}
_COMPILED_SECONDS = 1800


@dataclass(frozen=True)
class Config:
    sources: tuple[str, ...] = ("train", "generated", "random")
    """Tokens that statistics are gathered from, by the names of `train.calibration_source`; `train` among them."""
    compiled: bool = True
    """Also gather in a process that has run compiled training steps."""
    quantizer: str = "gptq"
    """A quantizer that needs `input_second_moment`."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Settings of the quantizer."""
    calibration_tokens: int = 0
    """Tokens of each source; 0: the run's."""

    def __post_init__(self) -> None:
        if unknown := [s for s in self.sources if s not in SOURCES]:
            raise ConfigError(f"there is no source `{unknown[0]}`", f"there are: {', '.join(SOURCES)}")
        if "train" not in self.sources or len(set(self.sources)) != len(self.sources):
            raise ConfigError(f"sources is {list(self.sources)}", "different ones; `train` is among them")
        if self.calibration_tokens < 0:
            raise ConfigError(f"calibration_tokens is {self.calibration_tokens}", "0 or more")


Scores = dict[tuple[str, str], Scored]
"""By the weights' digest and the source."""


def run(place: Workplace, config: Config) -> Report:
    """ConfigError for a quantizer that needs no statistics."""
    from golfreg.registry.resolve import load, resolve

    needs = load(resolve("quantizer", config.quantizer)).needs
    if "input_second_moment" not in needs:
        raise ConfigError(f"quantizer `{config.quantizer}` needs no statistics", "name one that does, as `gptq`")
    place.expect(len(place.checkpoints) * (len(config.sources) + 2 + (3 if config.compiled else 0)))
    scores: Scores = {}
    gathered: dict[str, dict[str, dict[str, Any]]] = {}
    for checkpoint in place.checkpoints:
        variants = {source: _variant(checkpoint, source, config) for source in config.sources}
        variants[NEAREST] = _codec_of(checkpoint, "int6", {k: v for k, v in config.settings.items() if k in _SHARED})
        variants[RAW] = _codec_of(checkpoint, "none", {})
        for source, variant in variants.items():
            scores[checkpoint.digest, source] = scored(place, checkpoint, variant)
        if config.compiled:
            gathered[checkpoint.digest] = {
                mode: _gathered(place, checkpoint, variants["train"], mode) for mode in ("module", "hooks")
            }
            answer = gathered[checkpoint.digest]["module"]
            if answer["outcome"] == "gathered":
                file = _statistics_file(place, checkpoint, variants["train"], "module")
                variant = _variant(checkpoint, "train", config, file, answer["sha256"])
                scores[checkpoint.digest, COMPILED] = scored(place, checkpoint, variant)
            else:
                place.total -= 1
    return _report(place.checkpoints, config, scores, gathered)


_SHARED = ("bits", "embedding_bits", "clip_std", "embedding_clip_std", "overrides", "raw_elements", "raw_dtype")
"""Settings that gptq and int6 have in common."""


def _variant(
    checkpoint: Checkpoint, source: str, config: Config, statistics: Path | None = None, digest: str = ""
) -> Variant:  # fmt: skip
    train: dict[str, Any] = {} if source == "train" else {"calibration_source": source}
    if config.calibration_tokens:
        train["calibration_tokens"] = config.calibration_tokens
    codec = checkpoint.plan.codec
    return Variant(config.quantizer, config.settings, codec.name, codec.config, train, statistics, digest)


def _codec_of(checkpoint: Checkpoint, quantizer: str, settings: dict[str, Any]) -> Variant:
    return Variant(quantizer, settings, checkpoint.plan.codec.name, checkpoint.plan.codec.config)


def _compiled_inputs(checkpoint: Checkpoint, variant: Variant, mode: str) -> dict[str, Any]:
    return {"what": "compiled", "mode": mode, **variant.inputs(checkpoint)}


def _statistics_file(place: Workplace, checkpoint: Checkpoint, variant: Variant, mode: str) -> Path:
    return place.cell_path(_compiled_inputs(checkpoint, variant, mode)).with_suffix(".safetensors")


def _gathered(place: Workplace, checkpoint: Checkpoint, variant: Variant, mode: str) -> dict[str, Any]:
    """What became of gathering in a compiled process: the outcome, matrices seen, how far from the isolated ones."""
    inputs = _compiled_inputs(checkpoint, variant, mode)
    file = _statistics_file(place, checkpoint, variant, mode)
    place.forget_unless(inputs, lambda found: found["outcome"] != "gathered" or file.exists())

    def measure() -> dict[str, Any]:
        import hashlib

        run_dir = run_stages(place, checkpoint, variant, ("quantize",))
        file.parent.mkdir(parents=True, exist_ok=True)
        answer = _in_compiled_process(run_dir, file, mode, checkpoint.plan.threads)
        if answer["outcome"] == "gathered":
            answer["difference"] = _difference(file, run_dir / STATISTICS)
            answer["sha256"] = hashlib.sha256(file.read_bytes()).hexdigest()
        return answer

    return place.cell(f"{checkpoint.name}: after torch.compile, {mode}", inputs, measure)


def _in_compiled_process(run_dir: Path, file: Path, mode: str, threads: int) -> dict[str, Any]:
    """Run the worker and say how it ended; a crash is an answer."""
    environment = dict(os.environ, PYTHONHASHSEED="0")
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if threads:
        environment["OMP_NUM_THREADS"] = str(threads)
    command = [sys.executable, "-m", "golfreg.studies.compiled_worker", str(run_dir), str(file), mode]
    with (run_dir / "logs" / f"compiled_{mode}.log").open("wb") as log:
        try:
            done = subprocess.run(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log, env=environment, text=True,
                timeout=_COMPILED_SECONDS, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            return {"outcome": f"took over {_COMPILED_SECONDS} s"}
    if done.returncode == 0:
        return {"outcome": "gathered", **json.loads(done.stdout.strip().splitlines()[-1])}
    if done.returncode < 0:
        return {"outcome": f"died of {signal.Signals(-done.returncode).name}"}
    lines = (run_dir / "logs" / f"compiled_{mode}.log").read_text("utf-8", errors="replace").strip().splitlines()
    return {"outcome": f"failed: {lines[-1][:200] if lines else 'no message'}"}


def _difference(file: Path, isolated: Path) -> float:
    """The largest distance of a matrix's statistics from the isolated ones, relative to their size."""
    from golfreg.pack.quantize import read_tensors

    ours, theirs = read_tensors(file), read_tensors(isolated)
    both = ours.keys() & theirs.keys()
    return max((float((ours[n] - theirs[n]).norm() / theirs[n].norm().clamp_min(1e-30)) for n in both), default=0.0)


def _against(checkpoints: Sequence[Checkpoint], scores: Scores, source: str, other: str) -> Estimate | None:
    """mBPB of one source over another; None where a model has no score of it."""
    if any((c.digest, s) not in scores for c in checkpoints for s in (source, other)):
        return None
    sizes = scores[checkpoints[0].digest, source].bytes
    if any(not np.array_equal(sizes, scores[c.digest, source].bytes) for c in checkpoints):
        raise InputError("the models were scored on different documents", "study models of one corpus and tokenizer")
    differences = [scores[c.digest, source].nats - scores[c.digest, other].nats for c in checkpoints]
    return over_documents(differences, sizes)


def _report(
    checkpoints: Sequence[Checkpoint], config: Config, scores: Scores,
    gathered: dict[str, dict[str, dict[str, Any]]],
) -> Report:  # fmt: skip
    order = [*config.sources, *([COMPILED] if config.compiled else []), NEAREST]
    over_train = {s: e for s in order if s != "train" and (e := _against(checkpoints, scores, s, "train"))}
    over_raw = {s: e for s in order if (e := _against(checkpoints, scores, s, RAW))}
    page = Report(_verdict(checkpoints, over_train, gathered), {})
    rows = [
        (NAMES[s], over_train[s].text(2, True) if s in over_train else "", over_raw[s].text(2, True))
        for s in order
        if s in over_raw
    ]
    page.add(
        "## What each source costs",
        "95 % intervals by a paired document bootstrap, checkpoints drawn too. All are quantized by "
        f"`{config.quantizer}` but the last.",
        table(("statistics from", "mBPB over training data", "mBPB over bfloat16"), rows),
        points(
            "sources", "mBPB that each source of statistics costs over bfloat16, with 95 % intervals.",
            [(NAMES[s], [Point(e.value, e.low, e.high)]) for s, e in over_raw.items()], ["mBPB"], "mBPB over bfloat16",
        ),
    )  # fmt: skip
    if config.compiled:
        page.add("## In the process that trained", _MODES, _compiled_table(checkpoints, gathered))
    page.add(
        "## Bits per byte",
        table(
            ("checkpoint", *(NAMES[s] for s in order), "bfloat16"),
            [
                (c.name, *(_bpb(scores, c, s) for s in (*order, RAW)))
                for c in checkpoints
            ],
        ),
    )  # fmt: skip
    page.results = {
        "published_mbpb": PUBLISHED,
        "over_train_mbpb": {s: e.facts() for s, e in over_train.items()},
        "over_bfloat16_mbpb": {s: e.facts() for s, e in over_raw.items()},
        "compiled": {c.name: gathered[c.digest] for c in checkpoints if c.digest in gathered},
        "bits_per_byte": {
            c.name: {s: scores[c.digest, s].bits_per_byte for s in (*order, RAW) if (c.digest, s) in scores}
            for c in checkpoints
        },
    }
    return page


_MODES = (
    "After compiled forward and backward passes, the same process gathers statistics from the same tokens: from the "
    "model's own functions, as golfreg's calibration does, and by forward hooks that are registered after compiling "
    'and called through the compiled model. "Difference" is the largest distance of a matrix\'s statistics from those '
    "of the isolated process, relative to their size."
)


def _compiled_table(checkpoints: Sequence[Checkpoint], gathered: dict[str, dict[str, dict[str, Any]]]) -> str:
    ways = {"module": "the model's functions", "hooks": "hooks, compiled call"}
    rows = []
    for checkpoint in checkpoints:
        for mode, text in ways.items():
            answer = gathered[checkpoint.digest][mode]
            seen = f"{answer['seen']} of {answer['of']}" if "seen" in answer else ""
            difference = f"{answer['difference']:.1e}" if answer.get("seen") else ""
            rows.append((checkpoint.name, text, answer["outcome"], seen, difference))
    return table(("checkpoint", "how", "outcome", "matrices seen", "difference"), rows, 3)


def _verdict(
    checkpoints: Sequence[Checkpoint], over_train: dict[str, Estimate], gathered: dict[str, dict[str, dict[str, Any]]]
) -> Verdict:  # fmt: skip
    cost = over_train.get("generated") or Estimate(0.0, why="text by the model was not among the sources")
    word = held_against(cost, PUBLISHED)
    models = "1 model" if len(checkpoints) == 1 else f"{len(checkpoints)} models"
    figures = f"in {models} statistics from text by the model cost {cost.text(2, True)} mBPB over training data"
    figures = figures if "generated" in over_train else f"in {models} nothing is known of text by the model"
    said = {
        STANDS: f"{figures}; published are 5.5",
        FALLS: f"{figures}, less than half of the published 5.5",
        OPEN: f"{figures}; {cost.why or 'the interval holds half of the published 5.5'}",
    }[word]
    rule = rule_text("the cost", PUBLISHED, "mBPB", SPREAD)
    return Verdict(word, f"{said}{_compiled_sentence(gathered)}.", rule)


def _compiled_sentence(gathered: dict[str, dict[str, dict[str, Any]]]) -> str:
    if not gathered:
        return ""
    modules = [answers["module"] for answers in gathered.values()]
    if all(a["outcome"] == "gathered" and a["seen"] == a["of"] for a in modules):
        worst = max(a["difference"] for a in modules)
        return f"; after torch.compile the training process gathers the same statistics (within {worst:.0e})"
    outcomes = sorted({a["outcome"] for a in modules if a["outcome"] != "gathered"})
    return f"; after torch.compile, gathering in the training process {' or '.join(outcomes) or 'missed matrices'}"


def _bpb(scores: Scores, checkpoint: Checkpoint, source: str) -> str:
    found = scores.get((checkpoint.digest, source))
    return f"{found.bits_per_byte:.4f}" if found else ""
