"""Is it worth fusing the gate's gradient into the kernel of dq, dk and dv? The published experiment, repeated.

    python bench/kernel_fusion.py --compile-only           # registers, spills and shared memory on sm_90, without a GPU
    python bench/kernel_fusion.py [--json FILE]            # on a GPU: equal bits, times, the configuration that is best

Backward of a Mamba-3 SISO layer between its rotated queries and keys and its gated output, in three ways:

1. two launches: ``gate`` writes dz and dy = dout silu(z), then ``dqkv`` walks the chunks backwards and reads dy;
2. one launch: ``dqkv`` reads dout, z and y instead, and computes dy and dz before it goes on (a prologue in the loop).

3. as 2, with the prologue before everything else in the loop, and dy pinned: computed once, and not again in each
   register layout that one of its five consumers likes.

The second and third move less (dy is neither written nor read), and their loop holds two more tiles. All are the same
source, so that one constant is all that differs. Sequential over chunks as mamba_ssm's kernel is; golfreg's own
backward pass is cut in another way (``mamba3_triton_backward``), with the gate as the prologue of dq.

B batch, T time (a multiple of C), H heads, P head width, N state, C chunk; K = T / C chunks. Per head::

    y_t = exp(L_t) S_K q_t + sum_{s<t in chunk} exp(L_t - L_s) (q_t k_s) v_s + D v_t        out_t = y_t silu(z_t)
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
from pathlib import Path
from typing import Any

import torch
import triton
import triton.language as tl

from golfreg.builtin.kernels.mamba3_triton_common import pin

Tensor = torch.Tensor
WAYS = {"two launches": 0, "fused": 1, "fused, pinned": 2}
INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
CONFIGS = tuple({"num_warps": w, "STAGES": s} for w, s in itertools.product((4, 8), (1, 2, 3)))


@triton.jit
def gate_gradient(y, z, dout):
    """(dy, dz)"""
    s = tl.sigmoid(z)
    return dout * z * s, dout * y * s * (1.0 + z * (1.0 - s))


@triton.jit
def gate_kernel(y_at, z_at, dout_at, dy_at, dz_at, n, BLOCK: tl.constexpr):
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    here = at < n
    y = tl.load(y_at + at, mask=here, other=0.0).to(tl.float32)
    z = tl.load(z_at + at, mask=here, other=0.0).to(tl.float32)
    dy, dz = gate_gradient(y, z, tl.load(dout_at + at, mask=here, other=0.0).to(tl.float32))
    tl.store(dy_at + at, dy.to(dy_at.dtype.element_ty), mask=here)
    tl.store(dz_at + at, dz.to(dz_at.dtype.element_ty), mask=here)


@triton.jit
def dqkv_kernel(
    q_at, k_at, v_at, decay_at, states_at, D_at, dy_at, y_at, z_at, dq_at, dk_at, dv_at, dz_at, ddecay_at, T, n_chunks,
    H: tl.constexpr, P: tl.constexpr, N: tl.constexpr, C: tl.constexpr, FUSED: tl.constexpr, PRECISION: tl.constexpr,
    STAGES: tl.constexpr, PIN: tl.constexpr,
):  # fmt: skip
    """dq, dk, dv and the gradient of L, of one head; unless ``FUSED`` is 0, ``dy_at`` is dout and dz is written too."""
    head = tl.program_id(0)
    bh = tl.program_id(1).to(tl.int64) * H + head
    DT: tl.constexpr = q_at.dtype.element_ty
    i = tl.arange(0, C)
    n = tl.arange(0, N)
    p = tl.arange(0, P)
    keys = i[:, None] * N + n[None, :]
    values = i[:, None] * P + p[None, :]
    D = tl.load(D_at + head).to(tl.float32)
    acc = tl.zeros((P, N), tl.float32)
    for step in tl.range(0, n_chunks, num_stages=STAGES):
        chunk = n_chunks - 1 - step
        start = bh * T + chunk * C
        if FUSED == 2:
            y = tl.load(y_at + start * P + values).to(tl.float32)
            z = tl.load(z_at + start * P + values).to(tl.float32)
            dout = tl.load(dy_at + start * P + values).to(tl.float32)
            dy_exact, dz = gate_gradient(y, z, dout)
            tl.store(dz_at + start * P + values, dz.to(DT))
            dy = pin(dy_exact.to(DT), PIN)
            tl.debug_barrier()
        q = tl.load(q_at + start * N + keys)
        k = tl.load(k_at + start * N + keys)
        v = tl.load(v_at + start * P + values)
        state = tl.load(states_at + (bh * n_chunks + chunk) * P * N + p[:, None] * N + n[None, :])
        decay = tl.load(decay_at + start + i)
        end = tl.load(decay_at + start + C - 1)
        if FUSED == 1:
            y = tl.load(y_at + start * P + values).to(tl.float32)
            z = tl.load(z_at + start * P + values).to(tl.float32)
            dout = tl.load(dy_at + start * P + values).to(tl.float32)
            dy_exact, dz = gate_gradient(y, z, dout)
            tl.store(dz_at + start * P + values, dz.to(DT))
            dy = dy_exact.to(DT)
        if FUSED == 0:
            dy = tl.load(dy_at + start * P + values)
        ratio = tl.where(i[None, :] < i[:, None], tl.exp(decay[:, None] - decay[None, :]), 0.0)
        weight = (tl.dot(q, tl.trans(k), input_precision=PRECISION) * ratio).to(DT)
        dweight = (tl.dot(dy, tl.trans(v), input_precision=PRECISION) * ratio).to(DT)
        entering = tl.exp(decay)[:, None]
        leaving = tl.exp(end - decay)[:, None]
        dstate = acc.to(DT)
        dq = tl.dot(dy, state, input_precision=PRECISION) * entering
        dq = tl.dot(dweight, k, acc=dq, input_precision=PRECISION)
        dk = tl.dot(v, dstate, input_precision=PRECISION) * leaving
        dk = tl.dot(tl.trans(dweight), q, acc=dk, input_precision=PRECISION)
        dv = tl.dot(k, tl.trans(dstate), input_precision=PRECISION) * leaving + D * dy.to(tl.float32)
        dv = tl.dot(tl.trans(weight), dy, acc=dv, input_precision=PRECISION)
        tl.store(dq_at + start * N + keys, dq.to(DT))
        tl.store(dk_at + start * N + keys, dk.to(DT))
        tl.store(dv_at + start * P + values, dv.to(DT))
        ddecay = tl.sum(q.to(tl.float32) * dq, 1) - tl.sum(k.to(tl.float32) * dk, 1)
        tl.store(ddecay_at + start + i, ddecay)
        acc = tl.dot(
            tl.trans(dy), (q.to(tl.float32) * entering).to(DT), acc=acc * tl.exp(end), input_precision=PRECISION
        )


def backward(given: dict[str, Tensor], *, fused: int, chunk: int = 64, **config: int) -> dict[str, Tensor]:
    """dq, dk, dv, dz and the rows' part of the gradient of L.

    ``fused``: of ``WAYS``; ``config``: num_warps and STAGES of ``dqkv``.
    """
    q, v = given["q"], given["v"]
    B, H, T, N = q.shape
    P = v.size(-1)
    made = {name: torch.empty_like(given[name[1:]]) for name in ("dq", "dk", "dv", "dz")}
    made["ddecay"] = torch.empty_like(given["decay"])
    dy = given["dout"]
    if not fused:
        dy = torch.empty_like(v)
        blocks = (triton.cdiv(v.numel(), 1024),)
        gate_kernel[blocks](given["y"], given["z"], given["dout"], dy, made["dz"], v.numel(), BLOCK=1024, num_warps=4)
    dqkv_kernel[(H, B)](
        q, given["k"], v, given["decay"], given["states"], given["D"], dy, given["y"], given["z"],
        made["dq"], made["dk"], made["dv"], made["dz"], made["ddecay"], T, T // chunk,
        H=H, P=P, N=N, C=chunk, FUSED=fused, PRECISION="tf32x3", PIN=not INTERPRETED, **config,
    )  # fmt: skip
    return made


def forward(q: Tensor, k: Tensor, v: Tensor, z: Tensor, steps: Tensor, D: Tensor, chunk: int) -> dict[str, Tensor]:
    """The plain form: out, y before its gate, L summed within chunks, and the states that enter them."""
    B, H, T, N = q.shape
    q, k, v = (x.unflatten(2, (T // chunk, chunk)) for x in (q, k, v))
    decay = steps.unflatten(2, (T // chunk, chunk)).cumsum(-1)
    seen = torch.ones(chunk, chunk, dtype=torch.bool, device=q.device).tril(-1)
    ratio = (decay.unsqueeze(-1) - decay.unsqueeze(-2)).masked_fill(~seen, -torch.inf).exp()
    leaving = (decay[..., -1:] - decay).exp().unsqueeze(-1)
    state, states = q.new_zeros(B, H, v.size(-1), N), []
    for each in range(T // chunk):
        states.append(state)
        added = v[:, :, each].mT @ (k[:, :, each] * leaving[:, :, each])
        state = state * decay[:, :, each, -1].exp()[..., None, None] + added
    entering = torch.stack(states, 2)
    y = decay.exp().unsqueeze(-1) * (q @ entering.mT) + (q @ k.mT * ratio) @ v + D.view(1, -1, 1, 1, 1) * v
    y = y.flatten(2, 3)
    return {"out": y * torch.nn.functional.silu(z), "y": y, "decay": decay.flatten(2, 3), "states": entering}


def make(device: str, dtype: torch.dtype, B: int, T: int, H: int, P: int = 64, N: int = 64, chunk: int = 64) -> Any:
    """Random inputs of ``backward``; where the device is real, y, L and states are those of ``forward``."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(device, dtype)

    given = {"q": normal(B, H, T, N) / 8, "k": normal(B, H, T, N), "v": normal(B, H, T, P), "z": normal(B, H, T, P)}
    given |= {"dout": normal(B, H, T, P), "D": torch.ones(H, device=device)}
    steps = -torch.rand(B, H, T, generator=generator).to(device) * 0.1
    real = {name: x.float() for name, x in given.items()}
    found = forward(real["q"], real["k"], real["v"], real["z"], steps, given["D"], chunk)
    return {**given, "y": found["y"].to(dtype), "decay": found["decay"], "states": found["states"].to(dtype)}, steps


