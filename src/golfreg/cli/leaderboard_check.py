"""``golfreg leaderboard check``: entries, or a challenge's record folder, held against the rules."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from golfreg.api.errors import AnswerIsNo
from golfreg.api.links import docs_link
from golfreg.cli import complete
from golfreg.cli.out import Out

if TYPE_CHECKING:
    from golfreg.leaderboard.check import Checked


def check(
    path: Annotated[
        Path, typer.Argument(help="A leaderboard, a track, an entry, or a record folder of the challenge.")
    ] = Path("leaderboard"),
    ruleset: Annotated[
        str | None,
        typer.Option(
            help="Hold the entries of its track against this ruleset, not their own.", autocompletion=complete.rulesets
        ),
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit code 1 on a WARN too.")] = False,
    show_all: Annotated[bool, typer.Option("--all", help="Show what passed, too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print all findings as JSON.")] = False,
) -> None:
    """Hold entries against the rules: PASS, WARN or FAIL for each. Exit code 1 if any fails.

    A record folder is read and never run: its code is unpacked and its bytes counted, its logs and its README
    are held against its submission.json.

    Example: golfreg leaderboard check leaderboard/cpu-smoke --strict
    """
    from golfreg.leaderboard import render
    from golfreg.leaderboard.check import check_path
    from golfreg.rules.findings import Level

    out = Out(as_json)
    checked = check_path(path, ruleset)
    counts = {level: checked.count(level) for level in Level}
    if as_json:
        values: dict[str, Any] = {key: render.finding_values(each) for key, each in checked.findings.items()}
        broken = [{"entry": one.key, "message": one.message, "hint": one.hint} for one in checked.broken]
        out.json({"entries": values, "broken": broken, "counts": {str(k): v for k, v in counts.items()}})
    else:
        shown = {
            key: [finding for finding in each if show_all or finding.level is not Level.PASS]
            for key, each in checked.findings.items()
        }
        rows = [row for key, each in shown.items() for row in render.finding_cells(key, each)]
        if rows:
            out.table(render.FINDING_COLUMNS, rows)
        for one in checked.broken:
            out.error(f"{one.key}: {one.message}", one.hint)
    summary = f"{len(checked.findings)} entries: " + ", ".join(f"{count} {level}" for level, count in counts.items())
    if counts[Level.FAIL] or checked.broken or (strict and counts[Level.WARN]):
        raise AnswerIsNo(f"{summary}, {len(checked.broken)} broken", _where_to_read(checked))
    out.talk(summary)


def _where_to_read(checked: Checked) -> str:
    """What to read next: about the worst finding, or about how an entry is written."""
    from golfreg.rules.findings import Level

    for level in (Level.FAIL, Level.WARN):
        for finding in (one for each in checked.findings.values() for one in each if one.level is level):
            where = docs_link(f"rules#{finding.code.lower()}")
            return f"`golfreg leaderboard rules` says what each code means; of {finding.code} see {where}"
    return f"{docs_link('leaderboard#an-entry')} says what an entry holds"
