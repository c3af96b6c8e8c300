"""What an entry's page shows, as tables of text: figures by provenance, seeds, bytes, versions, settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from golfreg.config.imported import Count, Headline, ImportedRun, Measure
from golfreg.config.record import RunRecord, to_table
from golfreg.leaderboard.entries import Entry
from golfreg.leaderboard.site.lines import Line
from golfreg.rules.figures import Figures
from golfreg.rules.findings import Finding, Level

STRIP_WIDTH = 640
"""Units of the drawing of the seeds."""
_DIGITS = {"seconds": 1, "milliseconds": 2}
_ROUNDING = 1e-4
"""Figures that differ by less, relatively, are the same number printed with fewer digits."""


@dataclass(frozen=True)
class Compared:
    """One figure by provenance, as text; empty where it is not known. ``differs``: they disagree."""

    figure: str
    values: tuple[str, ...]
    differs: bool


@dataclass(frozen=True)
class Comparison:
    """A table of figures by provenance."""

    title: str
    columns: tuple[str, ...]
    rows: list[Compared]


@dataclass(frozen=True)
class Share:
    """Bytes of one part. ``percent`` of the artifact."""

    name: str
    count: int
    percent: float


@dataclass(frozen=True)
class View:
    """The parts of the page that are computed. ``strip``: seed, score and place of each seed on a line."""

    comparisons: list[Comparison]
    seeds: list[dict[str, Any]]
    found: list[Finding]
    kept: list[Finding]
    shares: list[Share]
    strip: list[tuple[int, float, str]]
    strip_mean: str
    facts: list[tuple[str, list[tuple[str, str]]]]
    settings: list[tuple[str, str]]
    settings_note: str = ""
    counted_code: list[tuple[str, int]] = field(default_factory=list)


def entry_view(entry: Entry, line: Line, now: datetime | None = None) -> View:
    """Everything that an entry's page shows beyond its line."""
    findings = entry.findings(now)
    order = {Level.FAIL: 0, Level.WARN: 1}
    total = sum(line.shares.values()) or 1
    strip, strip_mean = _strip(line)
    records = list(entry.records.values())
    settings = {repr(_without_seed(record)) for record in records}
    return View(
        comparisons=_comparisons(entry),
        seeds=_seeds(entry),
        found=sorted((f for f in findings if f.level is not Level.PASS), key=lambda f: (order[f.level], f.code)),
        kept=[f for f in findings if f.level is Level.PASS],
        shares=[Share(name, count, 100 * count / total) for name, count in line.shares.items()],
        strip=strip,
        strip_mean=strip_mean,
        facts=_facts(entry),
        settings=_flat(records[0].settings) if records else [],
        settings_note=f"of seed {records[0].run.seed}; other seeds differ" if len(settings) > 1 else "",
        counted_code=sorted(entry.imported.counted_code.items()) if entry.imported else [],
    )


def _comparisons(entry: Entry) -> list[Comparison]:
    if entry.imported is None:
        return [Comparison("", ("declared", "recomputed"), _figures(entry.facts.declared, entry.figures))]
    columns = ("declared", "log", "recomputed")
    tables = [Comparison("The submission as a whole", columns, _measures(entry.imported.headline))]
    for run in entry.imported_runs.values():
        log = f", log {run.log}" if run.log else ""
        tables.append(Comparison(f"Seed {run.seed}{log}", columns, _measures(run)))
    return [table for table in tables if table.rows]


def _figures(declared: Figures, recomputed: Figures) -> list[Compared]:
    rows = []
    for name, digits in (
        ("bits_per_byte_mean", 6), ("bits_per_byte_std", 6), ("nats_per_token_mean", 6), ("bytes_max", 0),
    ):  # fmt: skip
        values = (getattr(declared, name), getattr(recomputed, name))
        texts = tuple("" if v is None else f"{v:,.{digits}f}" for v in values)
        rows.append(Compared(name.replace("_", " "), texts, len(set(texts)) > 1))
    seeds = tuple(", ".join(map(str, one.seeds)) for one in (declared, recomputed))
    return [*rows, Compared("seeds", seeds, len(set(seeds)) > 1)]


def _measures(facts: Headline | ImportedRun) -> list[Compared]:
    """A row for each figure of which anything is known."""
    rows = []
    for one in fields(facts):
        value = getattr(facts, one.name)
        if not isinstance(value, Measure | Count) or value.best is None:
            continue
        known = [v for v in (value.declared, value.log, value.recomputed) if v is not None]
        tolerance = _ROUNDING * max(known) if isinstance(value, Measure) else 0
        rows.append(
            Compared(
                one.name.replace("_", " "),
                tuple("" if v is None else _number(one.name, v) for v in (value.declared, value.log, value.recomputed)),
                max(known) - min(known) > tolerance,
            )
        )
    return rows


