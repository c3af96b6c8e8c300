"""Where golfreg's Triton kernels run."""

from __future__ import annotations

import os

import torch


def refusal(device: str, dtype: str) -> str | None:
    """None, or why a Triton kernel cannot run. With Triton's interpreter on, float32 runs on the CPU."""
    interpreted = os.environ.get("TRITON_INTERPRET") == "1"
    kind = str(device).split(":")[0]
    if interpreted and (kind, dtype) != ("cpu", "float32"):
        return "Triton's interpreter (TRITON_INTERPRET=1) computes float32 on the CPU only"
    if not interpreted and (kind != "cuda" or torch.version.cuda is None):
        return f"Triton needs an NVIDIA GPU, the device is {device}"
    if not interpreted and torch.cuda.is_available() and torch.cuda.get_device_capability()[0] < 8:
        return "bfloat16 matrix units begin with compute capability 8.0"
    if dtype not in ("bfloat16", "float16", "float32"):
        return f"dtype {dtype} is not bfloat16, float16 or float32"
    return None
