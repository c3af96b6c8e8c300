"""``golfreg run``: compose components, train, quantize, pack, score, record."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from golfreg.api.errors import ConfigError
from golfreg.cli import complete
from golfreg.cli.out import Out

if TYPE_CHECKING:
    from golfreg.config.load import Loaded
    from golfreg.config.record import RunRecord


def run(
    arch: Annotated[
        str | None,
        typer.Option(
            "--arch", help="Architecture, as in `plugins list`.", autocompletion=complete.components("architecture")
        ),
    ] = None,
    quantizer: Annotated[
        str | None, typer.Option(help="Quantizer.", autocompletion=complete.components("quantizer"))
    ] = None,
    codec: Annotated[str | None, typer.Option(help="Codec.", autocompletion=complete.components("codec"))] = None,
    corpus: Annotated[
        str | None, typer.Option(help="Corpus, with its argument: `jsonl:PATH`.", autocompletion=complete.corpora)
    ] = None,
    tokenizer: Annotated[str | None, typer.Option(help="`sp1024`, `bytes`, or a `.model` file.")] = None,
    kernel: Annotated[
        str | None,
        typer.Option(
            help="Kernel by name, or OP=NAME,OP=NAME; `auto` takes the fastest that fits.",
            autocompletion=complete.components("kernel"),
        ),
    ] = None,
    recipe: Annotated[
        str | None, typer.Option(help="A shipped recipe's name, or a TOML file.", autocompletion=complete.recipes)
    ] = None,
    ruleset: Annotated[
        str | None, typer.Option(help="Ruleset whose limits hold.", autocompletion=complete.rulesets)
    ] = None,
    device: Annotated[str | None, typer.Option(help="`cpu`, `cuda` or `auto`.")] = None,
    nproc: Annotated[
        int | None, typer.Option(help="Processes that train together, each with a GPU. Under torchrun, its number.")
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Train this many steps instead of by the clock.")] = None,
    windows: Annotated[
        str | None, typer.Option(help="Scoring windows: `fixed`, `sliding:STRIDE` or `stateful[:CONTEXT]`.")
    ] = None,
    observer: Annotated[
        list[str] | None,
        typer.Option(
            "--observer",
            help="Who is told of the run. May be repeated. [default: jsonl]",
            autocompletion=complete.components("observer"),
        ),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of one run.")] = None,
    seeds: Annotated[str | None, typer.Option(help="Seeds of several runs: `1,2,3`.")] = None,
    sets: Annotated[
        list[str] | None, typer.Option("--set", help="Any setting: `mixer.d_state=128`. May be repeated.")
    ] = None,
    runs: Annotated[Path | None, typer.Option(help="Where run directories are made.")] = None,
    fit: Annotated[
        bool, typer.Option("--fit", help="Choose bits and clips by role so that the artifact lands just under the cap.")
    ] = False,
    resume: Annotated[Path | None, typer.Option(help="Go on with the run in this directory.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and the origin of each value.")] = False,
    device_name: Annotated[
        str | None, typer.Option(help="With --dry-run: the device to predict for, `h100` or `8xh100`.")
    ] = None,
    usd_per_gpu_hour: Annotated[
        float | None, typer.Option(min=0, max=1e6, help="With --dry-run: what a GPU costs an hour, for the price.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Train, quantize, pack and score one submission, and write its record.

    Settings: flags > --set > GOLFREG_SECTION__KEY > recipe > default.

    Example: golfreg run --arch mamba3 --codec lzma --set mixer.d_state=64
    """
    from golfreg.cli.show_plan import show_plan
    from golfreg.config.load import load_spec
    from golfreg.config.torchrun import is_extra, under_torchrun
    from golfreg.runner.launch import keep_compiled

    if is_extra(os.environ):
        return
    keep_compiled()
    out = Out(as_json)
    flags = {
        key: (flag, value)
        for key, flag, value in (
            ("components.architecture", "--arch", arch),
            ("components.quantizer", "--quantizer", quantizer),
            ("components.codec", "--codec", codec),
            ("components.corpus", "--corpus", corpus),
            ("components.kernel", "--kernel", kernel),
            ("data.tokenizer", "--tokenizer", tokenizer),
            ("ruleset", "--ruleset", ruleset),
            ("train.device", "--device", device),
            ("train.steps", "--steps", steps),
            ("train.nproc", *under_torchrun(os.environ, nproc)),
            ("score.windows", "--windows", windows),
            ("seed", "--seed", seed),
            ("observers", "--observer", observer or None),
            ("fit", "--fit", fit or None),
        )
        if value is not None
    }
    if resume is not None:
        given = [flag for flag, _ in flags.values()] + ["--set"] * bool(sets) + ["--recipe"] * bool(recipe)
        given += ["--seeds"] * bool(seeds) + ["--dry-run"] * dry_run + ["--runs"] * bool(runs)
        if given:
            raise ConfigError(
                f"`--resume` goes on with the plan of `{resume}`: {', '.join(given)} would change it",
                "leave them out, or start a new run",
            )
        _show_records(out, [(resume, _resume(out, resume))])
        return

    from golfreg.runner.recipes import choose_recipe, find_recipe
    from golfreg.runner.settings import check_names

    if not dry_run and (device_name is not None or usd_per_gpu_hour is not None):
        raise ConfigError("`--device-name` and `--usd-per-gpu-hour` are for a prediction", "give `--dry-run` too")
    many = _seeds(seeds, seed)
    # What is misspelt is said at once, before torch is imported to look for a GPU.
    check_names(load_spec(find_recipe(recipe) if recipe else None, os.environ, sets or [], flags))
    path, why = choose_recipe(recipe, device)
    if not as_json:
        out.talk(why)
    loaded = load_spec(path, os.environ, sets or [], flags)
    if dry_run:
        show_plan(out, loaded, device_name, usd_per_gpu_hour, runs)
        return
    done = []
    for one in many or [loaded.spec.seed]:
        done.append(_run_one(out, loaded, one, runs))
    _show_records(out, done)


