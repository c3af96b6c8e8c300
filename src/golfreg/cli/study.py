"""``golfreg study``: findings of the field, measured again from checkpoints by one command each."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from golfreg.api.errors import ConfigError, EnvironmentFault, GolfregError
from golfreg.cli.out import Out, plain

if TYPE_CHECKING:
    from golfreg.studies.catalogue import Study

app = typer.Typer(
    help="Measure published findings again.\n\n"
    "Example: golfreg study run compressibility runs/HYBRID_S1 runs/HYBRID_S2 runs/HYBRID_S3",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _names() -> list[str]:
    from golfreg.studies.catalogue import STUDIES

    return [study.name for study in STUDIES]


@app.command("list")
def list_(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List the studies: what was claimed, where, and which checkpoints each needs.

    Example: golfreg study list
    """
    from dataclasses import asdict

    from golfreg.studies.catalogue import STUDIES

    out = Out(as_json)
    if as_json:
        out.json([asdict(study) for study in STUDIES])
        return
    out.table(("study", "what", "claim", "needs"), [(s.name, s.summary, s.claim, s.needs) for s in STUDIES])


@app.command()
def run(
    name: Annotated[str, typer.Argument(help="The study, as in `study list`.", autocompletion=_names)],
    checkpoints: Annotated[list[Path], typer.Argument(help="Run directories with trained weights.")],
    into: Annotated[Path | None, typer.Option("--out", help="Where the report goes. [default: studies/NAME]")] = None,
    sets: Annotated[
        list[str] | None, typer.Option("--set", help="A setting of the study: `bits=[6]`. May be repeated.")
    ] = None,
    device: Annotated[str, typer.Option(help="`cpu`, `cuda`, or `auto`: the run's where it is here.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> None:
    """Measure a finding again from checkpoints: report.md with plots, and results.toml.

    The report ends in a verdict: stands, does not stand, or not decided, by a rule that it states. What is
    measured is kept in OUT/cells: the same command goes on where a killed one stopped.

    Example: golfreg study run dynamics-precision runs/HYBRID_S1 runs/HYBRID_S2 --set bits=[4,6,8]
    """
    from golfreg.runner.rundir import locked
    from golfreg.studies.catalogue import find_study
    from golfreg.studies.checkpoints import open_checkpoints
    from golfreg.studies.remeasure import clear_work
    from golfreg.studies.report import write_report
    from golfreg.studies.workplace import Workplace

    out = Out(as_json)
    study = find_study(name)
    module = study.load()
    config = _config(study, module, sets or [])
    opened = open_checkpoints(checkpoints, device)
    target = into or Path("studies") / study.name
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EnvironmentFault(f"cannot make `{target}`: {error.strerror}", "choose another with --out") from error
    with locked(target), _Progress(out) as progress:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
        place = Workplace(target, opened, progress.tell, jobs=cores)
        try:
            report = module.run(place, config)
        except GolfregError as error:
            if error.exit_code in (130, 143):
                error.hint = "the same command goes on where this one stopped"
            raise
        warnings = write_report(target, study, opened, report, _command(study, checkpoints, into, sets or []))
        clear_work(place)
    for warning in warnings:
        out.warn(warning)
    if as_json:
        import tomllib

        out.json(tomllib.loads((target / "results.toml").read_text("utf-8")))
        return
    out.line(f"{report.verdict.word}: {report.verdict.sentence}")
    out.talk(f"report: {plain(target / 'report.md')}")


class _Progress:
    """A bar on a terminal; where standard error is a file or pipe, a line every ten seconds."""

    def __init__(self, out: Out) -> None:
        from golfreg.cli.progress import StageProgress

        self._shown = StageProgress(out.console(stderr=True))

    def __enter__(self) -> _Progress:
        self._shown.__enter__()
        self._shown.listen("study", {"event": "start"})
        return self

    def __exit__(self, *error: Any) -> None:
        self._shown.__exit__(*error)

    def tell(self, done: int, total: int, what: str) -> None:
        text = f"{done} of {total}: {what}" if what else f"{done} of {total}"
        self._shown.listen("study", {"event": "progress", "done": done, "total": total or None, "text": text})


def _config(study: Study, module: Any, sets: list[str]) -> Any:
    from golfreg.config.load import nest, parse_value
    from golfreg.registry.settings import make_config

    values: dict[str, Any] = {}
    for item in sets:
        key, equals, text = item.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"`--set {item}` has no value", "write `--set bits=[6]`")
        for top, value in nest(key.strip(), parse_value(text.strip())).items():
            old = values.get(top)
            values[top] = {**old, **value} if isinstance(old, dict) and isinstance(value, dict) else value
    return make_config(module, values, f"study `{study.name}`")


def _command(study: Study, checkpoints: list[Path], into: Path | None, sets: list[str]) -> str:
    words = ["golfreg", "study", "run", study.name, *map(str, checkpoints)]
    words += ["--out", str(into)] if into else []
    words += [word for item in sets for word in ("--set", item)]
    return shlex.join(words)
