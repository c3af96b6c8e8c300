"""What an exported ``train_gpt.py`` does: the stages of a run, each in a process of its own, without golfreg installed.

The same stages on the same data with the same seed as ``golfreg run``, so the same weights and the same score;
without what guards a score against its author (isolation, probes).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from golfreg.api.errors import AnswerIsNo, ConfigError, EnvironmentFault, GolfregError, InputError
from golfreg.config.torchrun import is_extra, under_torchrun
from golfreg.pack.script_log import score_lines, settings_lines, size_lines, step_lines, trained_lines
from golfreg.runner.script_stage import PLAN_FILE, run_stage

OPTIONS = {
    "DATA_PATH": "./data/datasets/fineweb10B_sp1024",
    "TOKENIZER_PATH": "./data/tokenizers/fineweb_1024_bpe.model",
    "SEED": "1337",
    "RUN_ID": "",
    "ITERATIONS": "",
    "MAX_WALLCLOCK_SECONDS": "",
}
"""Environment variables of the challenge's script, with their defaults; each is also a flag."""
BY_NAME = ("mixers", "ops", "kernels", "train_kernels")
"""The plan's tables of components."""


def main(script: str, settings: dict[str, Any], arguments: Sequence[str] | None = None) -> None:
    """Run, and exit: 0 done, 1 the answer is no, 2 bad input, 130 interrupted."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        if given[:1] == ["--stage"]:
            run_stage(given[1], Path(given[2]), Path(script), settings["code_bytes"])
        elif not is_extra(os.environ):
            _Script(script, settings["plan"], _options(given)).run()
    except GolfregError as error:
        print(f"error: {error.message}" + (f"\nhint: {error.hint}" if error.hint else ""), file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


def _options(arguments: Sequence[str]) -> dict[str, str]:
    parser = argparse.ArgumentParser(
        description="Train, quantize, pack and score. Flags are environment variables too."
    )
    for name, default in OPTIONS.items():
        flag = "--" + name.lower().replace("_", "-")
        parser.add_argument(
            flag, dest=name, default=os.environ.get(name, default), help=f"default: {default or 'none'}"
        )
    return vars(parser.parse_args(arguments))


class _Script:
    """One run of the script. ``plan``: tables of ``golfreg.config.plan.Plan`` without data and seed."""

    def __init__(self, script: str, plan: Mapping[str, Any], options: Mapping[str, str]) -> None:
        self.script, self.options = script, options
        self.run_id = options["RUN_ID"] or str(uuid.uuid4())
        self.work = Path("logs", self.run_id)
        self.plan = _with_options(plan, options, self.work / "dataset")
        self.label = f"{plan['quantizer']['name']}+{plan['codec']['name']}"
        try:
            self.work.mkdir(parents=True)
        except FileExistsError:
            raise InputError(f"`{self.work}` is there already", "choose another RUN_ID") from None
        except OSError as error:
            raise EnvironmentFault(
                f"cannot make `{self.work}`: {error.strerror}", "run where files may be made"
            ) from None
        self.log = self.work.with_name(f"{self.run_id}.txt")
        self.metrics_at = 0

    def run(self) -> None:
        """Every stage in order; raises where a limit is broken."""
        from golfreg.runner.script_data import link_dataset

        train, limits = self.plan["spec"]["train"], self.plan["limits"]
        seconds = train["seconds"] or limits["train_seconds"]
        self.say(f"Running Python {sys.version.split()[0]}", f"Running PyTorch {version('torch')}")
        dataset = self.work / "dataset"
        self.say(*link_dataset(Path(self.options["DATA_PATH"]), self.options["TOKENIZER_PATH"], dataset))
        self.say(*settings_lines(train, seconds, self.plan["spec"]["seed"]))
        (self.work / PLAN_FILE).write_text(json.dumps(self.plan), "utf-8")

        calibrated = bool(self.plan["quantizer_needs"])
        with self.started("calibrate", wait=True) if calibrated else nullcontext() as waiting:
            with self.started("train") as training:
                trained = self.finish("train", training)
            calibrate_seconds = 0.0
            if waiting is not None:
                waiting.stdin.write(b"go\n")
                waiting.stdin.close()
                calibrate_seconds = self.finish("calibrate", waiting)["calibrate_seconds"]
        self.say(*trained_lines(trained, train["steps"], calibrate_seconds))
        if trained["train_seconds"] + calibrate_seconds > limits["train_seconds"]:
            raise AnswerIsNo(f"training and calibration took over {limits['train_seconds']:g} s")
        with self.started("quantize") as worker:
            packed = self.finish("quantize", worker)
        self.say(*size_lines(self.label, packed["model_bytes"], packed["code_bytes"]))
        with self.started("score") as worker:
            score = self.finish("score", worker)
        self.say(*score_lines(self.label, score["nats_per_token"], score["bits_per_byte"], score["score_seconds"]))
        if score["score_seconds"] > limits["score_seconds"]:
            raise AnswerIsNo(f"scoring took over {limits['score_seconds']:g} s")

    def say(self, *lines: str) -> None:
        """Print lines and keep them in ``logs/RUN_ID.txt``."""
        text = "".join(f"{line}\n" for line in lines)
        print(text, end="", flush=True)
        with self.log.open("a", encoding="utf-8") as file:
            file.write(text)

    @contextmanager
    def started(self, stage: str, wait: bool = False) -> Iterator[Any]:
        """A process that does a stage, or waits to be told to; it is gone at the end."""
        environment = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONUNBUFFERED": "1"}
        environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        environment["OMP_NUM_THREADS"] = str(self.plan["threads"])
        if wait:
            environment["GOLFREG_WAIT_FOR_GO"] = "1"
        process = subprocess.Popen(
            [sys.executable, self.script, "--stage", stage, str(self.work)],
            stdin=subprocess.PIPE if wait else subprocess.DEVNULL, stdout=subprocess.PIPE, env=environment,
        )  # fmt: skip
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def finish(self, stage: str, process: Any) -> dict[str, Any]:
        """Follow a stage to its end; what it left."""
        for line in process.stdout:
            if stage == "train":
                self.tell_steps()
            if not line.startswith(b'{"event": "progress"'):
                sys.stdout.write(line.decode(errors="replace"))
        code = process.wait()
        if stage == "train":
            self.tell_steps()
        if code:
            raise SystemExit(code if code > 0 else 128 - code)
        found: dict[str, Any] = json.loads((self.work / f"{stage}.json").read_text("utf-8"))
        return found

    def tell_steps(self) -> None:
        """Say the steps that were made since the last time."""
        with suppress(OSError), (self.work / "metrics.jsonl").open("rb") as file:
            file.seek(self.metrics_at)
            whole = file.read()
            whole = whole[: whole.rfind(b"\n") + 1]
            self.metrics_at += len(whole)
            self.say(*step_lines(map(json.loads, whole.splitlines()), self.plan["spec"]["train"]["steps"]))


def _with_options(plan: Mapping[str, Any], options: Mapping[str, str], dataset: Path) -> dict[str, Any]:
    """The plan of this run. ConfigError for an option that is no number."""
    numbers: dict[str, float] = {}
    for name in ("SEED", "ITERATIONS", "MAX_WALLCLOCK_SECONDS"):
        try:
            numbers[name] = float(options[name]) if name == "MAX_WALLCLOCK_SECONDS" else int(options[name] or 0)
        except ValueError:
            if options[name]:
                raise ConfigError(f"{name} is `{options[name]}`", "it is a number") from None
            numbers[name] = 0.0
    spec, limits = dict(plan["spec"]), dict(plan["limits"])
    spec["train"], spec["seed"] = dict(spec["train"]), int(numbers["SEED"])
    if "WORLD_SIZE" in os.environ:
        made_by = spec["train"]["nproc"]
        spec["train"]["nproc"] = under_torchrun(os.environ)[1] or 1
        if made_by == 1 < spec["train"]["nproc"]:
            raise ConfigError(
                "this trains on one GPU and was started in several processes",
                "start one: torchrun --standalone --nproc_per_node=1 train_gpt.py",
            )
    if numbers["ITERATIONS"]:
        spec["train"]["steps"] = int(numbers["ITERATIONS"])
    if seconds := numbers["MAX_WALLCLOCK_SECONDS"]:
        spec["train"]["seconds"] = seconds
        limits["train_seconds"] = max(seconds, limits["train_seconds"])
    origin = {"distribution": "", "version": "", "module": ""}

    def placed(part: Mapping[str, Any]) -> dict[str, Any]:
        return {**part, **origin}

    parts = {kind: placed(plan[kind]) for kind in ("architecture", "quantizer", "codec")}
    tables = {kind: {name: placed(part) for name, part in plan[kind].items()} for kind in BY_NAME if kind in plan}
    return {
        **plan, **parts, **tables,
        "spec": spec,
        "limits": limits,
        "corpus": placed({"kind": "corpus", "name": "shards", "target": ""}),
        "threads": plan["threads"] or len(os.sched_getaffinity(0)),
        "spec_digest": "",
        "dataset": str(dataset),
    }  # fmt: skip