def _seeds(seeds: str | None, seed: int | None) -> list[int]:
    if seeds is None:
        return []
    if seed is not None:
        raise ConfigError("`--seed` and `--seeds` were both given", "give one of them")
    try:
        numbers = [int(s) for s in seeds.split(",")]
    except ValueError:
        raise ConfigError(f"`--seeds {seeds}` is no list of integers", "write `--seeds 1,2,3`") from None
    if len(set(numbers)) != len(numbers):
        raise ConfigError(f"`--seeds {seeds}` names a seed twice", "seeds of one entry are distinct")
    return numbers


def _run_one(out: Out, loaded: Loaded, seed: int, runs: Path | None) -> tuple[Path, RunRecord]:
    from dataclasses import replace

    from golfreg.runner import rundir
    from golfreg.runner.plan import make_plan

    planned = make_plan(replace(loaded, spec=replace(loaded.spec, seed=seed)))
    run_dir = rundir.create(rundir.runs_root(runs), planned.plan, planned.observers)
    out.talk(f"run directory: {run_dir}")
    for warning in planned.warnings:
        out.warn(warning)
    return run_dir, _watch(out, run_dir, planned.plan)


def _resume(out: Out, run_dir: Path) -> RunRecord:
    from golfreg.config.plan import read_plan

    return _watch(out, run_dir, read_plan(run_dir / "plan.toml"))


def _watch(out: Out, run_dir: Path, plan: Any) -> RunRecord:
    from golfreg.cli.progress import StageProgress
    from golfreg.runner.pipeline import run_stages

    with StageProgress(out.console(stderr=True)) as progress:
        return run_stages(run_dir, plan, progress.listen)


def _show_records(out: Out, done: list[tuple[Path, RunRecord]]) -> None:
    from golfreg.cli.show_record import record_json, show_record

    if out.as_json:
        documents = [record_json(run_dir, record) for run_dir, record in done]
        out.json(documents[0] if len(documents) == 1 else documents)
        return
    for run_dir, record in done:
        show_record(out, run_dir, record)
    if len(done) > 1:
        from statistics import mean, stdev

        scores = [record.score.bits_per_byte for _, record in done]
        out.line(f"{len(done)} seeds: bpb {mean(scores):.4f} +- {stdev(scores):.4f}")
        out.line("add them to a leaderboard: golfreg leaderboard add " + " ".join(str(d) for d, _ in done))
