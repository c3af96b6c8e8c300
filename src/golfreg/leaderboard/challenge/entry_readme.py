"""The README of an imported entry: its figures for people, each with where it comes from."""

from __future__ import annotations

from golfreg.config.imported import Count, Measure
from golfreg.leaderboard.entries import Entry
from golfreg.leaderboard.render import escape, markdown_table, score_text

_COLUMNS = ("seed", "bits per byte", "declared", "bytes", "declared bytes", "training s", "scoring s", "steps")


def imported_readme(entry: Entry) -> str:
    """Figures as logged where there is a log, else as declared.

    What the rules find is not repeated here: a rule that is worded anew changes no entry's files.
    """
    assert entry.imported is not None
    facts, imported, figures = entry.facts, entry.imported, entry.figures
    described, source = imported.described, imported.source
    rows = [
        (
            str(run.seed),
            _score(run.bits_per_byte),
            _number(run.bits_per_byte.declared),
            _count(run.total_bytes.best),
            _count(run.total_bytes.declared),
            _seconds(run.train_seconds, run.calibrate_seconds),
            _seconds(run.score_seconds),
            _whole(run.steps),
        )
        for run in entry.imported_runs.values()
    ]
    made_of = [described.tokenizer, described.architecture, described.quantizer, described.codec]
    parts = [
        f"# {escape(described.title or facts.name)}\n",
        f"{escape(facts.author)}, {facts.date}, track {escape(facts.track)}, ruleset {escape(facts.ruleset)}, "
        f"{facts.status}. Imported from <{source.url}>.\n",
        f"**{score_text(figures.bits_per_byte_mean, figures.bits_per_byte_std)} bits per byte**, "
        f"{_count(figures.bytes_max)} bytes at most.\n",
    ]
    if any(made_of):
        parts.append(
            f"Tokenizer, architecture, quantizer, codec: {', '.join(escape(one or '?') for one in made_of)}.\n"
        )
    if rows:
        parts.append(markdown_table(_COLUMNS, rows, _COLUMNS))
    parts.append(
        "`imported.toml` and `runs/` hold each figure by where it comes from. "
        "`golfreg leaderboard check` says where they disagree.\n"
    )
    return "\n".join(parts)


def _score(measure: Measure) -> str:
    return "?" if measure.best is None else f"{measure.best:.6f}"


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:g}" if abs(value) >= 1e6 else repr(value)


def _count(value: int | None) -> str:
    return "?" if value is None else f"{value:,}"


def _whole(count: Count) -> str:
    return _count(count.best)


def _seconds(*measures: Measure) -> str:
    known = [measure.best for measure in measures if measure.best is not None]
    return f"{sum(known):.1f}" if known and measures[0].best is not None else "?"
