"""What can be wrong with a plugin, apart from failing to import. Each function returns (error, hint) or None."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import inspect
import re
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import pluggy

from golfreg.api import GOLFREG_API, Component, Kernel
from golfreg.api.errors import nearest
from golfreg.api.markers import PROJECT
from golfreg.registry.hookspecs import HOOKS
from golfreg.registry.records import Provider

Fault = tuple[str, str]


def whole(error: BaseException) -> str:
    """The exception's type and message on one line."""
    try:
        text = " ".join(str(error).split())
    except Exception:
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def import_hint(error: BaseException, provider: Provider) -> str:
    """What to do about an import that failed."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        if provider.module == error.name or provider.module.startswith(f"{error.name}."):
            return f"reinstall {provider.distribution}: the module that its entry point names is not there"
        return f"pip install {error.name.partition('.')[0]}, or pip uninstall {provider.distribution}"
    return f"report it to the author of {provider.distribution}; `python -c 'import {provider.module}'` shows where"


def api_fault(plugin: object) -> Fault | None:
    """A plugin states the version of the interface that it was written for."""
    stated = inspect.getattr_static(plugin, "GOLFREG_API", None)
    if stated is None:
        return "it does not state GOLFREG_API", f"its author adds the line `GOLFREG_API = {GOLFREG_API}`"
    if type(stated) is not int:
        return f"GOLFREG_API is {stated!r}", f"its author writes `GOLFREG_API = {GOLFREG_API}`"
    if stated > GOLFREG_API:
        return (
            f"it was written for GOLFREG_API {stated}; this golfreg has {GOLFREG_API}",
            "upgrade golfreg, or install an older version of the plugin",
        )
    if stated < GOLFREG_API:
        return (
            f"it was written for GOLFREG_API {stated}; this golfreg has {GOLFREG_API}",
            "upgrade the plugin",
        )
    return None


def hook_fault(plugins: pluggy.PluginManager, plugin: object) -> Fault | None:
    """Hooks that golfreg does not have, that lack the marker, or that wrap other plugins' hooks.

    pluggy registers an unknown hook silently and tells only at ``check_pending``, for all plugins
    at once.
    """
    implemented = 0
    for attribute in dir(plugin):
        options = plugins.parse_hookimpl_opts(plugin, attribute)
        if options is None:
            if attribute in HOOKS:
                return (
                    f"`{attribute}` is not marked as a hook",
                    "its author writes `@hookimpl` (from golfreg.api) above it",
                )
            continue
        hook = options.get("specname") or attribute
        if options.get("wrapper") or options.get("hookwrapper"):
            return f"`{attribute}` is a hook wrapper", "a plugin describes its own components only"
        if hook in HOOKS:
            implemented += 1
        elif not options.get("optionalhook"):
            return f"golfreg has no hook `{hook}`", nearest(hook, HOOKS, "hooks")
    if not implemented:
        return "it implements no hook", f"the hooks are named `{PROJECT}_...`: {', '.join(sorted(HOOKS))}"
    return None


def descriptor_faults(item: object, expected: type[Component]) -> Fault | None:
    """A hook yields descriptors of its own kind, with fields of the right types."""
    if item is None:
        return "returned None", f"yield {expected.__name__}(...), or return a list of them"
    if not isinstance(item, expected):
        return (
            f"yielded {_short(item)} where {expected.__name__} was expected",
            f"yield golfreg.api.{expected.__name__}(name=..., summary=..., target=...)",
        )
    label = f"{item.kind} `{item.name}`"
    summary: object = item.summary
    if not isinstance(summary, str):
        return f"yielded {label} with the summary {_short(summary)}", "a summary is one line of text"
    install: object = item.install
    if not isinstance(install, str):
        return f"yielded {label} with install = {_short(install)}", "install is a command, as text"
    for field in ("requires", "programs", "ops"):
        value = getattr(item, field, ())
        if not isinstance(value, tuple) or not all(isinstance(v, str) and v for v in value):
            return f"yielded {label} with {field} = {_short(value)}", f'write {field}=("...",), a tuple of names'
    defaults = getattr(item, "defaults", {})
    if not isinstance(defaults, Mapping) or not all(isinstance(key, str) for key in defaults):
        return f"yielded {label} with defaults = {_short(defaults)}", "write defaults={...}, names to values"
    argument = getattr(item, "argument", None)
    if not (argument is None or isinstance(argument, str)):
        return f"yielded {label} with argument = {_short(argument)}", "an argument is text, or None"
    shards = getattr(item, "shards", False)
    if type(shards) is not bool:
        return f"yielded {label} with shards = {_short(shards)}", "shards is True or False"
    if isinstance(item, Kernel) and not (isinstance(item.op, str) and item.op and type(item.priority) is int):
        return f"yielded {label} with op = {_short(item.op)}, priority = {_short(item.priority)}", ""
    return None


def missing_modules(names: Iterable[str]) -> tuple[str, ...]:
    """Those of the modules that are not installed. Nothing is imported, not even a parent package."""
    return tuple(name for name in names if not _is_installed(name))


def install_command(descriptor: Component, missing: Iterable[str]) -> str:
    """What installs the missing modules: as the descriptor says, else the packages of their names."""
    names = dict.fromkeys(name.partition(".")[0] for name in missing)
    return descriptor.install or f"pip install {' '.join(names)}"


def missing_programs(names: Iterable[str]) -> tuple[str, ...]:
    """Those of the programs that are not on the ``PATH``."""
    return tuple(name for name in names if shutil.which(name) is None)


def target_fault(target: str) -> str | None:
    """What can be seen of a wrong target without importing it: there is no such module, or no such name in its source.

    None for whatever cannot be told: the module is compiled, or binds names that its source does not spell.
    """
    module, _, attribute = target.partition(":")
    spec = _spec(module)
    if spec is None:
        return f"the target module `{module}` does not exist" if module not in sys.modules else None
    if not (spec.origin or "").endswith(".py"):
        return None
    try:
        source = Path(spec.origin or "").read_bytes()
    except OSError:
        return None
    if re.search(rb"\b(%s|__getattr__|globals|setattr|exec)\b|import\s*\*" % attribute.encode(), source):
        return None
    return f"the target module `{module}` has no `{attribute}`"


def _is_installed(name: str) -> bool:
    if name in sys.modules:
        return sys.modules[name] is not None
    return _spec(name) is not None


def _spec(name: str) -> importlib.machinery.ModuleSpec | None:
    """Where a module would be imported from; no parent package is imported to find out."""
    head, *rest = name.split(".")
    try:
        found = importlib.util.find_spec(head)
        full = head
        for part in rest:
            if found is None or found.submodule_search_locations is None:
                return None
            full = f"{full}.{part}"
            found = importlib.machinery.PathFinder.find_spec(full, list(found.submodule_search_locations))
    except (ImportError, ValueError, AttributeError):
        return None
    return found


def _short(value: object) -> str:
    try:
        text = repr(value)
    except Exception:
        text = f"a {type(value).__name__}"
    return text if len(text) <= 80 else text[:77] + "..."
