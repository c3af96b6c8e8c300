"""Milliseconds of a training step, tokens a second, memory, and the time to the first step, of whole models.

    python bench/step_time.py [CASE ...] --data DIR --json step_time.json [--steps 40] [--profile]
    python bench/step_time.py CASE ... --device cpu --tiny          # looks for mistakes without a GPU

Each case is a recipe as golfreg trains it, on its own data: the train stage's model, optimizers, loader and warm-up, in
a process of its own. Timed are groups of steps that end in one wait for the device. A second process, which
finds compiled what the first one compiled, tells the time from its start to the end of its first step. Results are
written after each case, and a case that is in the file is not measured again (``--again``). ``--data``: see
``gpu_cases.py``; without it golfreg's own corpus is used, whose documents are shorter.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from gpu_cases import CASES, TINY, data_settings

from golfreg.api.errors import GolfregError
from golfreg.runner.launch import keep_compiled

PEERS = {
    "baseline": "the challenge's script: 347.5 ms",
    "baseline-131k": "the challenge's script: 104 ms, 21.5 GiB",
    "mamba3-hybrid": "the public script: 109 to 114 ms, 25.5 GiB",
    "mamba3-hybrid-upstream": "the public script: 109 to 114 ms, 25.5 GiB",
}
"""Measured earlier, each on an H100 of its own; they are not run here."""


def measure(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """In a process of its own: the case, or (``--first``) only its first step."""
    import torch

    from golfreg.config.job import Job
    from golfreg.config.load import load_spec
    from golfreg.data import stage as data_stage
    from golfreg.runner.plan import make_plan
    from golfreg.runner.recipes import find_recipe
    from golfreg.runner.rundir import create
    from golfreg.train.group import Group
    from golfreg.train.loop import peak_memory_bytes
    from golfreg.train.stage import prepare, prepare_process

    recipe, vocabulary, changes = CASES[name]
    sets = [f"train.device={options.device}", "train.steps=1000000", *data_settings(options.data, vocabulary), *changes]
    plan = make_plan(load_spec(find_recipe(recipe), {}, [*sets, *(TINY if options.tiny else ())])).plan
    with tempfile.TemporaryDirectory() as runs:
        run_dir = create(Path(runs), plan)
        if not (plan.dataset_dir / "dataset.toml").exists():
            data_stage.run(Job(run_dir, plan))
            if options.first:
                raise SystemExit("the data should have been there")
        data_seconds = time.time() - options.begun
        prepare_process(plan)
        steps, throughput = prepare(plan, Group())
        steps.warm_up()
        warm_seconds = time.time() - options.begun
        loss, _ = steps.step(0.0)
        found: dict[str, Any] = {"first_loss": float(loss), "first_step_seconds": time.time() - options.begun}
        if not options.first:
            kernels = {op: chosen.name for op, chosen in plan.kernels.items()}
            batch = plan.spec.train.batch_tokens
            found |= {"data_seconds": data_seconds, "warm_up_seconds": warm_seconds - data_seconds}
            found |= timed(steps, options, batch)
            used = throughput.utilization(found["tokens_per_second"])
            found |= {
                "peak_gib": peak_memory_bytes(plan.device) / 2**30, "kernels": kernels, "batch_tokens": batch,
                "peak_flops_used": used, "parameters": sum(p.numel() for p in steps.parameters),
                "torch": torch.__version__, "settings": sets,
                "device": torch.cuda.get_device_name() if plan.device == "cuda" else "cpu",
            }  # fmt: skip
            if options.profile and plan.device == "cuda":
                found["profile"] = profiled(steps)
        steps.close()
    return found


def timed(steps: Any, options: argparse.Namespace, batch: int) -> dict[str, Any]:
    """Groups of up to ten steps, each ended by reading its last loss."""
    group = min(10, options.steps)
    taken, loss = [], float("nan")
    for number in range(max(2, options.steps // group) + 1):
        began = time.perf_counter()
        for _ in range(group):
            loss_now, _ = steps.step(0.0)
        loss = float(loss_now)
        if number:  # the first group still allocates
            taken.append((time.perf_counter() - began) / group)
    return {
        "step_ms": 1e3 * statistics.median(taken), "step_ms_range": [1e3 * min(taken), 1e3 * max(taken)],
        "tokens_per_second": batch / statistics.median(taken), "last_loss": loss,
    }  # fmt: skip


def profiled(steps: Any, repeats: int = 3) -> list[tuple[str, float]]:
    """(kernel, ms a step), largest first."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as found:
        for _ in range(repeats):
            steps.step(0.0)
        torch.cuda.synchronize()
    rows = [(e.key, e.self_device_time_total / repeats / 1000) for e in found.key_averages()]
    return sorted(rows, key=lambda row: -row[1])[:20]


