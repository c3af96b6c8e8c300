"""Time per token of one layer, forward and backward, at growing lengths and constant tokens; where two layers cross.

    python bench/sequence_length.py --json sequence_length.json --plot sequence_length.svg
    python bench/sequence_length.py --device cpu --eager --tokens 512 --lengths 64,128,256 --d-model 128

Layers are golfreg's mixers, compiled as in training, in bfloat16 on a GPU, without documents. ``--layer NAME`` or
``NAME=KERNEL`` (of the ops that the mixer needs; else the reference), repeated; the first is held against the others.
Results are written after each point, and a point that is in the file is not measured again (``--again``), also not one
that ended the process.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import math
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from kept import Kept

from golfreg.api import BuildContext
from golfreg.api.errors import GolfregError
from golfreg.kernels.timing import timed
from golfreg.plots.file import save_plot
from golfreg.plots.kinds import Point, curves
from golfreg.registry.resolve import load, resolve
from golfreg.runner.launch import keep_compiled


def layer(name: str, kernel: str, length: int, options: argparse.Namespace) -> torch.nn.Module:
    """The mixer with its default settings. GolfregError if the kernel refuses."""
    mixer = resolve("mixer", name)
    dtype = "bfloat16" if options.device == "cuda" else "float32"
    kernels = {}
    for op in mixer.descriptor.ops:
        chosen = load(resolve("kernel", kernel, op=op))
        refusal = chosen.supports(options.device, dtype)
        if refusal:
            raise GolfregError(f"kernel `{kernel}` of `{op}`: {refusal}")
        kernels[op] = chosen.call
    context = BuildContext(8192, length, bos_id=1, kernels=kernels, dtype=dtype)
    target = load(mixer)
    built: torch.nn.Module = target.build(options.d_model, target.Config(), context).to(options.device)
    return built


def measure(name: str, kernel: str, length: int, options: argparse.Namespace) -> dict[str, Any]:
    torch.manual_seed(0)
    torch._dynamo.reset()
    module: Any = layer(name, kernel, length, options)
    if not options.eager:
        module = torch.compile(module, dynamic=False)
    dtype = torch.bfloat16 if options.device == "cuda" else torch.float32
    shape = options.tokens // length, length, options.d_model
    x_BTD = torch.randn(shape, device=options.device, dtype=dtype, requires_grad=True)
    pull_BTD = torch.randn_like(x_BTD)
    parameters = list(module.parameters())

    def both() -> None:
        torch.autograd.grad(module(x_BTD), [x_BTD, *parameters], pull_BTD)

    if options.device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    found = asdict(timed(both, options.device, options.seconds))
    if options.device == "cuda":
        found["peak_gib"] = torch.cuda.max_memory_allocated() / 2**30
    return found | {"tokens": shape[0] * length}


def per_token(row: dict[str, Any] | None, key: str = "median_ms") -> float | None:
    """Nanoseconds."""
    return None if row is None or "failed" in row else 1e6 * row[key] / row["tokens"]


def crossing(lengths: list[int], own: list[float | None], other: list[float | None]) -> float | None:
    """The length from which on ``other`` is slower, on a line between logarithms; None: nowhere, or from the start."""
    known = [(n, math.log(b / a)) for n, a, b in zip(lengths, own, other, strict=True) if a and b]
    for (short, before), (long, after) in itertools.pairwise(known):
        if before < 0 <= after:
            return math.exp(math.log(short) + math.log(long / short) * -before / (after - before))
    return None


def report(found: dict[str, Any], names: list[str], options: argparse.Namespace) -> None:
    lengths = options.lengths
    rows = {name: [found.get(f"{name} {n}") for n in lengths] for name in names}
    values = {name: [per_token(row) for row in rows[name]] for name in names}
    print(
        "\n| ns a token | "
        + " | ".join(map(str, lengths))
        + " | slowest / fastest |\n|---"
        + "|---" * (len(lengths) + 1)
        + "|"
    )
    for name in names:
        known = [v for v in values[name] if v]
        ratio = f"{max(known) / min(known):.2f}" if known else ""
        print(f"| {name} | " + " | ".join(f"{v:.1f}" if v else "-" for v in values[name]) + f" | {ratio} |")
        for row in rows[name]:
            if row and "failed" in row:
                print(f"  {name}: {row['failed'][:140]}")
    lines = []
    for name in names[1:]:
        at = crossing(lengths, values[names[0]], values[name])
        lines.append(
            f"{name} is slower than {names[0]} from {at:,.0f} positions on"
            if at
            else f"{name} and {names[0]} do not cross"
        )
        print(lines[-1])
    found["crossings"] = lines
    series = [
        (
            name,
            [
                None if row is None or "failed" in row
                else Point(per_token(row) or 0.0, per_token(row, "quarter_ms"), per_token(row, "three_quarters_ms"))
                for row in rows[name]
            ],
        )
        for name in names
    ]  # fmt: skip
    label = f"Time per token of one layer at {options.tokens:,} tokens, by length. " + ". ".join(lines) + "."
    ticks = [f"{n:,}" for n in lengths]
    save_plot(options.plot, curves("sequence-length", label, lengths, series, "positions", "ns a token", ticks=ticks))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--layer", action="append", help="default: mamba3=triton (CPU: mamba3=reference) and attention")
    parser.add_argument("--tokens", type=int, default=131_072)
    parser.add_argument("--lengths", default="1024,2048,4096,8192,16384,32768,65536")
    parser.add_argument("--d-model", type=int, default=512)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--seconds", type=float, default=2.0, help="of timing a point, beside compiling")
    parser.add_argument("--eager", action="store_true", help="do not compile")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--json", type=Path, default=Path("sequence_length.json"))
    parser.add_argument("--plot", type=Path, default=Path("sequence_length.svg"))
    options = parser.parse_args()
    options.lengths = [int(n) for n in options.lengths.split(",")]
    names = options.layer or ["mamba3=triton" if options.device == "cuda" else "mamba3=reference", "attention"]
    kept = Kept(options.json, options.again)
    found = kept.found
    found["machine"] = {
        "device": torch.cuda.get_device_name() if options.device == "cuda" else "cpu", "torch": torch.__version__,
    }  # fmt: skip
    for name in names:
        mixer, _, kernel = name.partition("=")
        for length in options.lengths:
            key = f"{name} {length}"
            row = kept.part(key, functools.partial(measure, mixer, kernel or "reference", length, options))
            print(f"{key}: {row.get('failed') or str(round(row['median_ms'], 3)) + ' ms'}", flush=True)
    report(found, names, options)
    kept.write()
    print(f"drawn: {options.plot}")


if __name__ == "__main__":
    keep_compiled()
    try:
        main()
    except GolfregError as error:
        sys.exit(f"error: {error.message}\nhint: {error.hint}")
