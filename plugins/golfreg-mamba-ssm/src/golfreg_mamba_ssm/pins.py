"""One configuration for each autotuned kernel, so that nothing is tuned while a run's clock runs.

Upstream tries up to 81 configurations of a kernel when it first meets a shape, over a minute in all. The one kept here
is always of upstream's own list, and a rule chooses it: 4 warps, 2 stages, as many registers as the compiler wants,
tiles of at most 64 a side and of those the largest. It is chosen to fit any GPU since compute capability 8.0 and was
not measured against the others.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

LARGEST_TILE, WARPS, STAGES = 64, 4, 2
kept = 1
"""How many configurations each kernel is left. A bench that has the time sets more before the first import."""


def pin(module: ModuleType) -> None:
    """Leave each ``triton.autotune`` of a module ``kept`` configurations; of one Triton tries none."""
    for kernel in vars(module).values():
        configs = getattr(kernel, "configs", None)
        if isinstance(configs, list) and len(configs) > 1 and hasattr(kernel, "fn"):
            kernel.configs = preferred(configs)[:kept]


def preferred(configs: list[Any]) -> list[Any]:
    """Configurations in the order of the rule; equals as they were."""

    def rank(config: Any) -> tuple[int, ...]:
        tiles = [value for value in config.kwargs.values() if isinstance(value, int)]
        size = 1
        for tile in tiles:
            size *= tile
        return (
            sum(max(0, tile - LARGEST_TILE) for tile in tiles),
            -size,
            abs(config.num_warps - WARPS),
            abs(config.num_stages - STAGES),
            getattr(config, "maxnreg", None) is not None,
        )

    return sorted(configs, key=rank)
