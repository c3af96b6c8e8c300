"""``golfreg leaderboard site``: the leaderboard as pages that need no server."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from golfreg.cli.out import Out


def site(
    root: Annotated[Path, typer.Option(help="The leaderboard's directory.")] = Path("leaderboard"),
    into: Annotated[Path, typer.Option(help="Where the site goes; an earlier site there is replaced.")] = Path("site"),
    title: Annotated[str, typer.Option(help="Name of the site.")] = "golfreg leaderboard",
    base_url: Annotated[
        str, typer.Option(help="Address that it will be published at: for canonical links and a sitemap.")
    ] = "",
    with_charts: Annotated[bool, typer.Option("--charts/--no-charts", help="Draw charts, with matplotlib.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was written as JSON.")] = False,
) -> None:
    """Build a static site: a table with search for each track, a page for each entry, charts.

    It opens from the disk (site/index.html) or from any web server.

    Example: golfreg leaderboard site --into public --base-url https://example.org/golf/
    """
    from golfreg.leaderboard.site.build import build

    out = Out(as_json)
    began = time.monotonic()
    built = build(
        root, into, title=title, base_url=base_url, with_charts=with_charts, progress=_progress(sys.stderr.isatty())
    )
    for broken in built.broken:
        out.error(f"{broken.key}: {broken.message}", broken.hint)
    entries = sum(built.entries.values())
    if as_json:
        out.json(
            {
                "directory": str(built.directory),
                "entries": built.entries,
                "broken": [{"entry": b.key, "message": b.message, "hint": b.hint} for b in built.broken],
                "files": built.files,
                "bytes": built.size_bytes,
            }
        )
    else:
        out.line(str(built.directory / "index.html"))
    out.talk(
        f"{entries:,} {'entry' if entries == 1 else 'entries'}, {built.files:,} files, "
        f"{built.size_bytes / 1e6:.1f} MB, {time.monotonic() - began:.1f} s"
    )


def _progress(shown: bool) -> Callable[[int, int], None]:
    def tell(done: int, total: int) -> None:
        if shown and (done % 100 == 0 or done == total):
            sys.stderr.write(f"\r{done:,} of {total:,} entries{'' if done < total else chr(10)}")
            sys.stderr.flush()

    return tell
