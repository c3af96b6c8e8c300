"""Where commands print. Data goes to standard output, talk to standard error.

User data is never parsed as markup; a piped table is not wrapped; ``--json`` bypasses rich.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_PIPED_WIDTH = 10_000


def plain(text: object) -> str:
    """Text from a file, safe for a terminal: control characters are shown, not sent."""
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in str(text))


class Out:
    """Every command prints through this. ``as_json``: the one document goes out as JSON."""

    def __init__(self, as_json: bool = False) -> None:
        self.as_json = as_json

    def console(self, stderr: bool = False) -> Console:
        from rich.console import Console

        stream = sys.stderr if stderr else sys.stdout
        width = None if stream.isatty() else _PIPED_WIDTH
        return Console(
            file=stream, markup=False, highlight=False, emoji=False, width=width, soft_wrap=width is not None
        )

    def json(self, value: Any) -> None:
        """Print one JSON document."""
        sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False, default=str) + "\n")

    def table(
        self, columns: Sequence[str], rows: Iterable[Sequence[object]], title: str = "", right: Iterable[str] = ()
    ) -> None:
        """Print a table. ``right``: the columns that hold numbers."""
        self.console().print(make_table(columns, rows, title, right))

    def line(self, text: str = "") -> None:
        """Print one line of data."""
        sys.stdout.write(text + "\n")

    def talk(self, text: str, style: str = "") -> None:
        """Say something on standard error."""
        self.console(stderr=True).print(text, style=style or None)

    def warn(self, text: str) -> None:
        self.talk(f"warning: {plain(text)}", "yellow")

    def error(self, message: str, hint: str | None = None) -> None:
        self.talk(f"error: {plain(message)}", "red")
        if hint:
            self.talk(f"hint: {plain(hint)}", "cyan")


def make_table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], title: str = "", right: Iterable[str] = ()
) -> Table:
    """A rich table whose cells are text, never markup."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    numbers = set(right)
    table = Table(title=Text(title) if title else None, box=box.SIMPLE_HEAD, title_justify="left")
    for column in columns:
        table.add_column(
            Text(column), justify="right" if column in numbers else "left", overflow="fold", no_wrap=column in numbers
        )
    for row in rows:
        table.add_row(*(Text(plain(cell)) for cell in row))
    return table
