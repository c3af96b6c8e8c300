"""Seconds that ``gptq`` takes for the matrices of the 25M Mamba-3 hybrid, on random weights and second moments.

    python bench/gptq_time.py [--device cpu|cuda] [--threads 2] [--clip-search]

7 layers of width 512, attention at layers 2 and 5, MLP 3x, tied embeddings: 25.2M parameters.
"""

from __future__ import annotations

import argparse
import time

import torch

from golfreg.api import Budget, Role
from golfreg.builtin.kernels.mamba3_siso import projection_rows
from golfreg.builtin.quantizers.gptq import GptqConfig, gptq

WIDTH, LAYERS, VOCABULARY = 512, 7, 8192


def shapes() -> dict[str, tuple[Role, int, int]]:
    """Role, rows and columns of every matrix."""
    found = {"embedding.weight": (Role("embedding"), VOCABULARY, WIDTH)}
    rows = projection_rows(n_heads=16, headdim=64, d_state=64, ngroups=1, n_angles=16)
    for i in range(LAYERS):
        at = f"blocks.{i}"
        if i in (2, 5):
            found[f"{at}.mixer.q_proj.weight"] = (Role("qkv"), WIDTH, WIDTH)
            found[f"{at}.mixer.k_proj.weight"] = (Role("qkv"), WIDTH // 2, WIDTH)
            found[f"{at}.mixer.v_proj.weight"] = (Role("qkv"), WIDTH // 2, WIDTH)
            found[f"{at}.mixer.out_proj.weight"] = (Role("out"), WIDTH, WIDTH)
        else:
            found[f"{at}.mixer.in_proj.weight"] = (Role("in_proj", rows), sum(n for _, n in rows), WIDTH)
            found[f"{at}.mixer.out_proj.weight"] = (Role("out"), WIDTH, 2 * WIDTH)
        found[f"{at}.mlp.up.weight"] = (Role("mlp_up"), 3 * WIDTH, WIDTH)
        found[f"{at}.mlp.down.weight"] = (Role("mlp_down"), WIDTH, 3 * WIDTH)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clip-search", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    generator = torch.Generator().manual_seed(0)
    matrices = shapes()
    state, moments = {}, {}
    for name, (_, rows, columns) in matrices.items():
        state[name] = torch.randn(rows, columns, generator=generator) * 0.02
        x_NC = torch.randn(2 * columns, columns, generator=generator) * torch.rand(columns, generator=generator)
        moments[name] = x_NC.T @ x_NC / len(x_NC)
    roles = {name: role for name, (role, _, _) in matrices.items()}
    config = GptqConfig(clip_search=options.clip_search, overrides={"in_proj": {"dt": 8, "A": 8}})
    budget = Budget(16_000_000, lambda sections: 0, options.device)
    if options.device == "cuda":  # the first use of the libraries is no part of the work
        small = {name: state[name][:64] for name in ("blocks.0.mlp.up.weight",)}
        gptq.quantize(small, roles, {"input_second_moment": moments}, budget, GptqConfig(raw_elements=0))
    begun, used = time.perf_counter(), time.process_time()
    sections = gptq.quantize(state, roles, {"input_second_moment": moments}, budget, config)
    seconds, used = time.perf_counter() - begun, time.process_time() - used
    parameters = sum(weight.numel() for weight in state.values())
    where = torch.cuda.get_device_name() if options.device == "cuda" else f"{options.threads} threads"
    print(
        f"{parameters:,} parameters, {len(matrices)} matrices, {len(sections)} sections, {where}: {seconds:.1f} s, "
        f"{used:.1f} s of processor time"
    )


if __name__ == "__main__":
    main()