def in_a_process(name: str, options: argparse.Namespace, first: bool) -> dict[str, Any]:
    """``measure`` in a fresh process; what went wrong instead, if something did."""
    with tempfile.NamedTemporaryFile(suffix=".json") as result:
        words = [sys.executable, __file__, name, "--result", result.name, "--begun", str(time.time())]
        words += ["--device", options.device, "--steps", str(options.steps)] + ["--first"] * first
        words += ["--tiny"] * options.tiny + ["--profile"] * options.profile
        words += ["--data", str(options.data)] if options.data else []
        try:
            done = subprocess.run(
                words,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
                timeout=options.timeout,
            )
        except subprocess.TimeoutExpired:
            return {"failed": [f"longer than {options.timeout:g} s"]}
        if done.returncode:
            said = done.stderr.strip().splitlines() or [f"exit {done.returncode}"]
            return {"failed": [line for line in said if line.startswith("error: ")][-1:] or said[-1:]}
        return dict(json.loads(Path(result.name).read_text()))


def show(found: dict[str, dict[str, Any]]) -> None:
    """The table of all that is in the file."""
    print("\n| case | ms a step | tokens/s | GiB | first step, warm cache | peer |\n|---|---|---|---|---|---|")
    for name, row in found.items():
        if "failed" in row:
            print(f"| {name} | {row['failed'][0][:110]} | | | | |")
            continue
        low, high = row["step_ms_range"]
        print(
            f"| {name} | {row['step_ms']:.1f} ({low:.1f} to {high:.1f}) | {row['tokens_per_second'] / 1e6:.3f}M "
            f"| {row['peak_gib']:.1f} | {row['warm_first_step_seconds']:.1f} s | {PEERS.get(name, '')} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"default: all of {', '.join(CASES)}")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--profile", action="store_true", help="keep the largest kernels of a step too")
    parser.add_argument("--tiny", action="store_true", help="small sizes, eager, plain kernels")
    parser.add_argument("--timeout", type=float, default=480.0, help="seconds of a process")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--json", type=Path, default=Path("step_time.json"))
    for hidden in ("--result", "--begun"):
        parser.add_argument(hidden, type=float if hidden == "--begun" else Path, help=argparse.SUPPRESS)
    parser.add_argument("--first", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    unknown = set(options.cases) - set(CASES)
    if unknown:
        parser.error(f"no such case: {', '.join(sorted(unknown))}")
    keep_compiled()
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if options.result:
        options.result.write_text(json.dumps(measure(options.cases[0], options)))
        return
    found = json.loads(options.json.read_text()) if options.json.exists() else {}
    for name in options.cases or CASES:
        if name in found and "failed" not in found[name] and not options.again:
            continue
        print(f"{name} ...", flush=True)
        row = in_a_process(name, options, first=False)
        if "failed" not in row:
            warm = in_a_process(name, options, first=True)
            row = warm if "failed" in warm else {**row, "warm_first_step_seconds": warm["first_step_seconds"]}
        found[name] = row
        options.json.write_text(json.dumps(found, indent=1))
    show(found)


if __name__ == "__main__":
    try:
        main()
    except GolfregError as error:
        sys.exit(f"error: {error.message}\nhint: {error.hint}")
