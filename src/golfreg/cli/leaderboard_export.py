"""``golfreg leaderboard export``: finished runs as a folder of the Parameter Golf challenge."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from golfreg.api.errors import ConfigError, nearest
from golfreg.cli.out import Out


def export(
    run_dirs: Annotated[list[Path], typer.Argument(metavar="RUNDIR...", help="Finished runs, one for each seed.")],
    form: Annotated[str, typer.Option("--format", help="`parameter-golf`: a record folder of the challenge.")],
    into: Annotated[Path, typer.Option(help="Where the folder is made.")] = Path("records"),
    name: Annotated[str | None, typer.Option(help="Name of the submission; default: its components'.")] = None,
    author: Annotated[str, typer.Option(envvar="GOLFREG_AUTHOR", help="Who claims it.")] = "anonymous",
    github_id: Annotated[str, typer.Option(envvar="GOLFREG_GITHUB_ID", help="The author's GitHub name.")] = "",
    plain: Annotated[
        bool, typer.Option("--plain", help="Ship the readable script; its own, larger size is counted then.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print where it is, and submission.json.")] = False,
) -> None:
    """Write a folder for a pull request to the challenge: README, submission.json, logs, one self-contained script.

    The script trains, quantizes, packs and scores without golfreg. Its bytes are those that the runs' artifacts
    hold as code, so the runs must be of a ruleset that counts code so (`parameter-golf`).

    Example: golfreg leaderboard export runs/20260501-* --format parameter-golf --author "A. Uthor"
    """
    from golfreg.leaderboard.export import folder

    if form not in folder.FORMATS:
        raise ConfigError(f"there is no format `{form}`", nearest(form, folder.FORMATS, "formats"))
    out = Out(as_json)
    done = folder.export(run_dirs, into, author=author, github_id=github_id, name=name, plain=plain)
    if as_json:
        out.json({"directory": str(done.directory), "submission": done.values})
        return
    values = done.values
    std = f" +- {values['val_bpb_std']:.6f}" if "val_bpb_std" in values else ""
    out.line(
        f"{done.directory}: val_bpb {values['val_bpb']:.6f}{std}, {values['bytes_total']:,} bytes "
        f"({values['bytes_code']:,} code), {len(values['seeds'])} seeds"
    )
    if not github_id:
        out.warn("submission.json names no GitHub account: the challenge asks for `--github-id`")
