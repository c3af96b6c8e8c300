"""What ``--fit`` chooses for a trained model at several caps, against one width everywhere at the same bytes.

    python bench/fit.py RUN_DIR [--checkpoint FILE] [--quantizer gptq] [--codec lzma] [--caps 900000,1300000]

Caps are of the coded weights alone. The uniform row has the same bits in every role, 8 for embeddings, and the clips of
all matrices grow together until it lands at the same bytes.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from quantizers import Bench, checkpoint_parser

from golfreg.api import Budget, Section
from golfreg.config.plan import Chosen
from golfreg.pack.attribution import section_bytes, totals
from golfreg.pack.fit import fit
from golfreg.registry.resolve import load, resolve
from golfreg.registry.settings import config_values, make_config


def main() -> None:
    parser = checkpoint_parser(__doc__)
    parser.add_argument("--quantizer", default="gptq")
    parser.add_argument("--codec", default="lzma")
    parser.add_argument("--caps", default="900000,1300000")
    options = parser.parse_args()
    bench = Bench(options.run_dir, options.checkpoint, options.tokens, options.codec, options.moment_tokens)
    moments, codec = bench.moments("train"), bench.codec
    component = resolve("quantizer", options.quantizer)
    target = load(component)
    config = config_values(make_config(target, dict(component.descriptor.defaults), options.quantizer))  # type: ignore[attr-defined]
    chosen = Chosen("quantizer", component.name, component.target, "", "", "", config)

    def measure(sections: list[Section]) -> tuple[int, dict[str, int]]:
        layouts = [s.layout for s in sections]
        streams = codec.encode(sections, codec.Config())
        shares = [size for size, _ in section_bytes(layouts, streams, [s.data for s in sections])]
        return sum(shares), totals(layouts, shares, lambda y: y.role)

    def quantize(one: Chosen, cap: int) -> list[Section]:
        costs = getattr(codec, "cost_table", None)
        budget = Budget(cap, lambda s: measure(s)[0], "cpu", costs and (lambda s: costs(s, codec.Config())), print)
        found: list[Section] = target.quantize(
            bench.weights, bench.roles, {"input_second_moment": moments}, budget, one.make_config()
        )
        return found

    def lost(sections: list[Section]) -> float:
        bench.put(target.dequantize(sections, chosen.make_config()))
        return bench.bits_per_byte() - bench.exact

    def uniform(cap: int, clip_std: float) -> Any:
        one = dataclasses.replace(chosen, config={**config, "clip_std": clip_std, "embedding_clip_std": 1.6 * clip_std})
        sections = quantize(one, cap)
        return measure(sections)[0], sections

    for cap in map(int, options.caps.split(",")):
        found = fit(
            chosen, bench.weights, bench.roles, cap, lambda one, cap=cap: quantize(one, cap),
            lambda one, sections: measure(sections), print,
        )  # fmt: skip
        print(f"| fit | {cap:,} | {found.facts['bytes']:,} | {lost(found.sections):+.4f} | {found.facts['roles']}")
        low, high = 4.0, 64.0
        for _ in range(6):
            middle = (low * high) ** 0.5
            size, sections = uniform(found.facts["bytes"], middle)
            low, high = (middle, high) if size > found.facts["bytes"] else (low, middle)
        print(f"| 6 bits everywhere | {cap:,} | {size:,} | {lost(sections):+.4f} | clip_std {middle:.3g}", flush=True)


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    main()
