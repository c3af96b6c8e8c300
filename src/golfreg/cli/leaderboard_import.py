"""``golfreg leaderboard import``: a challenge's record folders become entries, every disagreement kept."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from golfreg.api.errors import AnswerIsNo
from golfreg.cli.out import Out

if TYPE_CHECKING:
    from golfreg.leaderboard.challenge.importing import Import
    from golfreg.leaderboard.entries import Entry

COLUMNS = ("entry", "bits per byte", "seeds", "status", "FAIL", "WARN")


def import_(
    sources: Annotated[
        list[Path], typer.Argument(metavar="DIR|FILE...", help="A record folder, a directory of them, submission.json.")
    ],
    into: Annotated[Path, typer.Option(help="The leaderboard's directory.")] = Path("leaderboard"),
    track: Annotated[str | None, typer.Option(help="Track and ruleset of all of them; default: what they say.")] = None,
    url_base: Annotated[
        str, typer.Option(help="Address of the repository that they are from.")
    ] = "https://github.com/openai/parameter-golf",
    commit: Annotated[str, typer.Option(help="Its commit, for the links.")] = "",
    table: Annotated[
        Path | None, typer.Option(help="A README with the challenge's leaderboard: its rows are accepted.")
    ] = None,
    facts: Annotated[
        Path | None, typer.Option(help="TOML of facts that no folder states: pull requests, components.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read, check and report; write nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON, with every finding.")] = False,
) -> None:
    """Import record folders of the Parameter Golf challenge: facts and findings, no code, no logs.

    Nothing in a folder is run. Each figure keeps where it comes from: declared, log, recomputed.

    Example: golfreg leaderboard import parameter-golf/records --table parameter-golf/README.md --dry-run
    """
    from golfreg.leaderboard.challenge import importing
    from golfreg.leaderboard.challenge.board import read_table
    from golfreg.leaderboard.challenge.supplement import Supplements, read_supplements

    out = Out(as_json)
    options = importing.Options(
        track=track,
        url_base=url_base.rstrip("/"),
        commit=commit,
        table=read_table(table) if table else (),
        supplements=read_supplements(facts) if facts else Supplements(),
    )
    planned = importing.plan_import(sources, options, into)
    if not dry_run:
        importing.write_import(planned, into)
    if as_json:
        out.json(_values(planned, into, dry_run))
    else:
        out.table(COLUMNS, [_cells(entry) for entry in planned.entries], right=("bits per byte", "seeds"))
        for code, count in sorted(_counts(planned).items()):
            out.talk(f"{code}: {count} {'entry' if count == 1 else 'entries'}")
        for refused in planned.refused:
            out.error(f"{refused.source}: {refused.message}", refused.hint)
    done = f"{len(planned.entries)} {'would be imported' if dry_run else f'imported into {into}'}"
    if planned.refused:
        raise AnswerIsNo(f"{done}, {len(planned.refused)} could not be", "the lines above say why")
    out.talk(done)


def _cells(entry: Entry) -> tuple[str, ...]:
    from golfreg.leaderboard.render import score_text

    figures = entry.figures
    score = score_text(figures.bits_per_byte_mean, figures.bits_per_byte_std)
    return (entry.key, score, str(len(entry.results)), entry.facts.status, _codes(entry, "FAIL"), _codes(entry, "WARN"))


def _codes(entry: Entry, level: str) -> str:
    return " ".join(sorted({finding.code for finding in entry.findings() if finding.level == level}))


def _counts(planned: Import) -> dict[str, int]:
    """Entries with a finding, by level and code."""
    counts: dict[str, int] = {}
    for entry in planned.entries:
        for name in {f"{finding.code} {finding.level}" for finding in entry.findings() if finding.level != "PASS"}:
            counts[name] = counts.get(name, 0) + 1
    return counts


def _values(planned: Import, into: Path, dry_run: bool) -> dict[str, Any]:
    from golfreg.config.record import to_table
    from golfreg.leaderboard.render import finding_values

    return {
        "into": str(into),
        "written": not dry_run,
        "entries": [
            {
                "entry": entry.key,
                "status": entry.facts.status,
                "based_on": list(entry.facts.based_on),
                "declared": to_table(entry.facts.declared),
                "imported": to_table(entry.imported),
                "runs": {name: to_table(run) for name, run in entry.imported_runs.items()},
                "findings": finding_values(finding for finding in entry.findings() if finding.level != "PASS"),
            }
            for entry in planned.entries
        ],
        "refused": [{"source": one.source, "message": one.message, "hint": one.hint} for one in planned.refused],
        "counts": _counts(planned),
    }
