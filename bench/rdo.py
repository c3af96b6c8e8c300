"""Bytes against what quantization costs a trained model: gptq and rdo, coded by golf and by brotli.

    python bench/rdo.py RUN_DIR [--checkpoint FILE] [--tokens 32768] [--clips 6,8,10,13,16] [--prices 0.1,0.2]

Every clip is one point of gptq's curve, and with every price one of rdo's, with `--dependent` one of its dependent
codes too. The error is the Hessian-weighted one of each matrix relative to its output, as its mean over the matrices.
Last come the bytes of every curve over those of gptq and brotli, log-linear between points: at equal error, and at
equal bits per byte lost, which needs many `--tokens`.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import brotli
import numpy as np
import torch
from quantizers import Bench, checkpoint_parser

from golfreg.api import Budget, Section
from golfreg.api.codec import little_endian_bytes
from golfreg.builtin.quantizers.gptq import GptqConfig, gptq
from golfreg.builtin.quantizers.gptq_solve import weighted_error
from golfreg.builtin.quantizers.rdo import RdoConfig, rdo


def brotli_bytes(sections: list[Section]) -> int:
    """The sections in one stream for each part and role, as a codec of bytes codes them, at brotli's strongest."""

    def kind(section: Section) -> tuple[Any, ...]:
        layout = section.layout
        return layout.part, layout.role if layout.part == "codes" else "", layout.dtype, layout.alphabet or ()

    groups = [b"".join(map(little_endian_bytes, g)) for _, g in groupby(sorted(sections, key=kind), kind)]
    return sum(len(brotli.compress(data, quality=11, lgwin=24)) for data in groups)


def compare(rows: list[dict[str, Any]], by: str, said: str) -> None:
    """Bytes with golf over those of gptq and brotli at an equal ``by``, where gptq's points reach."""

    def known(row: dict[str, Any]) -> bool:
        return bool(row[by] > 0)

    base = sorted((math.log(r[by]), math.log(r["brotli"])) for r in rows if r["what"] == "gptq" and known(r))
    print(f"\n| at equal {said}, of the bytes of gptq and brotli | clip_std: golf |\n|---|---|")
    for what in dict.fromkeys(r["what"] for r in rows):
        found = []
        for r in rows:
            if r["what"] == what and known(r) and base and base[0][0] <= math.log(r[by]) <= base[-1][0]:
                same = math.exp(np.interp(math.log(r[by]), [x for x, _ in base], [y for _, y in base]))
                found.append(f"{r['clip_std']:g}: {r['golf'] / same:.3f}")
        print(f"| {what} | {', '.join(found)} |")


def main() -> None:
    parser = checkpoint_parser(__doc__)
    parser.add_argument("--bits", type=int, default=6)
    parser.add_argument("--embedding-clip-std", type=float, default=0.0)
    parser.add_argument("--clips", default="6,8,10,13,16")
    parser.add_argument("--prices", default="0.1,0.2")
    parser.add_argument("--dependent", action="store_true")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    bench = Bench(options.run_dir, options.checkpoint, options.tokens, "golf", options.moment_tokens)
    moments = bench.moments("train")
    codec = bench.codec
    budget = Budget(1 << 40, lambda sections: 0, "cpu", lambda section: codec.cost_table(section, None))
    print(f"{sum(w.numel() for w in bench.weights.values()):,} parameters, {bench.exact:.4f} bits per byte\n")
    print(
        "| quantizer | clip_std | golf | brotli | relative error | bits per byte lost | s |\n"
        "|---|---|---|---|---|---|---|"
    )
    rows: list[dict[str, Any]] = []
    for clip in map(float, options.clips.split(",")):
        settings: dict[str, Any] = {"bits": options.bits, "clip_std": clip}
        # The embedding's step goes with the others'.
        settings["embedding_clip_std"] = options.embedding_clip_std * clip
        tries: list[tuple[str, Any, Any]] = [("gptq", gptq, GptqConfig(**settings))]
        tries += [(f"rdo {p}", rdo, RdoConfig(price=float(p), **settings)) for p in options.prices.split(",")]
        if options.dependent:
            tries += [(f"{what}, dependent", rdo, replace(config, dependent=True)) for what, _, config in tries[1:]]
        for what, target, config in tries:
            begun = time.monotonic()
            sections = target.quantize(bench.weights, bench.roles, {"input_second_moment": moments}, budget, config)
            seconds = time.monotonic() - begun
            found = target.dequantize(sections, config)
            errors = [
                float(weighted_error(found[n] - w, moments[n]).sum() / weighted_error(w, moments[n]).sum())
                for n, w in bench.weights.items()
                if n in moments
            ]
            bench.put(found)
            row = {
                "what": what,
                "clip_std": clip,
                "golf": sum(len(stream.data) for stream in codec.encode(sections, None)),
                "brotli": brotli_bytes(sections),
                "error": sum(errors) / len(errors),
                "lost": bench.bits_per_byte() - bench.exact,
            }
            rows.append(row)
            print(
                f"| {what} | {clip:g} | {row['golf']:,} | {row['brotli']:,} | {row['error']:.3e} "
                f"| {row['lost']:+.4f} | {seconds:.0f} |",
                flush=True,
            )
    compare(rows, "error", "error")
    compare(rows, "lost", "loss of bits per byte")
    if options.json:
        options.json.write_text(json.dumps({"exact": bench.exact, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
