"""What ``golfreg kernels inspect`` compiles of golfreg's Triton kernels of ``mamba3_siso``."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch

from golfreg.builtin.kernels.mamba3_triton_launch import Sizes, run_backward, run_forward, state_shapes


def configurations() -> dict[str, Callable[[], object]]:
    """Head 64, chunk 64, state 64 unless the name says otherwise."""
    return {
        "bfloat16": partial(_launch, torch.bfloat16),
        "bfloat16, documents and state": partial(_launch, torch.bfloat16, carried=True),
        "bfloat16, state 128": partial(_launch, torch.bfloat16, d_state=128),
        "float32": partial(_launch, torch.float32),
    }


def _launch(dtype: torch.dtype, *, d_state: int = 64, carried: bool = False) -> None:
    """Forward and backward over 32 x 4096 positions and 16 heads of nothing."""
    s = Sizes(B=32, T=4096, H=16, P=64, G=1, N=d_state, R=d_state // 4, C=64, heavy=False, a_floor=1e-4, eps=1e-5)

    def new(*shape: int, kind: torch.dtype = torch.float32) -> torch.Tensor:
        return torch.empty(shape, dtype=kind, device="meta")

    weights = new(s.H), new(s.H, s.N), new(s.H, s.N), new(s.N), new(s.N), new(s.H)
    starts = new(s.B, s.T, kind=torch.bool) if carried else None
    state = tuple(new(*shape) for shape in state_shapes(s)) if carried else None
    projected = new(s.B, s.T, s.dt_col + 3 * s.H + s.R, kind=dtype)
    out, _, kept = run_forward(s, projected, *weights, starts, state, carried)
    run_backward(s, projected, *weights, starts, state, kept, out, state)
