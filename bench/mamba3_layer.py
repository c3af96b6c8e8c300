"""One Mamba-3 SISO layer, forward and backward, on one GPU: golfreg's kernels beside mamba_ssm's.

    python bench/mamba3_layer.py [--json mamba3_layer.json]
    python bench/mamba3_layer.py --peer-path "$(python -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')"
    python bench/mamba3_layer.py --variant query_gradients.KEEP=1 --variant sum_heads.num_warps=2
    TRITON_INTERPRET=1 python bench/mamba3_layer.py --device cpu --batch 1 --length 64 --d-model 64

First errors against float64 (output, each gradient, by group of columns of the projection), then times, peak memory
and the time of each kernel. ``--peer-path``: a directory that holds the package ``mamba_ssm``, whose kernels are then
measured in the same run, each with the best of ``--peer-configurations`` of its own (golfreg-mamba-ssm's ``pins.py``
says which; 0: all of them, minutes of tuning). ``--variant``: golfreg's kernels again with other launch settings, those
of ``CONFIGS`` in ``mamba3_triton_launch``; ``maxnreg=0`` is no limit. A contender whose error is not finite is not
timed. Results are written after each part, and a part that is in the file is not measured again (``--again``), also not
one that ended the process.
"""

from __future__ import annotations

import argparse
import functools
import re
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from kept import Kept

from golfreg.builtin.kernels.mamba3_siso import projection_rows, reference
from golfreg.builtin.kernels.mamba3_siso_cases import PARAMETERS, make_inputs

Op = Callable[..., Any]


def golfreg_op(variant: str = "") -> Op:
    """golfreg's kernels; ``variant``: launch settings that differ, ``KERNEL.NAME=VALUE,...``, for this call's part."""
    from golfreg.builtin.kernels import mamba3_triton_launch as launch
    from golfreg.builtin.kernels.mamba3_triton import call

    changes = [re.fullmatch(r"(\w+)\.(\w+)=(\d+)", item) for item in variant.split(",") if item]
    chosen = {kernel: dict(values) for kernel, values in launch.CONFIGS.items()}
    for change in changes:
        if change is None or change[1] not in chosen:
            raise ValueError(f"`{variant}` names no launch setting: write `query_gradients.KEEP=1`")
        chosen[change[1]][change[2]] = int(change[3])
        if change[2] == "maxnreg" and change[3] == "0":
            del chosen[change[1]]["maxnreg"]

    def configured(*args: Any, **static: Any) -> Any:
        launch.CONFIGS = chosen
        return call(*args, **static)

    return configured


def peer_op(path: str, configurations: int) -> Op:
    """mamba_ssm's kernels behind the op's signature: what its layer does between the two projections."""
    sys.path.insert(0, path)
    from golfreg_mamba_ssm import pins
    from golfreg_mamba_ssm.upstream import upstream

    pins.kept = configurations or 1_000
    rmsnorm_fn = upstream("ops.triton.layernorm_gated").rmsnorm_fn
    mamba3_siso_combined = upstream("ops.triton.mamba3.mamba3_siso_combined").mamba3_siso_combined

    def call(
        projected_BTP, dt_bias_H, B_bias_HN, C_bias_HN, B_norm_N, C_norm_N, D_H, starts_BT=None, initial_state=None, *,
        headdim, d_state, ngroups, n_angles, chunk_size, a_form, a_floor, norm_eps, return_state=False,
    ):  # fmt: skip
        n_heads = dt_bias_H.shape[0]
        rows = projection_rows(n_heads, headdim, d_state, ngroups, n_angles)
        z, x, B, C, dt, A, trap, angle = projected_BTP.split([n for _, n in rows], dim=-1)
        z, x = z.unflatten(-1, (n_heads, headdim)), x.unflatten(-1, (n_heads, headdim))
        B, C = B.unflatten(-1, (ngroups, d_state)), C.unflatten(-1, (ngroups, d_state))
        A = A.float()
        A = -F.softplus(A) if a_form == "softplus" else -(A.clamp_min(0) + torch.reciprocal(1 - A.clamp_max(0)))
        dt = F.softplus(dt + dt_bias_H)
        dA = (A.clamp(max=-a_floor) * dt).transpose(1, 2)
        angle = angle.unsqueeze(-2).expand(-1, -1, n_heads, -1).float()
        B = rmsnorm_fn(B, B_norm_N, None, z=None, eps=norm_eps)
        C = rmsnorm_fn(C, C_norm_N, None, z=None, eps=norm_eps)
        y = mamba3_siso_combined(
            Q=C, K=B, V=x, ADT=dA, DT=dt.transpose(1, 2), Trap=trap.transpose(1, 2), Q_bias=C_bias_HN, K_bias=B_bias_HN,
            Angles=angle, D=D_H, Z=z, chunk_size=chunk_size,
        )  # fmt: skip
        return y.flatten(2)

    return call


