"""Makes ``int8_baseline.json``: what the challenge's own script does to the tensors of ``int8_cases``.

    git clone https://github.com/openai/parameter-golf
    python tests/golden/int8_make.py parameter-golf/train_gpt.py > tests/golden/int8_baseline.json

Only the assignments and functions of its quantization part are run, not the script.
"""

import ast
import hashlib
import json
import os
import sys
from pathlib import Path

import numpy as np


def int8_cases():
    """Seeded tensors by name: matrices with outliers, a zero row and a constant row, large tensors that are no
    matrices, small ones and control tensors."""
    rng = np.random.default_rng(20260322)
    matrix = rng.standard_normal((300, 300)) * np.exp(rng.standard_normal((300, 1)))
    matrix[3] = 0.0
    matrix[4] = 0.7
    matrix[5, 7] = 1e4
    cases = {
        "blocks.0.attn.proj.weight": matrix,
        "blocks.0.mlp.fc.weight": 0.02 * rng.standard_normal((512, 256)),
        "tok_emb.weight": 0.005 * rng.standard_t(4, (1024, 128)),
        "conv.weight": rng.standard_normal((70, 10, 100)),
        "long.bias": 0.1 * rng.standard_normal(70_000),
        "zeros.weight": np.zeros((300, 300)),
        "small.weight": rng.standard_normal((64, 64)),
        "blocks.0.attn_scale": rng.standard_normal(512),
        "blocks.0.resid_mix": rng.standard_normal((2, 512)),
        "blocks.0.attn.q_gain": np.full(8, 1.5),
    }
    return {name: value.astype(np.float32) for name, value in cases.items()}


def digest(array):
    return {
        "dtype": str(array.dtype),
        "shape": list(array.shape),
        "sha256": hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest(),
        "first": [float(x) for x in array.reshape(-1)[:4]],
    }


def main():
    import torch

    source = Path(sys.argv[1]).read_text("utf-8")
    wanted = {"tensor_nbytes", "keep_float_tensor", "quantize_float_tensor", "quantize_state_dict_int8",
              "dequantize_state_dict_int8"}  # fmt: skip
    tree = ast.parse(source)
    tree.body = [
        n
        for n in tree.body
        if (isinstance(n, ast.FunctionDef) and n.name in wanted)
        or (isinstance(n, ast.Assign) and n.targets[0].id.startswith(("CONTROL_TENSOR", "INT8_")))
    ]
    space = {"torch": torch, "Tensor": torch.Tensor, "os": os}
    exec(compile(tree, sys.argv[1], "exec"), space)
    state = {name: torch.from_numpy(value) for name, value in int8_cases().items()}
    packed, _ = space["quantize_state_dict_int8"](state)
    decoded = space["dequantize_state_dict_int8"](packed)
    golden = {
        "made_from": hashlib.sha256(source.encode()).hexdigest(),
        "codes": {n: digest(t.numpy()) for n, t in packed["quantized"].items()},
        "scale": {n: digest(t.numpy()) for n, t in packed["scales"].items()},
        "raw": {n: digest(t.numpy()) for n, t in packed["passthrough"].items()},
        "decoded": {n: digest(t.numpy()) for n, t in decoded.items()},
    }
    json.dump(golden, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