def compiled() -> list[dict[str, Any]]:
    """What each configuration takes of an H100."""
    from golfreg.kernels.inspect import compiled as compile_one
    from golfreg.kernels.inspect import launches_of

    def new(*shape: int, kind: torch.dtype = torch.bfloat16) -> Tensor:
        return torch.empty(shape, dtype=kind, device="meta")

    given = {name: new(32, 16, 4096, 64) for name in ("q", "k", "v", "z", "y", "dout")}
    given |= {"decay": new(32, 16, 4096, kind=torch.float32), "states": new(32, 16, 64, 64, 64), "D": new(16)}
    found = []
    for (way, fused), config in itertools.product(WAYS.items(), CONFIGS):
        launch = launches_of(lambda f=fused, c=config: backward(given, fused=f, **c), "dqkv")[-1]
        usage = compile_one(launch, 90)
        found.append({"way": way, **config, "registers": usage.registers, "spilled_bytes": usage.spilled_bytes,
                      "shared_bytes": usage.shared_bytes, "programs": usage.programs})  # fmt: skip
        print(" ".join(f"{name} {value}" for name, value in found[-1].items()), flush=True)
    return found


def measured() -> dict[str, Any]:
    """Equal bits, and the time of both ways in every configuration that fits."""
    from golfreg.kernels.timing import timed

    given, _ = make("cuda", torch.bfloat16, 32, 4096, 16)
    result: dict[str, Any] = {"device": torch.cuda.get_device_name(), "torch": torch.__version__, "times": []}
    two, *others = (backward(given, fused=fused, num_warps=4, STAGES=1) for fused in WAYS.values())
    result["equal_bits"] = {name: all(torch.equal(two[name], one[name]) for one in others) for name in two}
    print("every way gives the same bits:", result["equal_bits"], flush=True)
    for (way, fused), config in itertools.product(WAYS.items(), CONFIGS):
        try:
            times = timed(lambda f=fused, c=config: backward(given, fused=f, **c), "cuda", 1.0)
        except triton.runtime.errors.OutOfResources as error:
            row = {"way": way, **config, "error": str(error).splitlines()[0]}
        else:
            row = {"way": way, **config, "median_ms": times.median_ms, "quarter_ms": times.quarter_ms,
                   "three_quarters_ms": times.three_quarters_ms}  # fmt: skip
        result["times"].append(row)
        print(" ".join(f"{name} {value}" for name, value in row.items()), flush=True)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compile-only", action="store_true")
    parser.add_argument("--json", type=Path, help="write everything here")
    args = parser.parse_args()
    found: dict[str, Any] = {"triton": triton.__version__, "sm_90": compiled()}
    if not args.compile_only:
        found |= measured()
    if args.json:
        args.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