def relative(x: torch.Tensor, y: torch.Tensor) -> float:
    return float((x.double() - y).norm() / y.norm().clamp_min(1e-300))


def run_op(op: Op, inputs: dict[str, Any], seed: int = 0) -> dict[str, torch.Tensor]:
    """Outputs and gradients by name; the projection's gradient split into its groups of columns."""
    inputs = dict(inputs)
    wanted = {}
    for name in PARAMETERS:
        inputs[name] = wanted[name] = inputs[name].detach().clone().requires_grad_()
    if inputs["initial_state"] is not None:
        inputs["initial_state"] = tuple(x.detach().clone().requires_grad_() for x in inputs["initial_state"])
        wanted |= dict(zip(("phi0", "h0", "k0", "v0"), inputs["initial_state"], strict=True))
    out = op(**inputs)
    outs = (
        {"y": out[0], **dict(zip(("phi", "h", "k", "v"), out[1], strict=True))}
        if inputs["return_state"]
        else {"y": out}
    )
    generator = torch.Generator().manual_seed(seed)
    cotangents = [torch.randn(x.shape, generator=generator).bfloat16().to(x.device, x.dtype) for x in outs.values()]
    grads = torch.autograd.grad(list(outs.values()), list(wanted.values()), cotangents)
    found = {name: x.detach() for name, x in outs.items()}
    for name, g in zip(wanted, grads, strict=True):
        if name == "projected_BTP":
            n_heads = inputs["dt_bias_H"].shape[0]
            rows = projection_rows(n_heads, *(inputs[k] for k in ("headdim", "d_state", "ngroups", "n_angles")))
            for (part, _), piece in zip(rows, g.split([n for _, n in rows], dim=-1), strict=True):
                found[f"d{part}"] = piece
        else:
            found["d" + name] = g
    return found


def exact(inputs: dict[str, Any]) -> dict[str, Any]:
    """The same values in float64."""

    def double(x: Any) -> Any:
        return x.double() if isinstance(x, torch.Tensor) and x.is_floating_point() else x

    inputs = {name: double(x) for name, x in inputs.items()}
    if inputs["initial_state"] is not None:
        inputs["initial_state"] = tuple(double(x) for x in inputs["initial_state"])
    return inputs


def errors(op: Op, dtype: torch.dtype, device: str, **shape: Any) -> dict[str, float]:
    inputs = make_inputs(device, dtype, 1, **shape)
    want = run_op(reference, exact(inputs))
    return {name: relative(x, want[name]) for name, x in run_op(op, inputs).items()}


