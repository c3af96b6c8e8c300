"""A study's report: markdown with its plots, and every figure as TOML."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tomli_w

from golfreg.api.errors import EnvironmentFault
from golfreg.config.job import write_whole
from golfreg.plots.file import Plot, standing_svg
from golfreg.studies.catalogue import Study
from golfreg.studies.checkpoints import Checkpoint
from golfreg.studies.evidence import Verdict

REPORT_FILE, RESULTS_FILE = "report.md", "results.toml"


@dataclass
class Report:
    """``blocks``: paragraphs, tables and plots in the page's order. ``results``: every figure, as TOML holds it."""

    verdict: Verdict
    results: Mapping[str, Any]
    blocks: list[str | Plot] = field(default_factory=list)

    def add(self, *blocks: str | Plot) -> None:
        self.blocks += blocks


def table(columns: Sequence[str], rows: Iterable[Sequence[str]], numbers: int = 1) -> str:
    """A markdown table whose columns from ``numbers`` on are numbers."""
    marks = ["---" if i < numbers else "---:" for i in range(len(columns))]
    lines = [columns, marks, *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def write_report(out: Path, study: Study, checkpoints: Sequence[Checkpoint], report: Report, command: str) -> list[str]:
    """Write plots, ``report.md`` and, last, ``results.toml``, each whole or not at all. Returns warnings."""
    warnings: list[str] = []
    body = [_head(study, report.verdict)]
    for block in report.blocks:
        if isinstance(block, str):
            body.append(block)
            continue
        try:
            svg = standing_svg(block)
        except EnvironmentFault as error:
            warnings = [f"{error.message}: the report has no plots; {error.hint}"]
            continue
        write_whole(out / f"{block.name}.svg", svg.encode())
        body.append(f"![{block.label}]({block.name}.svg)")
    body.append(_foot(checkpoints, command))
    write_whole(out / REPORT_FILE, ("\n\n".join(body) + "\n").encode())
    write_whole(out / RESULTS_FILE, tomli_w.dumps(_results(study, checkpoints, report)).encode())
    return warnings


def _head(study: Study, verdict: Verdict) -> str:
    return "\n\n".join(
        [
            f"# {study.name}",
            f"**{verdict.word.capitalize()}:** {verdict.sentence}",
            f"Claim: {study.claim} Source: {study.source}.",
            f"Rule: {verdict.rule}",
        ]
    )


def _foot(checkpoints: Sequence[Checkpoint], command: str) -> str:
    rows = [
        (
            c.name, _layers(c), f"{c.plan.corpus.name}, {c.plan.spec.data.tokenizer}",
            f"{c.plan.spec.train.sequence_length}", c.plan.device, f"`{c.digest[:16]}`",
        )
        for c in checkpoints
    ]  # fmt: skip
    return "\n\n".join(
        [
            "## Checkpoints",
            table(("checkpoint", "mixers", "data", "window", "scored on", "SHA-256 of the weights"), rows, 6),
            f"Every figure is in `{RESULTS_FILE}`. Made by:",
            f"```sh\n{command}\n```",
        ]
    )


def _layers(checkpoint: Checkpoint) -> str:
    return ", ".join(checkpoint.plan.mixers) or "none"


def _results(study: Study, checkpoints: Sequence[Checkpoint], report: Report) -> dict[str, Any]:
    from importlib.metadata import version

    return {
        "study": study.name,
        "claim": study.claim,
        "source": study.source,
        "verdict": report.verdict.word,
        "sentence": report.verdict.sentence,
        "rule": report.verdict.rule,
        "golfreg": version("golfreg"),
        "checkpoints": [
            {
                "name": c.name, "architecture": c.architecture, "seed": c.seed, "sha256": c.digest,
                "spec_digest": c.plan.spec_digest, "device": c.plan.device, "dtype": c.plan.dtype,
            }
            for c in checkpoints
        ],
        **report.results,
    }  # fmt: skip
