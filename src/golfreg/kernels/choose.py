"""Which kernel an op gets: decided once, while the run is planned, and recorded with the reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from golfreg.api.errors import EnvironmentFault, PluginError, UnknownComponentError, nearest

Offer = tuple[str, int, Callable[[], Any]]
"""A kernel's name, its priority, and what loads its target."""


def choose_kernel(
    op: str,
    offers: Sequence[Offer],
    device: str,
    dtype: str,
    wanted: str | None = None,
    static: Sequence[Mapping[str, Any]] = (),
) -> tuple[str, str]:
    """(name, reason) of the kernel to use.

    ``wanted``: that one or an error; else, by falling priority, the first that can run. ``static``:
    the op's static arguments of every mixer that calls it; a kernel has to support them all.
    In the automatic choice a kernel that cannot be loaded is passed over, and the reason says so.
    """
    if wanted is not None:
        return _named(op, offers, device, dtype, wanted, static)
    refusals: list[str] = []
    for name, priority, load in sorted(offers, key=lambda offer: -offer[1]):
        try:
            refusal = _refusal(load(), device, dtype, static)
        except Exception as error:
            refusal = f"it could not be loaded: {error}"
        if refusal is None:
            why = "the only kernel" if len(offers) == 1 else f"priority {priority}, the highest that can run here"
            return name, "; ".join((why, *refusals))
        refusals.append(f"`{name}` cannot: {refusal}")
    raise EnvironmentFault(
        f"no kernel of `{op}` can run on {device} in {dtype}" + "".join(f"; {refusal}" for refusal in refusals),
        hint=f"`golfreg plugins list --kind kernel` shows the kernels of `{op}`",
    )


def _named(
    op: str, offers: Sequence[Offer], device: str, dtype: str, wanted: str, static: Sequence[Mapping[str, Any]]
) -> tuple[str, str]:
    by_name = {name: load for name, _, load in offers}
    if wanted not in by_name:
        raise UnknownComponentError(
            f"kernel `{wanted}` of `{op}` is not registered", nearest(wanted, by_name, f"kernels of `{op}`")
        )
    try:
        kernel = by_name[wanted]()
    except PluginError:
        raise
    except Exception as error:
        raise PluginError(f"kernel `{wanted}` of `{op}` could not be loaded: {error}") from error
    refusal = _refusal(kernel, device, dtype, static)
    if refusal is not None:
        raise EnvironmentFault(
            f"kernel `{wanted}` of `{op}` cannot run on {device} in {dtype}: {refusal}",
            hint="leave `components.kernel` at `auto`, or name another",
        )
    return wanted, "as asked"


def _refusal(kernel: Any, device: str, dtype: str, static: Sequence[Mapping[str, Any]]) -> str | None:
    for arguments in static or ({},):
        reason = kernel.supports(device, dtype, **arguments)
        if reason is not None:
            return str(reason)
    return None
