"""Make ``mamba3_reference.json``: what the published Mamba-3 SISO functions give on inputs by formula.

The functions ``mamba3_siso_step_ref`` and ``mamba3_siso_fwd_ref`` are taken by name out of the public
``tests/ops/triton/test_mamba3_siso.py`` (github.com/state-spaces/mamba), so that neither Triton nor
mamba_ssm is imported; einops must be importable. The arithmetic before them (softplus of dt, the two
forms of A, the norms of B and C) is here as ``mamba_ssm/modules/mamba3.py`` states it. Float32 on the CPU.

    python tests/golden/make_mamba3_reference.py PATH/test_mamba3_siso.py
"""

from __future__ import annotations

import ast
import hashlib
import json
import math
import sys
from pathlib import Path
from typing import Any, Optional

import torch
import torch.nn.functional as F

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
import formula  # noqa: E402

BATCH, LENGTH, HEADS, HEADDIM, STATE, GROUPS, ANGLES = 2, 70, 2, 4, 8, 1, 2
CASES = (("softplus", False), ("heavy_tail", False), ("softplus", True))
"""(form of A, whether a state comes in)"""


def published(path: Path) -> dict[str, Any]:
    """The file's functions that are needed, and nothing else of it."""
    from einops import rearrange, repeat

    tree = ast.parse(path.read_text())
    wanted = {"_segsum", "mamba3_siso_step_ref", "mamba3_siso_fwd_ref"}
    tree.body = [n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name in wanted]
    names: dict[str, Any] = {
        "torch": torch, "F": F, "math": math, "rearrange": rearrange, "repeat": repeat,
        "Optional": Optional, "Tuple": tuple,
    }  # fmt: skip
    exec(compile(tree, str(path), "exec"), names)
    return names


def make(name: str, *shape: int, scale: float = 1.0, mean: float = 0.0) -> torch.Tensor:
    return torch.from_numpy(formula.values(name, shape, scale=scale, mean=mean)).float()


def inputs(a_form: str, continued: bool) -> dict[str, Any]:
    """Arguments of the op ``mamba3_siso``."""
    width = 2 * HEADS * HEADDIM + 2 * GROUPS * STATE + 3 * HEADS + ANGLES
    state = None
    if continued:
        state = (
            make("phi", BATCH, HEADS, ANGLES, scale=3.0, mean=3.0),
            make("h", BATCH, HEADS, HEADDIM, STATE),
            make("k", BATCH, HEADS, STATE),
            make("v", BATCH, HEADS, HEADDIM),
        )
    return {
        "projected_BTP": make("projected", BATCH, LENGTH, width, scale=2.0),
        "dt_bias_H": make("dt_bias", HEADS, mean=-2.0),
        "B_bias_HN": make("B_bias", HEADS, STATE, scale=0.5, mean=1.0),
        "C_bias_HN": make("C_bias", HEADS, STATE, scale=0.5, mean=1.0),
        "B_norm_N": make("B_norm", STATE, scale=0.3, mean=1.0),
        "C_norm_N": make("C_norm", STATE, scale=0.3, mean=1.0),
        "D_H": make("D", HEADS, scale=0.5, mean=1.0),
        "initial_state": state,
        "headdim": HEADDIM, "d_state": STATE, "ngroups": GROUPS, "n_angles": ANGLES,
        "chunk_size": 16, "a_form": a_form, "a_floor": 1e-4, "norm_eps": 1e-5, "return_state": True,
    }  # fmt: skip


def arguments(op: dict[str, Any]) -> dict[str, Any]:
    """The published functions' arguments from the op's."""
    inner, bc = HEADS * HEADDIM, GROUPS * STATE
    z, x, B, C, dt, A, trap, angle = op["projected_BTP"].split([inner, inner, bc, bc, HEADS, HEADS, HEADS, ANGLES], -1)
    heavy_tail = torch.where(A >= 0, 1 + A, 1 / (1 - A.clamp_max(0)))
    A = -(F.softplus(A) if op["a_form"] == "softplus" else heavy_tail)
    DT = F.softplus(dt + op["dt_bias_H"])

    def norm(x_BTS: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        x_BTGN = x_BTS.reshape(BATCH, LENGTH, GROUPS, STATE)
        return x_BTGN / (x_BTGN.square().mean(-1, keepdim=True) + op["norm_eps"]).sqrt() * weight

    return {
        "Q": norm(C, op["C_norm_N"]),
        "K": norm(B, op["B_norm_N"]),
        "V": x.reshape(BATCH, LENGTH, HEADS, HEADDIM),
        "ADT": (A.clamp_max(-op["a_floor"]) * DT).transpose(1, 2),
        "DT": DT.transpose(1, 2),
        "Trap": trap.transpose(1, 2),
        "Q_bias": op["C_bias_HN"],
        "K_bias": op["B_bias_HN"],
        "Angles": angle.unsqueeze(2).expand(-1, -1, HEADS, -1),
        "D": op["D_H"],
        "Z": z.reshape(BATCH, LENGTH, HEADS, HEADDIM),
    }


def digits(x: torch.Tensor) -> list[float]:
    return [float(f"{value:.9g}") for value in x.flatten().tolist()]


def main() -> None:
    path = Path(sys.argv[1])
    torch.set_num_threads(1)
    names = published(path)
    cases = []
    for a_form, continued in CASES:
        op = inputs(a_form, continued)
        given = arguments(op)
        y, state = names["mamba3_siso_step_ref"](**given, Input_States=op["initial_state"])
        again, _ = names["mamba3_siso_fwd_ref"](**given, Initial_States=op["initial_state"])
        assert torch.allclose(y, again, rtol=1e-4, atol=1e-5), "the published functions disagree with each other"
        # Every seventh position of the output, all of the state: enough to notice any change.
        cases.append({
            "a_form": a_form,
            "continued": continued,
            "y": digits(y.flatten(2)[:, ::7]),
            "state": [digits(x) for x in state],
        })  # fmt: skip
    result = {
        "command": "python tests/golden/make_mamba3_reference.py test_mamba3_siso.py",
        "source": "github.com/state-spaces/mamba tests/ops/triton/test_mamba3_siso.py, mamba3_siso_step_ref",
        "source_sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "torch": torch.__version__,
        "cases": cases,
    }
    (HERE / "mamba3_reference.json").write_text(json.dumps(result) + "\n")


if __name__ == "__main__":
    main()
