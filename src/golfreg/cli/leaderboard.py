"""``golfreg leaderboard``: add finished runs, show the ranking, check entries against the rules."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from golfreg.cli import (
    leaderboard_check,
    leaderboard_compare,
    leaderboard_diff,
    leaderboard_export,
    leaderboard_import,
    leaderboard_rules,
    leaderboard_show,
    leaderboard_site,
)
from golfreg.cli.out import Out

app = typer.Typer(help="Add, show and check entries: directories of TOML.", no_args_is_help=True)

ROOT = Path("leaderboard")

app.command("diff")(leaderboard_diff.diff)
app.command("site")(leaderboard_site.site)
app.command("show")(leaderboard_show.show)
app.command("check")(leaderboard_check.check)
app.command("compare")(leaderboard_compare.compare)
app.command("power")(leaderboard_compare.power)
app.command("frontier")(leaderboard_compare.frontier)
app.command("rules")(leaderboard_rules.rules)
app.command("import")(leaderboard_import.import_)
app.command("export")(leaderboard_export.export)


@app.command("add")
def add(
    run_dirs: Annotated[list[Path], typer.Argument(metavar="RUNDIR...", help="Finished runs, one for each seed.")],
    into: Annotated[Path, typer.Option(help="The leaderboard's directory.")] = ROOT,
    name: Annotated[str | None, typer.Option(help="Name of the entry; default: its components'.")] = None,
    author: Annotated[str, typer.Option(envvar="GOLFREG_AUTHOR", help="Who claims it.")] = "anonymous",
    based_on: Annotated[
        list[str] | None, typer.Option(help="Entry it builds on, as `track/date_name`. May be repeated.")
    ] = None,
    technique: Annotated[list[str] | None, typer.Option(help="A technique that it uses. May be repeated.")] = None,
    allow_findings: Annotated[
        bool, typer.Option("--allow-findings", help="Add it though it breaks a rule; it gets no rank.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print where the entry is, and its figures, as JSON.")
    ] = False,
) -> None:
    """Write an entry from one or more finished runs of one configuration, as TOML that diffs well.

    Example: golfreg leaderboard add runs/20260501-* --name mamba3-lzma --author "A. Uthor"
    """
    from golfreg.config.record import to_table
    from golfreg.leaderboard import add as adding
    from golfreg.leaderboard.render import score_text
    from golfreg.rules.findings import Level

    out = Out(as_json)
    added = adding.add(
        run_dirs,
        into,
        author=author,
        name=name,
        based_on=based_on or (),
        techniques=technique or (),
        allow_findings=allow_findings,
    )
    figures = added.entry.facts.declared
    if as_json:
        out.json({"entry": added.entry.key, "directory": str(added.directory), **to_table(figures)})
    else:
        score = score_text(figures.bits_per_byte_mean, figures.bits_per_byte_std)
        out.line(
            f"{added.directory}: {score} bits per byte, {figures.bytes_max or 0:,} bytes, {len(figures.seeds)} seeds"
        )
    for finding in added.entry.findings():
        if finding.level is not Level.PASS:
            out.warn(f"{finding.code} {finding.level} {finding.where}: {finding.message}")