class Layer(torch.nn.Module):
    """in_proj, the op, out_proj."""

    def __init__(self, op: Op, d_model: int, inputs: dict[str, Any], like: torch.Tensor) -> None:
        super().__init__()
        self.op = op
        self.static = {k: v for k, v in inputs.items() if k not in PARAMETERS}
        self.parameters_of_op = torch.nn.ParameterList(inputs[k] for k in PARAMETERS[1:])
        inner = inputs["dt_bias_H"].shape[0] * inputs["headdim"]
        width = inputs["projected_BTP"].shape[-1]
        self.in_proj = torch.nn.Linear(d_model, width, bias=False, device=like.device, dtype=like.dtype)
        self.out_proj = torch.nn.Linear(inner, d_model, bias=False, device=like.device, dtype=like.dtype)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out_proj(self.op(self.in_proj(x), *self.parameters_of_op, **self.static))


def milliseconds(f: Callable[[], Any], device: str, repeats: int = 30) -> dict[str, float]:
    if device == "cpu":
        began = time.perf_counter()
        f()
        return dict.fromkeys(("median", "lowest", "highest"), 1e3 * (time.perf_counter() - began))
    for _ in range(5):
        f()
    times = []
    for _ in range(repeats):
        start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        start.record()
        f()
        end.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(end))
    return {"median": statistics.median(times), "lowest": min(times), "highest": max(times)}


