"""Observers that do what none should; `keeps` keeps what it was told."""

from golfreg.api import Observer, hookimpl

GOLFREG_API = 1


@hookimpl
def golfreg_observers():
    for name in ("keeps", "raises", "exits", "prints", "hangs"):
        yield Observer(name=name, summary=f"{name} when told", target=f"golfreg_observers.observer:{name}")
