"""The observer `trackio`."""

from collections.abc import Iterator

from golfreg.api import Observer, hookimpl

GOLFREG_API = 1


@hookimpl
def golfreg_observers() -> Iterator[Observer]:
    yield Observer(
        name="trackio",
        summary="losses, stages and scores in a local trackio dashboard; offline unless `space` or `server` is set",
        target="golfreg_trackio.observer:trackio_observer",
        requires=("trackio",),
    )
