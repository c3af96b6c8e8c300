"""``golfreg recipes``: the recipes that ``golfreg run --recipe`` takes."""

from __future__ import annotations

from typing import Annotated

import typer

from golfreg.cli.out import Out


def recipes(
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """List the shipped recipes: what each is, its architecture and the ruleset whose limits hold.

    What one sets, value by value: `golfreg run --recipe NAME --dry-run`.

    Example: golfreg recipes
    """
    from golfreg.config.spec import RunSpec
    from golfreg.runner.recipes import find_recipe, list_recipes, recipe_summary, recipe_value

    default, rows = RunSpec(), []
    for name in list_recipes():
        path = find_recipe(name)
        architecture = recipe_value(path, "components", "architecture") or default.components.architecture
        ruleset = recipe_value(path, "", "ruleset") or default.ruleset
        rows.append((name, architecture, ruleset, recipe_summary(path)))
    out = Out(as_json)
    header = ("recipe", "architecture", "ruleset", "summary")
    if as_json:
        out.json([dict(zip(header, row, strict=True)) for row in rows])
    else:
        out.table(header, rows, "Recipes")
