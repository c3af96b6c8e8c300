"""golfreg under ``torchrun``: one of its processes runs golfreg, which starts those that train by itself."""

from __future__ import annotations

from collections.abc import Mapping

from golfreg.api.errors import ConfigError


def is_extra(environment: Mapping[str, str]) -> bool:
    """Whether this is one of torchrun's processes but the first: they leave the run to that one."""
    return _number(environment, "WORLD_SIZE", 1) > 1 and _number(environment, "RANK", 0) > 0


def under_torchrun(environment: Mapping[str, str], nproc: int | None = None) -> tuple[str, int | None]:
    """(where the number comes from, how many processes shall train); ``nproc`` where torchrun does not say.

    ConfigError for processes on several hosts, and for an ``nproc`` that is not torchrun's.
    """
    size = _number(environment, "WORLD_SIZE", 1)
    if size < 2:
        return "--nproc", nproc
    if _number(environment, "LOCAL_WORLD_SIZE", size) != size:
        raise ConfigError(
            f"torchrun started {size} processes on several hosts", "golfreg trains on one host: use `--nnodes 1`"
        )
    if nproc not in (None, size):
        raise ConfigError(f"`--nproc {nproc}` under a torchrun of {size} processes", "leave `--nproc` out")
    return "torchrun", size


def _number(environment: Mapping[str, str], name: str, default: int) -> int:
    try:
        return int(environment.get(name, default))
    except ValueError:
        raise ConfigError(f"the environment variable {name} is `{environment[name]}`", "it is a number") from None
