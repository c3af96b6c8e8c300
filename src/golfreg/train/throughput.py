"""How much of what a device can do at most training makes of it."""

from __future__ import annotations

from dataclasses import dataclass

_PEAK_TERAFLOPS = (
    ("B200", 2250.0),
    ("GH200", 989.4),
    ("H200 NVL", 835.5),
    ("H200", 989.4),
    ("H100 PCIe", 756.0),
    ("H100 NVL", 835.5),
    ("H100", 989.4),
    ("A100", 312.0),
    ("L40S", 362.0),
    ("RTX 5090", 209.5),
    ("RTX 4090", 165.2),
    ("RTX 3090", 71.0),
)
"""Dense bfloat16 with float32 accumulation, by a part of the device's name; from NVIDIA's data sheets."""


def peak_flops(device_name: str) -> float | None:
    """Floating-point operations per second at most; None for a device that is not known."""
    return next((tera * 1e12 for name, tera in _PEAK_TERAFLOPS if name in device_name), None)


@dataclass(frozen=True)
class Throughput:
    """``flops_per_token``: of forward and backward, without recomputation. ``peak``: of all devices together."""

    flops_per_token: int
    peak: float | None

    def utilization(self, tokens_per_second: float) -> float | None:
        """Model FLOPs utilization, from 0 to 1; None if the peak is not known."""
        return self.flops_per_token * tokens_per_second / self.peak if self.peak else None