def profile(f: Callable[[], Any], repeats: int = 5) -> list[tuple[str, float]]:
    """(kernel, ms per call), largest first."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiler

    with profiler(activities=[ProfilerActivity.CUDA]) as p:
        for _ in range(repeats):
            f()
        torch.cuda.synchronize()
    found = [(e.key, e.self_device_time_total / repeats / 1000) for e in p.key_averages()]
    return sorted(found, key=lambda row: -row[1])


def measure(op: Op, args: argparse.Namespace) -> dict[str, Any]:
    shape = {"n_heads": args.d_model * 2 // 64, "a_form": "heavy_tail"}
    gpu, dtype = args.device == "cuda", torch.bfloat16 if args.device == "cuda" else torch.float32
    inputs = make_inputs(args.device, dtype, 0, batch=1, length=64, **shape)
    x = torch.randn(args.batch, args.length, args.d_model, device=args.device, dtype=dtype, requires_grad=True)
    layer, g = Layer(op, args.d_model, inputs, x), torch.randn_like(x)

    def forward() -> torch.Tensor:
        return layer(x)

    def both() -> None:
        layer(x).backward(g)
        layer.zero_grad(set_to_none=True)
        x.grad = None

    began = time.perf_counter()
    both()
    torch.cuda.synchronize() if gpu else None
    found: dict[str, Any] = {"first_call_seconds": time.perf_counter() - began, "peak_gib": float("nan")}
    if gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        both()
        found["peak_gib"] = torch.cuda.max_memory_allocated() / 2**30
    with torch.no_grad():
        found["forward_no_grad_ms"] = milliseconds(forward, args.device)
    found |= {
        "forward_ms": milliseconds(forward, args.device), "forward_backward_ms": milliseconds(both, args.device),
        "profile": profile(both)[:24] if gpu else [],
    }  # fmt: skip
    return found


def check_more(op: Op, device: str) -> dict[str, Any]:
    """float32, documents, states, other sizes; and whether two runs give equal bits."""
    result: dict[str, Any] = {}
    marks = ((0, 63), (0, 64), (0, 65), (0, 127), (1, 5), (1, 64), (1, 128))
    state = {"length": 130, "starts": marks, "initial_state": True, "return_state": True}
    cases = {
        "bfloat16, documents, states": (torch.bfloat16, state),
        "bfloat16, documents": (torch.bfloat16, {"batch": 2, "length": 2048, "n_heads": 16, "starts": marks}),
        "float32": (torch.float32, {"length": 300}),
        "float32, documents, states": (torch.float32, state),
        "bfloat16, d_state 128, all rotated": (torch.bfloat16, {"d_state": 128, "rope_fraction": 1.0, "length": 96}),
        "bfloat16, 2 groups, d_state 32": (torch.bfloat16, {"ngroups": 2, "d_state": 32, "headdim": 32, "length": 77}),
    }
    for name, (dtype, shape) in cases.items():
        if device == "cpu" and (dtype != torch.float32 or shape["length"] > 150):
            continue
        found = errors(op, dtype, device, **shape)
        worst = max(found, key=lambda k: found[k])
        print(f"  {name}: worst {worst} {found[worst]:.2e}, y {found['y']:.2e}", flush=True)
        result[name] = found
    size = {"batch": 2, "length": 2048, "n_heads": 16} if device == "cuda" else {"length": 70}
    inputs = make_inputs(device, torch.bfloat16 if device == "cuda" else torch.float32, 3, **size)
    one, two = run_op(op, inputs), run_op(op, inputs)
    result["two_runs_equal_bits"] = all(torch.equal(one[k], two[k]) for k in one)
    print("  two runs give equal bits:", result["two_runs_equal_bits"], flush=True)
    return result


def show(result: dict[str, Any]) -> None:
    """The table of all that is in the file."""
    print("\n| | forward, no gradients | forward | forward + backward | GiB | first call | error of y | worst error |")
    print("|---" * 8 + "|")
    for who in dict.fromkeys(name.rpartition(":")[0] for name in result if name.endswith(": errors")):
        found, m = result.get(f"{who}: errors", {}), result.get(f"{who}: times", {})
        known = {name: e for name, e in found.items() if isinstance(e, float)}
        if not known or "profile" not in m:
            print(f"| {who} | {found.get('failed') or m.get('failed') or 'not measured'} | | | | | | |")
            continue
        ms = (f"{m[k]['median']:.2f} ms" for k in ("forward_no_grad_ms", "forward_ms", "forward_backward_ms"))
        worst = max(known, key=lambda name: known[name])
        print(
            f"| {who} | {' | '.join(ms)} | {m['peak_gib']:.2f} | {m['first_call_seconds']:.1f} s "
            f"| {known['y']:.1e} | {worst} {known[worst]:.1e} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--length", type=int, default=4096)
    parser.add_argument("--d-model", type=int, default=512)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--variant", action="append", default=[])
    parser.add_argument("--peer-path", help="directory that holds mamba_ssm")
    parser.add_argument("--peer-configurations", type=int, default=4)
    parser.add_argument("--json", type=Path, default=Path("mamba3_layer.json"))
    parser.add_argument("--no-times", action="store_true")
    parser.add_argument("--again", action="store_true")
    args = parser.parse_args()
    kept = Kept(args.json, args.again)
    result, part = kept.found, kept.part
    result["device"] = torch.cuda.get_device_name() if args.device == "cuda" else "cpu"
    result["torch"] = torch.__version__
    print(result["device"], "torch", torch.__version__, flush=True)

    large = {"batch": 2, "length": 2048, "n_heads": 16, "a_form": "heavy_tail"}
    size, dtype = (large, torch.bfloat16) if args.device == "cuda" else ({"length": 70}, torch.float32)
    ops: dict[str, Callable[[], Op]] = {"golfreg": golfreg_op}
    ops |= {f"golfreg, {variant}": functools.partial(golfreg_op, variant) for variant in args.variant}
    if args.peer_path:
        ops["mamba_ssm"] = functools.partial(peer_op, args.peer_path, args.peer_configurations)
    for who, op in ops.items():
        found = part(f"{who}: errors", lambda op=op: errors(op(), dtype, args.device, **size))
        for name, error in found.items():
            print(f"  {name:12s}{error if isinstance(error, str) else f'{error:.2e}'}")
        right = all(isinstance(e, float) and e == e and e < 1 for e in found.values())
        if right and not args.no_times:
            m = part(f"{who}: times", lambda op=op: measure(op(), args))
            for name, ms in m.get("profile", []):
                print(f"    {ms:7.3f}  {name[:90]}")
        if who == "golfreg" and right:
            part("golfreg: other sizes", lambda op=op: check_more(op(), args.device))
    show(result)


if __name__ == "__main__":
    main()
