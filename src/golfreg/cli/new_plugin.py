"""``golfreg plugins new``: writes a plugin that already works."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from golfreg.cli import complete
from golfreg.cli.out import Out, plain


def new(
    name: Annotated[str, typer.Argument(help="Name of the component; the distribution is golfreg-NAME.")],
    kind: Annotated[str, typer.Option("--kind", help=complete.KIND_NAMES, autocompletion=complete.kinds)],
    into: Annotated[Path, typer.Option("--into", help="Directory in which golfreg-NAME is made.")] = Path(),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write a plugin that already works: a distribution to install, check, run and then change.

    Nothing is overwritten. The next three commands are printed.

    Example: golfreg plugins new my-codec --kind codec
    """
    from golfreg.registry.host import get_host
    from golfreg.scaffold import check_clashes, check_name, find_kind, write_plugin

    out = Out(as_json)
    found = find_kind(kind)
    names = check_name(name)
    check_clashes(names, found, get_host())
    written = write_plugin(names, found, into)
    if as_json:
        facts = {"kind": kind, "name": names.component, "distribution": names.distribution, "package": names.package}
        files, commands = list(written.files), list(written.commands)
        out.json({**facts, "directory": str(written.directory), "files": files, "commands": commands})
        return
    out.talk(f"wrote {plain(written.directory)}, {len(written.files)} files; next:")
    for command in written.commands:
        out.line(command)
