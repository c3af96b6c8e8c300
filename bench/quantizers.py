"""What quantizers cost a trained model, at equal bits: bits per byte and coded bytes, on the model of a run.

    python bench/quantizers.py RUN_DIR [--checkpoint FILE] [--tokens 32768] [--moment-tokens 65536] [--bits 3,4,5,6]

Weights are those of RUN_DIR/model.safetensors, or of a checkpoint of it. Scored are the first tokens of the run's
validation data, in fixed windows; the second moments are of training tokens, or of what a row says.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from golfreg.api import Budget, Section
from golfreg.builtin.quantizers.gptq import GptqConfig, gptq
from golfreg.builtin.quantizers.rowwise import RowwiseConfig, rowwise
from golfreg.config.plan import read_plan
from golfreg.data.dataset import open_dataset
from golfreg.data.loader import Loader
from golfreg.registry.resolve import load, resolve
from golfreg.score.evaluate import Scored, evaluate
from golfreg.score.windows import parse_windows
from golfreg.train.calibrate import input_second_moment
from golfreg.train.calibration_tokens import drawn_batches
from golfreg.train.files import read_tensors
from golfreg.train.stage import build, prepare_process

RECURRENCE = {"in_proj": {"dt": {"bits": 8}, "A": {"bits": 8}}}


class Bench:
    """The model, its validation tokens, and a table of what was tried."""

    def __init__(self, run_dir: Path, checkpoint: Path | None, tokens: int, codec: str, moment_tokens: int) -> None:
        self.plan = read_plan(run_dir / "plan.toml")
        prepare_process(self.plan)
        self.dataset = open_dataset(self.plan.dataset_dir)
        self.model = build(self.plan, self.dataset).eval()
        self.roles = self.plan.architecture.load().roles(self.model)
        held, _ = read_tensors(checkpoint or run_dir / "model.safetensors")
        self.weights = {n: held[f"weight/{n}" if checkpoint else n] for n, _ in self.model.named_parameters()}
        self.put(self.weights)
        self.tokens = self.dataset.validation_tokens()[: tokens + 1]
        self.codec = load(resolve("codec", codec))
        self.moment_tokens = moment_tokens
        self.rows: list[dict[str, Any]] = []
        self.exact = self.bits_per_byte()

    @torch.no_grad()
    def put(self, weights: dict[str, torch.Tensor]) -> None:
        for name, parameter in self.model.named_parameters():
            parameter.copy_(weights[name])

    def bits_per_byte(self) -> float:
        plan, settings = self.plan, self.plan.spec.score
        length = settings.sequence_length or plan.spec.train.sequence_length
        scored = Scored(self.model, "the model", self.dataset.vocab_size, torch.device(plan.device))
        windows = parse_windows("fixed", length)
        table, bos_id = self.dataset.byte_table, self.dataset.bos_id
        return evaluate(scored, self.tokens, table, windows, settings.batch_tokens, bos_id).score().bits_per_byte

    def moments(self, source: str) -> dict[str, torch.Tensor]:
        train, dataset = self.plan.spec.train, self.dataset
        self.put(self.weights)
        if source == "train":
            batch = 16 * train.sequence_length
            loader = Loader(dataset.train_shards, batch, train.sequence_length, seed=1)
            batches = [torch.from_numpy(loader.next()[0]) for _ in range(max(1, self.moment_tokens // batch))]
        else:
            batches = drawn_batches(
                source, self.model, tokens=self.moment_tokens, batch_tokens=16 * train.sequence_length,
                window=train.sequence_length, vocab_size=dataset.vocab_size, bos_id=dataset.bos_id, seed=1,
                device=self.plan.device,
            )  # fmt: skip
        return input_second_moment(self.model, self.roles, batches)

    def add(self, what: str, bits: int, target: Any, config: Any, moments: dict[str, torch.Tensor]) -> None:
        """Quantize, code, decode and score."""
        budget = Budget(16_000_000, lambda sections: 0, self.plan.device)
        statistics = {"input_second_moment": moments}
        sections: list[Section] = target.quantize(self.weights, self.roles, statistics, budget, config)
        coded = sum(len(stream.data) for stream in self.codec.encode(sections, self.codec.Config()))
        self.put(target.dequantize(sections, config))
        row = {"what": what, "bits": bits, "bytes": coded, "lost": self.bits_per_byte() - self.exact}
        self.rows.append(row)
        print(f"| {what} | {bits} | {coded:,} | {row['lost']:+.4f} |", flush=True)


def checkpoint_parser(what: str | None) -> argparse.ArgumentParser:
    """The options that choose a trained model, and the tokens that it is measured and calibrated on."""
    parser = argparse.ArgumentParser(description=what)
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--checkpoint", type=Path)
    parser.add_argument("--tokens", type=int, default=32_768)
    parser.add_argument("--moment-tokens", type=int, default=65_536)
    return parser


def main() -> None:
    parser = checkpoint_parser(__doc__)
    parser.add_argument("--bits", default="3,4,5,6")
    parser.add_argument("--codec", default="lzma")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    bench = Bench(options.run_dir, options.checkpoint, options.tokens, options.codec, options.moment_tokens)
    parameters = sum(weight.numel() for weight in bench.weights.values())
    print(f"{parameters:,} parameters, {bench.exact:.4f} bits per byte before quantization\n")
    print("| quantizer | bits | coded bytes | bits per byte lost |\n|---|---|---|---|")
    moments = {source: bench.moments(source) for source in ("train", "generated", "random")}
    for bits in map(int, options.bits.split(",")):
        bench.add("int6", bits, rowwise, RowwiseConfig(bits=bits), {})
        bench.add("gptq", bits, gptq, GptqConfig(bits=bits), moments["train"])
        bench.add("gptq, clip_search", bits, gptq, GptqConfig(bits=bits, clip_search=True), moments["train"])
        bench.add("gptq, dt and A at 8 bits", bits, gptq, GptqConfig(bits=bits, overrides=RECURRENCE), moments["train"])
        for source in ("generated", "random"):
            bench.add(f"gptq, {source} tokens", bits, gptq, GptqConfig(bits=bits), moments[source])
    if options.json:
        options.json.write_text(json.dumps({"exact": bench.exact, "rows": bench.rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
