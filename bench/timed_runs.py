"""The 150 second runs of the recipes on the same data, a table of their scores, and entries of a leaderboard.

    python bench/timed_runs.py baseline transformer mamba3-hybrid gated-deltanet --data DIR --ruleset h100-150s-web
    python bench/timed_runs.py mamba3-hybrid mamba3-hybrid-upstream --data DIR --minutes 8.5
    python bench/timed_runs.py --show                                  # the table of what is there, nothing is run
    python bench/timed_runs.py --add leaderboard --author NAME         # golfreg leaderboard add, one entry a case
    python bench/timed_runs.py --device cpu --tiny --ruleset parameter-golf-non-record   # looks for mistakes

Each run is ``golfreg run`` in a directory of its own below ``--runs``. What is finished is not run again; what was
interrupted is resumed, and charged the time lost. ``--minutes``: no run is begun that the longest one so far (at first
5 minutes) would not let end in time, so the same command, given again, goes on. ``--data``: see ``gpu_cases.py``.
The bits per byte before quantization are those of the trained weights, in the run's own windows.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from gpu_cases import CASES, TINY, data_settings

from golfreg.api.errors import GolfregError

FIRST_MINUTES = 5.0
BRIEF = ("train.seconds=20", "train.calibration_reserve_seconds=6")


def run_one(name: str, seed: int, options: argparse.Namespace) -> bool:
    """Begin the run, or go on with it; whether it ended well."""
    root = options.runs / name / f"seed_{seed}"
    begun = [path.parent for path in root.glob("*/plan.toml")]
    words = [sys.executable, "-m", "golfreg", "run"]
    if begun:
        words += ["--resume", str(begun[0])]
    else:
        recipe, vocabulary, changes = CASES[name]
        sets = [*data_settings(options.data, vocabulary), *changes, *((*TINY, *BRIEF) if options.tiny else ())]
        words += ["--recipe", recipe, "--ruleset", options.ruleset, "--seed", str(seed), "--runs", str(root)]
        words += ["--device", options.device, *(word for item in sets for word in ("--set", item))]
    print(f"\n{name}, seed {seed}: {' '.join(words[2:])[:300]}", flush=True)
    return subprocess.run(words, env=dict(os.environ), check=False).returncode == 0


def finished(options: argparse.Namespace) -> Iterator[tuple[str, int, Path]]:
    """(case, seed, run directory)"""
    for record in sorted(options.runs.glob("*/seed_*/*/record.toml")):
        yield record.parts[-4], int(record.parts[-3].removeprefix("seed_")), record.parent


def before_quantization(run_dir: Path) -> float:
    """Bits per byte of the trained weights, in a process of its own; remembered beside the run."""
    kept = run_dir / "before_quantization.json"
    if not kept.exists():
        done = subprocess.run(
            [sys.executable, __file__, "--exact", str(run_dir)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            print(done.stderr.strip().splitlines()[-1:], flush=True)
            return math.nan
        kept.write_text(done.stdout.splitlines()[-1])
    return float(json.loads(kept.read_text())["bits_per_byte"])


def exact(run_dir: Path) -> dict[str, float]:
    import torch

    from golfreg.config.plan import read_plan
    from golfreg.data.dataset import open_dataset
    from golfreg.score.evaluate import Scored, evaluate
    from golfreg.score.windows import parse_windows
    from golfreg.train.files import load_weights
    from golfreg.train.stage import build, prepare_process

    plan = read_plan(run_dir / "plan.toml")
    prepare_process(plan)
    dataset, settings = open_dataset(plan.dataset_dir), plan.spec.score
    model = build(plan, dataset).eval()
    load_weights(run_dir / "model.safetensors", model)
    scored = Scored(model, "the model", dataset.vocab_size, torch.device(plan.device), getattr(torch, plan.dtype))
    windows = parse_windows(settings.windows, settings.sequence_length or plan.spec.train.sequence_length)
    with torch.no_grad():
        tally = evaluate(
            scored, dataset.validation_tokens(), dataset.byte_table, windows, settings.batch_tokens, dataset.bos_id
        )
    return {"bits_per_byte": tally.score().bits_per_byte}


def table(options: argparse.Namespace) -> dict[str, list[Path]]:
    """Print a row a run; the run directories by case."""
    from golfreg.config.record import read_record

    by_case: dict[str, list[Path]] = {}
    rows = []
    print(
        "\n| case, seed | bits per byte | over documents | before quantization | bytes | steps | tokens/s "
        "| train, score s | peer |\n|" + "---|" * 9
    )
    for name, seed, run_dir in finished(options):
        by_case.setdefault(name, []).append(run_dir)
        record = read_record(run_dir / "record.toml")
        error, score = record.score.standard_error or math.nan, record.score.bits_per_byte
        speed = record.train.tokens / record.times.train_seconds
        exactly = before_quantization(run_dir)
        rows.append(
            {
                "case": name, "seed": seed, "bits_per_byte": score, "standard_error": error,
                "before_quantization": exactly, "bytes": record.sizes.total_bytes, "steps": record.train.steps,
                "tokens_per_second": speed, "run": str(run_dir),
            }
        )  # fmt: skip
        print(
            f"| {name}, {seed} | {score:.4f} | +- {error:.4f} | {exactly:.4f} "
            f"| {record.sizes.total_bytes:,} | {record.train.steps:,} | {speed / 1e6:.3f}M "
            f"| {record.times.train_seconds:.0f}, {record.times.score_seconds:.0f} | {PEERS.get(name, '')} |"
        )
    options.json.write_text(json.dumps(rows, indent=1))
    return by_case


PEERS = {
    "baseline": "1.5327 before quantization, 1.5339 from 14,727,961 bytes, 131,072 tokens a step",
    "baseline-131k": "1.5327 before quantization, 1.5339 from 14,727,961 bytes, 131,072 tokens a step",
    "mamba3-hybrid": "1.4814 before quantization",
    "mamba3-hybrid-upstream": "1.4814 before quantization",
}
"""The public scripts on one H100, 150 s, the same data, measured earlier."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(CASES)}; default: all")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--seeds", default="1")
    parser.add_argument("--ruleset", default="h100-150s-web")
    parser.add_argument("--runs", type=Path, default=Path("runs/timed"))
    parser.add_argument("--minutes", type=float, default=0.0, help="0: no limit")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true", help="small sizes, few seconds, plain kernels")
    parser.add_argument("--show", action="store_true")
    parser.add_argument("--add", type=Path, metavar="LEADERBOARD")
    parser.add_argument("--author", default="anonymous")
    parser.add_argument("--json", type=Path, default=Path("timed_runs.json"))
    parser.add_argument("--exact", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.exact:
        print(json.dumps(exact(options.exact)))
        return
    if unknown := set(options.cases) - set(CASES):
        parser.error(f"no such case: {', '.join(sorted(unknown))}")
    if not (options.show or options.add):
        run_all(options)
    by_case = table(options)
    if options.add:
        for name, run_dirs in by_case.items():
            words = [sys.executable, "-m", "golfreg", "leaderboard", "add", *map(str, run_dirs)]
            subprocess.run(
                [*words, "--into", str(options.add), "--name", name, "--author", options.author], check=False
            )


def run_all(options: argparse.Namespace) -> None:
    began, longest = time.monotonic(), FIRST_MINUTES * 60
    done = {(name, seed) for name, seed, _ in finished(options)}
    wanted = [(name, int(seed)) for seed in options.seeds.split(",") for name in options.cases or CASES]
    for name, seed in wanted:
        if (name, seed) in done:
            continue
        at = time.monotonic()
        if options.minutes and at - began + longest > options.minutes * 60:
            print(f"\n{name}, seed {seed} does not fit in {options.minutes:g} minutes: give the same command again")
            return
        if not run_one(name, seed, options):
            print(f"{name}, seed {seed} did not end well", flush=True)
        longest = max(longest if (name, seed) != wanted[0] else 0.0, time.monotonic() - at)


if __name__ == "__main__":
    try:
        main()
    except GolfregError as error:
        sys.exit(f"error: {error.message}\nhint: {error.hint}")
