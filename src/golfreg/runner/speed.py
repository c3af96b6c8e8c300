"""How long a training step will take: from an earlier run here, else from what is used of what a device can do.

FLOPs are the model's: forward and backward of every token, nothing computed again.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import torch

from golfreg.api.errors import ConfigError
from golfreg.config.plan import Plan
from golfreg.runner.earlier import measured_speed
from golfreg.train.throughput import peak_flops

UTILIZATION = {
    "attention": (
        0.255,
        "the baseline model, 1.93M tokens/s on one H100 at 131,072 tokens a step (docs/benchmarks.md)",
    ),
    "mamba3": (0.22, "a public script's Mamba-3 hybrid, 1.20M tokens/s on one H100 at 131,072 tokens a step"),
}
"""By the main mixer: the part of a GPU's peak that was measured, and of what. Others are taken to be as attention."""
CPU_UTILIZATION = (0.35, "a matrix product timed just now, of which the recipe `smoke` makes about this much")


@dataclass(frozen=True)
class Speed:
    """``tokens_per_second``: of all devices together; None if nothing is known. ``basis``: where it comes from."""

    device: str
    devices: int
    peak_flops: float | None
    """Of one device."""
    utilization: float | None
    tokens_per_second: float | None
    basis: str


def predict_speed(plan: Plan, flops_per_token: int, device_name: str | None, gpus: int, runs: Path) -> Speed:
    """``device_name``: as ``--device-name`` has it, None: this machine. ``gpus``: of the ruleset, where none are named.

    ConfigError for a device whose peak is not known.
    """
    here = torch.cuda.get_device_name(0) if plan.device == "cuda" else "cpu"
    devices, name = parse_device(device_name, gpus) if device_name else (getattr(plan.spec.train, "nproc", 1), here)
    elsewhere = name.lower() not in here.lower()
    if not elsewhere and (found := measured_speed(plan, runs)):
        where, rate = found
        peak = peak_flops(here)
        used = flops_per_token * rate / (peak * devices) if peak else None
        return Speed(here, devices, peak, used, rate, f"measured in `{where}`, a run of the same model and step")
    if name == "cpu":
        part, of_what = CPU_UTILIZATION
        peak = product_flops(plan.threads)
        return Speed("cpu", 1, peak, part, part * peak / flops_per_token, f"an estimate: {of_what}")
    peak = peak_flops(name.upper()) or peak_flops(name)
    if peak is None and device_name:
        raise ConfigError(f"the peak of `{device_name}` is not known", "known: b200, h200, h100, a100, l40s, rtx 4090")
    part, of_what = UTILIZATION.get(next(iter(plan.mixers), ""), UTILIZATION["attention"])
    if peak is None:
        return Speed(name, devices, None, None, None, f"the peak of {name} is not known: run 50 steps, and ask again")
    scaling = "" if devices == 1 else "; that many devices are taken to be that many times as fast"
    basis = f"an estimate: {part:.1%} of the peak, as measured for {of_what}{scaling}"
    return Speed(name, devices, peak, part, part * peak * devices / flops_per_token, basis)


def parse_device(text: str, gpus: int) -> tuple[int, str]:
    """``8xh100`` is 8 and ``h100``; without a number, ``gpus``."""
    count, x, name = text.lower().partition("x")
    if x and count.isdecimal() and name.strip():
        if not 1 <= int(count) <= 1024:
            raise ConfigError(f"`--device-name {text}` names {count} devices", "from 1 to 1024, as in `8xh100`")
        return int(count), name.strip()
    return max(1, gpus), text.lower().strip()


def product_flops(threads: int) -> float:
    """Floating-point operations a second of a product of two matrices of float32 on this machine, about 0.1 s of it."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, threads))
    try:
        a, fastest = torch.ones(512, 512), float("inf")
        end = time.monotonic() + 0.1
        while time.monotonic() < end:
            begun = time.perf_counter()
            a @ a
            fastest = min(fastest, time.perf_counter() - begun)
    finally:
        torch.set_num_threads(before)
    return 2 * 512**3 / fastest
