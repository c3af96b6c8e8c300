"""``golfreg leaderboard``: add finished runs, show the ranking, check entries against the rules."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from golfreg.api.errors import ConfigError
from golfreg.cli import leaderboard_check, leaderboard_compare, leaderboard_diff, leaderboard_rules, leaderboard_site
from golfreg.cli.out import Out

if TYPE_CHECKING:
    from golfreg.leaderboard.entries import Board

app = typer.Typer(help="Add, show and check entries: directories of TOML.", no_args_is_help=True)

ROOT = Path("leaderboard")

app.command("diff")(leaderboard_diff.diff)
app.command("site")(leaderboard_site.site)
app.command("check")(leaderboard_check.check)
app.command("compare")(leaderboard_compare.compare)
app.command("power")(leaderboard_compare.power)
app.command("frontier")(leaderboard_compare.frontier)
app.command("rules")(leaderboard_rules.rules)


@app.command("show")
def show(
    track: Annotated[str | None, typer.Option(help="Only this track.")] = None,
    root: Annotated[Path, typer.Option(help="The leaderboard's directory.")] = ROOT,
    as_json: Annotated[bool, typer.Option("--json", help="Print values in full precision as JSON.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown tables.")] = False,
) -> None:
    """Print the entries of each track, best mean bits per byte first.

    Scores are recomputed from the records. An entry that breaks a rule has no rank.

    Example: golfreg leaderboard show --track cpu-smoke
    """
    from golfreg.leaderboard import render
    from golfreg.leaderboard.entries import read_board
    from golfreg.leaderboard.rank import rank

    if as_json and as_markdown:
        raise ConfigError("`--json` and `--markdown` exclude each other", "choose one")
    out = Out(as_json)
    board = read_board(root, track)
    tracks = rank(board.entries)
    if as_json:
        out.json(render.board_values(board, tracks))
    elif as_markdown:
        out.line(render.markdown(tracks).rstrip("\n"))
    else:
        for name, rows in tracks.items():
            columns, lines = render.fit(render.COLUMNS, [render.cells(row) for row in rows], out.console().width)
            out.table(columns, lines, f"track {name}", render.RIGHT)
            left_out = [column for column in render.COLUMNS if column not in columns]
            if left_out:
                out.talk(f"no room for: {', '.join(left_out)}; a wider terminal, `--markdown` or `--json` shows all")
        if not tracks:
            out.line(f"the leaderboard at `{root}` has no entries yet: `golfreg leaderboard add RUNDIR` makes one")
    _show_broken(out, board)


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


def _show_broken(out: Out, board: Board) -> None:
    for broken in board.broken:
        out.error(f"{broken.key}: {broken.message}", broken.hint)
