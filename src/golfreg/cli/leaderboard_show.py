"""``golfreg leaderboard show``: entries ranked, filtered, sorted; as a table, Markdown, CSV or JSON."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from golfreg.api.errors import ConfigError
from golfreg.cli import complete
from golfreg.cli.out import Out

if TYPE_CHECKING:
    from golfreg.leaderboard.columns import Column
    from golfreg.leaderboard.lines import Placed

ROOT = Path("leaderboard")
MOST_STYLED_ROWS = 200
"""Larger tables are printed without rich, which takes a millisecond a row."""


def show(
    track: Annotated[str | None, typer.Option(help="Only this track.", autocompletion=complete.tracks)] = None,
    root: Annotated[Path, typer.Option(help="The leaderboard's directory.")] = ROOT,
    columns: Annotated[
        str | None, typer.Option(metavar="A,B,C", help="Columns to show; a wrong name lists them all.")
    ] = None,
    sort: Annotated[
        str | None, typer.Option(metavar="COLUMN[,-COLUMN]", help="Sort by columns; `-`: largest first.")
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Only entries for which this holds. May be repeated: all must hold."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, metavar="N", help="At most N entries of a track.")] = None,
    frontier: Annotated[
        bool, typer.Option("--frontier", help="Only entries that were the best ranked on the day of their claim.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print values in full precision as JSON.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown tables.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print values in full precision as CSV.")] = False,
) -> None:
    """Print the entries of each track, best mean bits per byte first.

    Scores are recomputed from the records. An entry that breaks a rule has no rank. `gap` is to the
    best of the track, and `*` marks the frontier: entries that were the best on the day of their
    claim. Both, and ranks, are of the whole track, whatever is shown of it.

    KEY is a column or `text` (words that stand anywhere); `=` and `!=` ignore case and know `*`;
    numbers and dates also have `>=`, `<=`, `>` and `<`.

    Examples:

    golfreg leaderboard show --track cpu-smoke --limit 10

    golfreg leaderboard show --where architecture=mamba* --where "seeds>=3" --where "date>=2026-05"

    golfreg leaderboard show --columns rank,name,author,bpb,std,train --sort -bytes,bpb

    golfreg leaderboard show --frontier --csv > frontier.csv
    """
    from golfreg.leaderboard.columns import find_columns
    from golfreg.leaderboard.lines import place
    from golfreg.leaderboard.scan import list_board
    from golfreg.leaderboard.select import matching, parse_where, sorter

    forms = [name for name, on in (("--json", as_json), ("--markdown", as_markdown), ("--csv", as_csv)) if on]
    if len(forms) > 1:
        raise ConfigError(f"`{forms[0]}` and `{forms[1]}` exclude each other", "choose one")
    shown_columns, tests, by = find_columns(columns), parse_where(where or ()), sorter(sort)
    out = Out(as_json)
    listing = list_board(root, track)
    tracks = place(listing.lines)
    chosen = {
        name: by(matching((row for row in rows if row.frontier or not frontier), tests))[:limit]
        for name, rows in tracks.items()
    }
    if as_json:
        from golfreg.leaderboard.table import json_lines

        for line in json_lines(chosen, listing.broken):
            out.line(line)
    elif as_csv:
        from golfreg.leaderboard.table import csv_text

        out.line(csv_text(shown_columns, chosen).removesuffix("\n"))
    elif as_markdown:
        _markdown(out, shown_columns, chosen)
    else:
        for name, rows in chosen.items():
            if rows or not (tests or frontier):
                _table(out, f"track {name}", shown_columns, rows)
        if not tracks:
            out.line(f"the leaderboard at `{root}` has no entries yet: `golfreg leaderboard add RUNDIR` makes one")
    count = sum(map(len, chosen.values()))
    if count < len(listing.lines):
        out.talk(f"{count:,} of {len(listing.lines):,} entries")
    for broken in listing.broken:
        out.error(f"{broken.key}: {broken.message}", broken.hint)


def _table(out: Out, title: str, columns: Sequence[Column], rows: list[Placed]) -> None:
    """Styled on a terminal, while that is quick enough; columns that a terminal has no room for are named."""
    import shutil
    import sys

    from golfreg.leaderboard.columns import texts
    from golfreg.leaderboard.table import fit, text_table

    cells = texts(columns, rows)
    if not sys.stdout.isatty():
        out.line("\n".join(text_table(title, columns, cells)))
        return
    width = shutil.get_terminal_size().columns
    kept, cells = fit(columns, cells, width)
    if len(rows) > MOST_STYLED_ROWS:
        out.line("\n".join(text_table(title, kept, cells, width)))
    else:
        out.table([c.heading for c in kept], zip(*cells, strict=True), title, [c.heading for c in kept if c.number])
    left_out = [column.heading for column in columns if column not in kept]
    if left_out:
        out.talk(
            f"no room for: {', '.join(left_out)}; a wider terminal, `--columns`, `--markdown` or `--json` shows them"
        )


def _markdown(out: Out, columns: Sequence[Column], tracks: dict[str, list[Placed]]) -> None:
    from golfreg.leaderboard.columns import texts
    from golfreg.leaderboard.render import escape, markdown_table

    headings, right = [c.heading for c in columns], [c.heading for c in columns if c.number]
    tables = [
        f"## {escape(name)}\n\n{markdown_table(headings, zip(*texts(columns, rows), strict=True), right)}"
        for name, rows in tracks.items()
    ]
    out.line("\n".join(tables).rstrip("\n"))