def _number(name: str, value: float) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.{next((digits for part, digits in _DIGITS.items() if part in name.split('_')), 6)}f}"


def _seeds(entry: Entry) -> list[dict[str, Any]]:
    """One row a seed: what ranking uses, and the steps."""
    steps: dict[str, int | None] = {name: record.train.steps for name, record in entry.records.items()}
    steps |= {name: run.steps.best for name, run in entry.imported_runs.items()}
    return [{"result": result, "steps": steps.get(result.where)} for result in entry.results]


def _strip(line: Line) -> tuple[list[tuple[int, float, str]], str]:
    """Places of the seeds and of their mean along a line, best on the left; nothing for one seed."""
    scores = [score for _, score in line.scores]
    if len(scores) < 2 or min(scores) == max(scores):
        return [], ""
    low, width = min(scores), max(scores) - min(scores)

    def place(score: float) -> str:
        return f"{12 + (STRIP_WIDTH - 24) * (score - low) / width:.1f}"

    return [(seed, score, place(score)) for seed, score in line.scores], place(line.score)


def _facts(entry: Entry) -> list[tuple[str, list[tuple[str, str]]]]:
    """Titled lists of facts. Of several seeds, the first; what differs between them is a finding."""
    if entry.imported is not None:
        described = [(k.replace("_", " "), v) for k, v in to_table(entry.imported.described).items() if v]
        return [("As described", described)] if described else []
    record = next(iter(entry.records.values()))
    run, data = record.run, record.data
    return [
        ("Made of", _components(record)),
        ("Trained", [
            ("parameters", f"{record.train.parameters:,}"),
            ("tokens", f"{record.train.tokens:,}"),
            ("last loss", f"{record.train.final_loss:.4f} nats per token"),
            ("interruptions", str(record.train.interruptions)),
        ]),
        ("Scored", [
            ("windows", record.score.windows),
            ("sequence length", f"{record.score.sequence_length:,}"),
            ("documents", f"{record.score.documents:,}, {record.score.documents_mode}"),
            ("tokens, bytes", f"{record.score.tokens:,}, {record.score.bytes:,}"),
            ("network", f"cut off by {record.score.isolation}"),
            ("causality", f"probed at {record.score.probes:,} positions"),
        ]),
        ("Data", [
            ("corpus", data.corpus),
            ("tokenizer", f"{data.tokenizer}, {data.vocab_size:,} tokens"),
            ("training", f"{data.train_tokens:,} tokens"),
            ("validation", f"{data.validation_source_bytes:,} bytes of text"),
            ("licence", data.licence),
            ("fingerprint", data.fingerprint),
        ]),
        ("Kernels", [(op, f"{k.kernel} ({k.reason})") for op, k in sorted(record.kernels.items())]),
        ("Machine", [
            ("cpu", f"{record.hardware.cpu}, {record.hardware.cores} cores"),
            ("memory", f"{record.hardware.memory_bytes / 1e9:.1f} GB"),
            ("gpu", f"{record.hardware.gpus} × {record.hardware.gpu}" if record.hardware.gpus else "none"),
        ]),
        ("Versions", [("golfreg", run.golfreg), *_versions(record)]),
    ]  # fmt: skip


def _components(record: RunRecord) -> list[tuple[str, str]]:
    parts = record.components
    named = [(kind, getattr(parts, kind)) for kind in ("architecture", "quantizer", "codec", "corpus")]
    named[1:1] = [("mixer", mixer) for mixer in parts.mixers.values()]
    return [(kind, f"{one.name} ({one.distribution} {one.version})") for kind, one in named]


def _versions(record: RunRecord) -> list[tuple[str, str]]:
    return [(name.removeprefix("packages."), value) for name, value in _flat(to_table(record.environment))]


def _flat(table: Mapping[str, Any], before: str = "") -> list[tuple[str, str]]:
    """Dotted keys and their values as text."""
    rows = []
    for key, value in table.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{before}{key}.")
        elif value != "":
            rows.append((before + key, _text(value)))
    return rows


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_text, value))}]"
    return str(value)


def _without_seed(record: RunRecord) -> list[tuple[str, Any]]:
    return sorted((key, value) for key, value in record.settings.items() if key != "seed")
