"""``golfreg leaderboard rules``: the rulesets, and what every finding's code means."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from golfreg.cli import complete
from golfreg.cli.out import Out

if TYPE_CHECKING:
    from golfreg.rules.ruleset import RuleSignificance


def rules(
    name: Annotated[
        str | None,
        typer.Argument(help="A ruleset; default: all of them, and the codes.", autocompletion=complete.rulesets),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print rulesets and codes as JSON.")] = False,
) -> None:
    """List the rulesets and every finding's code, or print one ruleset.

    Example: golfreg leaderboard rules parameter-golf-frontier
    """
    from dataclasses import asdict

    from golfreg.leaderboard.diff_rules import change_rules
    from golfreg.rules.codes import all_codes
    from golfreg.rules.ruleset import list_rulesets, load_ruleset

    out = Out(as_json)
    rulesets = [load_ruleset(one) for one in ([name] if name else list_rulesets())]
    codes = all_codes() | {rule.code: rule.title for rule in change_rules()}
    if as_json:
        out.json({"rulesets": {one.name: asdict(one) for one in rulesets}, "codes": codes})
        return
    if name:
        out.table(("setting", "value"), _lines(asdict(rulesets[0])))
        return
    rows = [(one.name, one.track, str(one.version), needs_text(one.significance), one.summary) for one in rulesets]
    out.table(("ruleset", "track", "version", "a new record needs", "summary"), rows)
    out.table(("code", "what holds"), list(codes.items()))


def needs_text(rule: RuleSignificance | None) -> str:
    """The test of significance in a few words."""
    if rule is None:
        return "no test"
    margin = f", {rule.margin_nats_per_token:g} nats better" if rule.margin_nats_per_token else ""
    return f"{rule.test} p < {rule.p_value:g}{margin}"


def _lines(values: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Dotted key and value, one a line."""
    found: list[tuple[str, str]] = []
    for key, value in values.items():
        if isinstance(value, dict):
            found += _lines(value, f"{prefix}{key}.")
        elif isinstance(value, tuple):
            found.append((f"{prefix}{key}", ", ".join(map(str, value)) or "any"))
        else:
            found.append((f"{prefix}{key}", "none" if value is None else str(value)))
    return found
