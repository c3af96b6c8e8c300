"""Which Triton kernels a piece of code launches, and with what: noted instead of run, or while they run."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from golfreg.api.errors import EnvironmentFault


@dataclass(frozen=True)
class Launch:
    """One launch. ``function``: Triton's ``JITFunction``; ``compiled``: what ran, where it ran."""

    function: Any
    arguments: tuple[Any, ...]
    keywords: dict[str, Any]
    compiled: Any = None

    @property
    def name(self) -> str:
        return str(self.function.__name__)


@contextmanager
def noted_launches() -> Iterator[list[Launch]]:
    """Inside, launches are noted and nothing is run: neither a GPU nor its driver is needed.

    An autotuned kernel is noted once for each of its configurations. EnvironmentFault without Triton, or
    inside its interpreter, which compiles nothing.
    """
    jit, tuner = _runtime()
    found: list[Launch] = []

    def run(self: Any, *arguments: Any, grid: Any, warmup: bool, **keywords: Any) -> None:
        found.append(Launch(self, arguments, keywords))

    def tune(self: Any, *arguments: Any, **keywords: Any) -> None:
        for config in self.configs:
            self.fn.run(*arguments, **{**keywords, **config.all_kwargs()})

    with _replaced(jit.JITFunction, run), _replaced(tuner.Autotuner, tune):
        yield found


@contextmanager
def watched_launches() -> Iterator[list[Launch]]:
    """Inside, launches run as ever, and each is noted with what was compiled for it; none, where there is no Triton."""
    found: list[Launch] = []
    try:
        jit, _ = _runtime()
    except EnvironmentFault:
        yield found
        return
    original = jit.JITFunction.run

    def run(self: Any, *arguments: Any, grid: Any, warmup: bool, **keywords: Any) -> Any:
        compiled = original(self, *arguments, grid=grid, warmup=warmup, **keywords)
        found.append(Launch(self, (), {}, compiled))
        return compiled

    with _replaced(jit.JITFunction, run):
        yield found


@contextmanager
def _replaced(owner: Any, run: Any) -> Iterator[None]:
    original = owner.run
    owner.run = run
    try:
        yield
    finally:
        owner.run = original


def _runtime() -> tuple[Any, Any]:
    try:
        jit = importlib.import_module("triton.runtime.jit")
        tuner = importlib.import_module("triton.runtime.autotuner")
        interpreted = bool(importlib.import_module("triton").knobs.runtime.interpret)
    except (ImportError, AttributeError) as error:
        raise EnvironmentFault(f"Triton cannot be used: {error}", "pip install 'triton>=3.6'") from error
    if interpreted:
        raise EnvironmentFault("Triton's interpreter compiles nothing", "unset TRITON_INTERPRET")
    return jit, tuner
