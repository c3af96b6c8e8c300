"""A function over many arguments in several processes, in order."""

from __future__ import annotations

import gc
import multiprocessing
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

T = TypeVar("T")


def in_processes(function: Callable[..., T], arguments: Sequence[tuple[Any, ...]], workers: int) -> list[T]:
    """What ``function`` gives for each of ``arguments``, in order.

    Processes are forked where that is safe. If one is killed, everything is done here.
    """
    alone = threading.active_count() == 1 and "fork" in multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("fork" if alone else "spawn")
    executor = ProcessPoolExecutor(workers, context, initializer=_begin)
    try:
        return list(executor.map(function, *zip(*arguments, strict=True)))
    except BrokenProcessPool:
        return [function(*each) for each in arguments]
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


def _begin() -> None:
    """An interrupt is the parent's to handle; garbage is freed when the process ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.disable()
