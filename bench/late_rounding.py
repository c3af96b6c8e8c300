"""What training at rounded weights does to the cost of rounding them: a small hybrid, trained with and without.

    python bench/late_rounding.py --corpus CORPUS --tokenizer TOKENIZER [--steps 300] [--bits 2,3,4] [--fraction 0.3]

For each width two runs of the same seed, of which one makes its last part at the weights that `int6` gives back at
that width. Scored are the first tokens of the validation data, with the trained weights and with what `int6` and
`gptq` make of them. The embedding has 8 bits throughout.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import tempfile
from pathlib import Path

from quantizers import Bench

from golfreg.builtin.quantizers.gptq import GptqConfig, gptq
from golfreg.builtin.quantizers.rowwise import RowwiseConfig, rowwise
from golfreg.config.job import Job
from golfreg.config.load import load_spec
from golfreg.data import stage as data_stage
from golfreg.runner.plan import make_plan
from golfreg.runner.rundir import create
from golfreg.train import stage as train_stage

SETTINGS = (
    "ruleset=parameter-golf-non-record", "train.device=cpu", "train.batch_tokens=1024", "architecture.n_layers=3",
    "architecture.d_model=96", "architecture.attention_layers=[1]", "mixer.headdim=32", "mixer.d_state=32",
    "mixer.attention.n_heads=3", "mixer.attention.n_kv_heads=3", "train.matrix_lr=0.02", "train.embedding_lr=0.02",
)  # fmt: skip


def trained(runs: Path, options: argparse.Namespace, bits: int, fraction: float) -> Bench:
    """A run of its own, as far as its weights."""
    sets = (
        *SETTINGS, f"train.steps={options.steps}", f"quantizer.bits={bits}", f"train.fake_quant_fraction={fraction}",
        f"train.threads={options.threads}", f"components.corpus={options.corpus}",
        f"data.tokenizer={options.tokenizer}",
    )  # fmt: skip
    plan = make_plan(load_spec(None, {}, sets)).plan
    run_dir = create(runs, plan)
    with contextlib.redirect_stdout(io.StringIO()):
        if not (plan.dataset_dir / "dataset.toml").exists():
            data_stage.run(Job(run_dir, plan))
        train_stage.run(Job(run_dir, plan))
    return Bench(run_dir, None, options.tokens, "lzma", options.moment_tokens)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--corpus", default="docstrings")
    parser.add_argument("--tokenizer", default="sp1024")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--bits", default="2,3,4")
    parser.add_argument("--fraction", type=float, default=0.3)
    parser.add_argument("--tokens", type=int, default=16_384)
    parser.add_argument("--moment-tokens", type=int, default=16_384)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    print(
        "| bits | rounded part of the run | trained weights | lost by int6 | lost by gptq | after int6 | after gptq |\n"
        "|---|---|---|---|---|---|---|"
    )
    with tempfile.TemporaryDirectory() as runs:
        plain = None
        for bits in map(int, options.bits.split(",")):
            for fraction in (0.0, options.fraction):
                bench = trained(Path(runs), options, bits, fraction) if fraction or plain is None else plain
                plain = plain if fraction else bench  # without rounding the width has no part in training
                with contextlib.redirect_stdout(io.StringIO()):
                    moments = bench.moments("train")
                    bench.add("int6", bits, rowwise, RowwiseConfig(bits=bits), {})
                    bench.add("gptq", bits, gptq, GptqConfig(bits=bits), moments)
                nearest, solved = (row["lost"] for row in bench.rows[-2:])
                print(
                    f"| {bits} | {fraction:.0%} | {bench.exact:.4f} | {nearest:+.4f} | {solved:+.4f} "
                    f"| {bench.exact + nearest:.4f} | {bench.exact + solved:.4f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
