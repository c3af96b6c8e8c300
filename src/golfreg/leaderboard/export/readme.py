"""The README of an export: the figures for people, how they were made, and how to make them again."""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import metadata
from typing import Any

from golfreg.config.record import RunRecord
from golfreg.leaderboard.export.runs import Run
from golfreg.leaderboard.render import escape, markdown_table
from golfreg.rules.ruleset import load_ruleset

_LIBRARIES = ("torch", "numpy", "safetensors", "sentencepiece")
_RIGHT = ("seed", "val_bpb", "val_loss", "steps", "training s", "scoring s", "model bytes", "total bytes")


def requirements(record: RunRecord) -> str:
    """What the script imports from elsewhere: golfreg's own needs, then those of the plugins that it carries."""
    found = {"torch": record.environment.torch, "numpy": record.environment.numpy, **record.environment.packages}
    if record.environment.triton:
        found["triton"] = record.environment.triton
    names = [*_LIBRARIES, *(["triton"] if record.hardware.gpus else [])]
    lines = [f"{name}=={found[name].partition('+')[0]}" if found.get(name) else name for name in names]
    for distribution in sorted(_distributions(record) - {"golfreg"}):
        lines += [line for line in _requires(distribution) if line.partition("==")[0] not in names]
    return "".join(f"{line}\n" for line in dict.fromkeys(lines))


def readme(runs: Sequence[Run], values: dict[str, Any], plain: bool) -> str:
    """``values``: of ``submission.json``."""
    record = runs[0].record
    parts = record.components
    limits = load_ruleset(record.run.ruleset).limits
    rows = [
        (
            str(run.record.run.seed),
            f"{one['val_bpb']:.6f}",
            f"{one['val_loss']:.6f}",
            str(one["steps"]),
            f"{one['train_time_s']:.1f}",
            f"{one['eval_time_s']:.1f}",
            f"{run.model_bytes:,}",
            f"{one['artifact_bytes']:,}",
        )
        for run, one in zip(runs, values["seed_results"].values(), strict=True)
    ]
    std = f" (std {values['val_bpb_std']:.6f}, n = {len(runs)})" if "val_bpb_std" in values else " (one seed)"
    mixers = f" of {', '.join(map(escape, parts.mixers))}" if parts.mixers else ""
    counted = len(runs[0].script)
    code = (
        f"`train_gpt.py` is the readable form, {values['bytes_code']:,} bytes, and is counted as such. golfreg's own "
        f"records of these runs count the packed form of the same text, {counted:,} bytes."
        if plain
        else f"`train_gpt.py` has {counted:,} bytes: base85 of bzip2 of one readable file, which holds every module "
        "that trained, quantized, packed and scored, the settings, and an import hook. The artifact that was scored "
        "held these very bytes as its code."
    )
    first = record.run.seed
    return (
        f"# {escape(values['name'])}\n\n"
        f"{escape(values['author'])}, {values['date']}. **val_bpb {values['val_bpb']:.6f}**{std}, "
        f"{values['bytes_total']:,} bytes at most (cap {limits.cap_bytes:,}).\n\n"
        f"{markdown_table(_RIGHT, rows, _RIGHT)}\n"
        "The headline is the mean over the seeds; bytes are those of the largest. Limits: "
        f"{limits.train_seconds:g} s of training with calibration, {limits.score_seconds:g} s of scoring. "
        f"Machine: {escape(values['hardware'])}, torch {escape(record.environment.torch)}.\n\n"
        f"{escape(parts.architecture.name)}{mixers}, {record.train.parameters:,} parameters; weights by "
        f"{escape(parts.quantizer.name)}, coded by {escape(parts.codec.name)}.\n\n"
        "## Run it\n\n"
        "    pip install -r requirements.txt\n"
        f"    SEED={first} DATA_PATH=DIR TOKENIZER_PATH=FILE.model python train_gpt.py\n\n"
        "or `torchrun --standalone --nproc_per_node=1 train_gpt.py`: it trains in one process. `DIR` holds "
        "`*_train_*.bin` and `*_val_*.bin`. It writes `final_model.golfreg` and `logs/`; `RUN_ID`, `ITERATIONS` and "
        "`MAX_WALLCLOCK_SECONDS` mean what they mean in the challenge's script. golfreg need not be installed.\n\n"
        "## Code\n\n"
        f"{code}\n\n"
        f"Data: corpus {escape(record.data.corpus.partition(':')[0])}, tokenizer {escape(record.data.tokenizer)} "
        f"({record.data.vocab_size:,} tokens), {record.score.tokens:,} targets of {record.score.bytes:,} bytes; "
        f"windows {escape(record.score.windows)} of {record.score.sequence_length:,}, "
        f"documents {escape(record.score.documents_mode)}.\n"
    )


def _distributions(record: RunRecord) -> set[str]:
    parts = record.components
    chosen = (parts.architecture, parts.quantizer, parts.codec, *parts.mixers.values())
    return {one.distribution for one in chosen} | {one.distribution for one in record.kernels.values()}


def _requires(distribution: str) -> list[str]:
    """What an installed plugin requires, without extras and golfreg, at the versions that are installed."""
    try:
        wanted = metadata.requires(distribution) or []
    except metadata.PackageNotFoundError:
        return []
    lines = []
    for one in wanted:
        match = re.match(r"[A-Za-z0-9][A-Za-z0-9._-]*", one)
        if match and "extra ==" not in one and match[0].lower() != "golfreg":
            try:
                lines.append(f"{match[0]}=={metadata.version(match[0]).partition('+')[0]}")
            except metadata.PackageNotFoundError:
                lines.append(match[0])
    return lines
