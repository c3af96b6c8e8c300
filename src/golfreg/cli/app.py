"""The Typer app: one module per command group, none of which imports torch."""

from __future__ import annotations

from typing import Annotated

import typer

from golfreg.cli import bench, data, doctor, inspect, kernels, leaderboard, plugins, recipes, run, score, study

app = typer.Typer(
    name="golfreg",
    help="Compose, train, quantize, pack and score a Parameter-Golf submission, and compare records.\n\n"
    "Example: golfreg run --arch mamba3 --codec lzma",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(show: bool) -> None:
    if show:
        from importlib.metadata import version

        typer.echo(f"golfreg {version('golfreg')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


app.command("run")(run.run)
app.command("recipes")(recipes.recipes)
app.command("score")(score.score)
app.command("inspect")(inspect.inspect)
app.command("doctor")(doctor.doctor)
app.add_typer(plugins.app, name="plugins")
app.add_typer(data.app, name="data")
app.add_typer(bench.app, name="bench")
app.add_typer(kernels.app, name="kernels")
app.add_typer(leaderboard.app, name="leaderboard")
app.add_typer(study.app, name="study")
