"""The plugin host: loads each plugin in its own guard, and keeps every failure as a value.

pluggy's own loader stops at the first plugin that fails, and a call of a hook loses every result
if one implementation raises. Here each entry point is loaded alone and each implementation is
called alone, so a broken plugin costs only itself.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Iterable, Iterator, Sequence

import pluggy

from golfreg.api import Component
from golfreg.api.markers import PROJECT
from golfreg.registry import hookspecs
from golfreg.registry.check import (
    api_fault,
    descriptor_faults,
    hook_fault,
    import_hint,
    install_command,
    missing_modules,
    missing_programs,
    whole,
)
from golfreg.registry.discover import discover, normalized
from golfreg.registry.records import Failure, Provider, Registered, Source

DISABLE_VARIABLE = "GOLFREG_DISABLE_PLUGINS"
STRICT_VARIABLE = "GOLFREG_STRICT_PLUGINS"
BUILT_IN = "golfreg"
"""The distribution whose plugins ``*`` does not disable."""

MOST_COMPONENTS = 10_000
"""One hook may yield this many; one that never ends must not hang the program."""


class Host:
    """Every component that the installed plugins register, and every failure.

    ``sources``: what to load instead of the installed entry points. ``path``: directories to look
    for distributions in instead of ``sys.path``. ``disabled``: comma-separated names of
    distributions or entry points, ``*`` for all but the built-ins. ``strict``: the first failure
    raises ``PluginError``. The last two default to the environment's variables.
    """

    def __init__(
        self,
        sources: Iterable[Source] | None = None,
        *,
        path: Sequence[str] | None = None,
        disabled: str | None = None,
        strict: bool | None = None,
    ) -> None:
        self.components: list[Registered] = []
        self.failures: list[Failure] = []
        self.disabled: list[Provider] = []
        self.strict = _truthy(os.environ.get(STRICT_VARIABLE, "")) if strict is None else strict
        self._plugins = pluggy.PluginManager(PROJECT)
        self._plugins.add_hookspecs(hookspecs)
        names = os.environ.get(DISABLE_VARIABLE, "") if disabled is None else disabled
        unwanted = {name.strip() for name in names.split(",") if name.strip()}
        if sources is None:
            sources, unreadable = discover(path)
            for failure in unreadable:
                self._fail(failure)
        used: set[str] = set()
        for source in sources:
            matched = {name for name in unwanted if _disables(name, source.provider)}
            used |= matched
            if matched:
                self.disabled.append(source.provider)
            else:
                self._add(source)
        self.unused_disables = tuple(sorted(unwanted - used - {"*"}))
        """Names in the variable that no installed plugin has: probably misspelt."""

    def of_kind(self, kind: str) -> list[Registered]:
        """Every component of the kind, providers of one name side by side."""
        return [c for c in self.components if c.kind == kind]

    def named(self, kind: str, name: str, op: str | None = None) -> list[Registered]:
        """Every component of the kind and name; more than one is a conflict, but for kernels of several ops."""
        return [c for c in self.of_kind(kind) if c.name == name and (op is None or c.op == op)]

    def rivals(self, component: Registered) -> list[Registered]:
        """The other components with this one's identity: kind and name, for a kernel also its op."""
        return [c for c in self.named(component.kind, component.name, component.op) if c is not component]

    def _fail(self, failure: Failure) -> None:
        if self.strict:
            raise failure.as_error()
        self.failures.append(failure)

    def _add(self, source: Source) -> None:
        provider = source.provider

        def fail(stage: str, error: str, hint: str = "", component: str = "") -> None:
            self._fail(Failure(provider, stage, error, hint, component))

        try:
            with _talk_on_stderr():
                plugin = source.load()
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            return fail("import", whole(error), import_hint(error, provider))
        try:
            if fault := api_fault(plugin):
                return fail("api", *fault)
            if fault := hook_fault(self._plugins, plugin):
                return fail("hooks", *fault)
            self._plugins.register(plugin, name=f"{normalized(provider.distribution)}:{provider.entry_point}")
        except KeyboardInterrupt:
            raise
        except pluggy.PluginValidationError as error:
            return fail("hooks", " ".join(str(error).split()), "hooks of golfreg take no arguments")
        except BaseException as error:
            return fail("hooks", whole(error))
        for hook, expected in hookspecs.HOOKS.items():
            for implementation in self._plugins.hook.__dict__[hook].get_hookimpls():
                if implementation.plugin is plugin:
                    self._collect(provider, hook, expected, implementation.function)
        return None

    def _collect(self, provider: Provider, hook: str, expected: type[Component], function: object) -> None:
        """Call one implementation and keep what it yields; what is wrong with one item costs only that item."""

        def fail(error: str, hint: str = "") -> None:
            self._fail(Failure(provider, "collect", f"`{hook}` {error}", hint))

        items = _yielded(function)
        for count in range(MOST_COMPONENTS + 1):
            try:
                with _talk_on_stderr():
                    item = next(items, _END)
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                hint = getattr(error, "hint", None) or f"report it to the author of {provider.distribution}"
                return fail(f"raised {whole(error)}", hint)
            if item is _END:
                return None
            if count == MOST_COMPONENTS:
                return fail(f"yields more than {MOST_COMPONENTS:,} components")
            if faults := descriptor_faults(item, expected):
                fail(*faults)
                continue
            assert isinstance(item, Component)
            registered = Registered(item, provider, missing_modules(item.requires), missing_programs(item.programs))
            self.components.append(registered)
            # Without its library a kernel is listed as missing and passed over: the op has another.
            if registered.missing and registered.kind != "kernel":
                names = ", ".join(f"`{name}`" for name in registered.missing)
                self._fail(
                    Failure(
                        provider,
                        "requires",
                        f"the library {names} is not installed",
                        install_command(item, registered.missing),
                        registered.label,
                    )
                )
        return None


@functools.cache
def get_host() -> Host:
    """The host of this process, built on first use. ``get_host.cache_clear()`` forgets it."""
    return Host()


_END = object()


def _yielded(function: object) -> Iterator[object]:
    """The items of one hook; a result that is no iterable of descriptors is itself the one (wrong) item."""
    result = function()  # type: ignore[operator]
    if isinstance(result, Iterable) and not isinstance(result, str | bytes):
        yield from result
    else:
        yield result


def _disables(name: str, provider: Provider) -> bool:
    """Whether one entry of the variable disables this provider."""
    distribution = normalized(provider.distribution)
    if name == "*":
        return distribution != BUILT_IN
    return name == provider.entry_point or normalized(name) == distribution


def _truthy(text: str) -> bool:
    return text.strip().lower() not in ("", "0", "false", "no", "off")


def _talk_on_stderr() -> contextlib.AbstractContextManager[object]:
    """A plugin that prints while it is loaded must not spoil the output of ``--json``."""
    return contextlib.redirect_stdout(sys.stderr)
