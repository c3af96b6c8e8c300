"""``golfreg leaderboard diff``: what a pull request changes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from golfreg.api.errors import AnswerIsNo, ConfigError
from golfreg.api.links import docs_link
from golfreg.cli import complete
from golfreg.cli.out import Out


def diff(
    commits: Annotated[
        str | None,
        typer.Argument(metavar="[BASE..HEAD]", help="Names of commits; default: what HEAD adds to the main branch."),
    ] = None,
    root: Annotated[str, typer.Option(help="The leaderboard's directory, from the top of the repository.")] = (
        "leaderboard"
    ),
    repo: Annotated[Path, typer.Option(help="The git repository.")] = Path("."),
    ruleset: Annotated[
        str | None, typer.Option(help="Judge its track's entries by this ruleset.", autocompletion=complete.rulesets)
    ] = None,
    maintainer: Annotated[
        bool, typer.Option("--maintainer", help="The change is a maintainer's, who may set every status.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print values in full precision as JSON.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print the comment for a pull request.")] = False,
) -> None:
    """Print what commits change in a leaderboard: entries, ranks, findings, significance.

    Compared with the commit at which HEAD left BASE; HEAD alone counts, not uncommitted files. Both are read
    through git as data: nothing is checked out, no code of theirs is run. Exit code 1 if the change breaks a rule.

    Example: golfreg leaderboard diff main..my-entry
    """
    from golfreg.leaderboard import diff_comment, diff_render
    from golfreg.leaderboard.diff import compare, parse_range
    from golfreg.leaderboard.diff_files import root_of
    from golfreg.leaderboard.git import Repository
    from golfreg.rules.ruleset import load_ruleset

    if as_json and as_markdown:
        raise ConfigError("`--json` and `--markdown` exclude each other", "choose one")
    out = Out(as_json)
    place, rules = root_of(root), None if ruleset is None else load_ruleset(ruleset)
    repository = Repository(repo)
    base, head = parse_range(commits, repository)
    difference = compare(repository, base, head, root=place, maintainer=maintainer, ruleset=rules)
    said = diff_render.summary(difference)
    if as_json:
        out.json(diff_render.values(difference))
    elif as_markdown:
        out.line(diff_comment.comment(difference).rstrip("\n"))
    elif not difference.changes and not difference.findings:
        out.line(f"nothing under `{place}` differs between {difference.base[:12]} and {difference.head[:12]}")
    else:
        if difference.changes:
            rows = [diff_render.cells(change) for change in difference.changes]
            out.table(diff_render.COLUMNS, rows, "", diff_render.RIGHT)
        for change in difference.changes:
            if change.verdict is not None:
                out.line(f"{change.key} against {change.record}: {change.verdict.sentence()}")
        findings = diff_render.all_findings(difference)
        if findings:
            out.table(
                diff_render.FINDING_COLUMNS, [(str(f.level), f.code, f.where, f.message) for f in findings], "findings"
            )
        for moved in difference.moved[: diff_comment.MOST_MOVED]:
            out.line(f"{moved.entry}: rank {moved.before} → {moved.after}")
        if len(difference.moved) > diff_comment.MOST_MOVED:
            out.line(f"and {len(difference.moved) - diff_comment.MOST_MOVED} more have another rank: `--json` has all")
        if difference.behind:
            out.warn(f"the leaderboard at `{base}` has changed since: rebase to see the ranks as they would be")
    if difference.failed:
        raise AnswerIsNo(said, f"{docs_link('rules')} says what each code means")
    out.talk(said)
