"""What the host keeps: a source to load, a component with its provider, a failure with its cause."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from golfreg.api import Component, PluginError


@dataclass(frozen=True)
class Provider:
    """Where something came from. ``entry_point``: its name; ``module``: what it points at."""

    entry_point: str
    distribution: str
    version: str
    module: str

    def __str__(self) -> str:
        return f"{self.distribution} {self.version} ({self.module})"


@dataclass(frozen=True)
class Source:
    """One entry point, not yet loaded. ``load`` imports and returns the plugin."""

    provider: Provider
    load: Callable[[], object] = field(repr=False)


@dataclass(frozen=True)
class Registered:
    """A component and who provides it. The target has not been imported.

    ``missing``: modules of ``requires`` that are not installed. ``missing_programs``: those of
    ``programs`` that are not on the ``PATH``.
    """

    descriptor: Component
    provider: Provider
    missing: tuple[str, ...] = ()
    missing_programs: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        return self.descriptor.kind

    @property
    def name(self) -> str:
        return self.descriptor.name

    @property
    def target(self) -> str:
        return self.descriptor.target

    @property
    def op(self) -> str | None:
        """The op that a kernel implements; None for every other kind."""
        return getattr(self.descriptor, "op", None)

    @property
    def distribution(self) -> str:
        return self.provider.distribution

    @property
    def version(self) -> str:
        return self.provider.version

    @property
    def module(self) -> str:
        return self.provider.module

    @property
    def label(self) -> str:
        """What a message calls it: ``codec `lzma` ``, ``kernel `triton` of `mamba3_siso` ``."""
        return f"{self.kind} `{self.name}`" + (f" of `{self.op}`" if self.op else "")


STAGES = ("metadata", "import", "api", "hooks", "collect", "requires", "target")
"""Where a plugin can fail: reading its metadata, importing it, checking its interface version,
registering its hooks, calling them, and looking up the libraries that a component requires and its target."""


@dataclass(frozen=True)
class Failure:
    """Why a plugin, or one component of it, cannot be used. ``component``: ``codec `zstd` ``, if it is one."""

    provider: Provider
    stage: str
    error: str
    hint: str = ""
    component: str = ""

    @property
    def plugin(self) -> str:
        return self.provider.entry_point

    def __str__(self) -> str:
        what = f"{self.component} of plugin" if self.component else "plugin"
        return f"{what} `{self.plugin}` of {self.provider} failed at stage {self.stage}: {self.error}"

    def as_error(self) -> PluginError:
        return PluginError(str(self), self.hint or None)
