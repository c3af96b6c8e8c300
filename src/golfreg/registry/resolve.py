"""From a name to a component, and from a component to its target."""

from __future__ import annotations

import difflib
import importlib
import inspect
import sys
from collections.abc import Iterable
from functools import cache
from typing import Any

from golfreg.api import KINDS, ConfigError, PluginError, UnknownComponentError
from golfreg.api.errors import nearest
from golfreg.registry.check import install_command, missing_modules, missing_programs, whole
from golfreg.registry.discover import normalized
from golfreg.registry.host import DISABLE_VARIABLE, Host, get_host
from golfreg.registry.records import Failure, Registered


def resolve(kind: str, name: str, *, op: str | None = None, host: Host | None = None) -> Registered:
    """The component of that kind and name; for a kernel also ``op``, which it implements.

    Raises ``UnknownComponentError`` with near matches, and ``PluginError`` that names every
    provider if there is more than one. Imports nothing but the plugins' own light modules.
    """
    check_kind(kind)
    host = host or get_host()
    found = host.named(kind, name, op)
    if not found:
        raise _unknown(kind, name, op, host)
    if len(found) == 1:
        return found[0]
    if len({(c.kind, c.name, c.op) for c in found}) > 1:
        raise PluginError(
            f"kernel `{name}` is registered for {_listed(c.op or '' for c in found)}", hint="say for which op"
        )
    label = f"{kind} `{name}`" + (f" of `{op}`" if op else "")
    raise PluginError(
        f"{label} is provided by {' and by '.join(str(c.provider) for c in found)}",
        hint=f"uninstall one, or disable it: {DISABLE_VARIABLE}={_one_to_disable(found)}",
    )


def check_kind(kind: str) -> None:
    """Raise ``ConfigError`` with the nearest kind if there is none of that name."""
    if kind not in KINDS:
        raise ConfigError(f"there is no kind `{kind}`", nearest(kind, KINDS, "kinds"))


def load(registered: Registered) -> Any:
    """Import the target and return it.

    Raises ``PluginError`` that names the plugin if a required library is missing, the module or
    attribute does not exist, the import raises, or the target lacks what its kind must have.
    """
    what = f"{registered.label} of plugin `{registered.provider.entry_point}`, {registered.provider},"
    if missing := missing_modules(registered.descriptor.requires):
        raise PluginError(
            f"{what} needs {_listed(missing)}, which is not installed",
            hint=install_command(registered.descriptor, missing),
        )
    if absent := missing_programs(registered.descriptor.programs):
        raise PluginError(
            f"{what} runs {_listed(absent)}, which is not on the PATH",
            hint=f"install the program, with the system's package manager: `apt-get install {' '.join(absent)}`",
        )
    module_name, _, attribute = registered.target.partition(":")
    author = f"report it to the author of {registered.distribution}"
    try:
        target = getattr(importlib.import_module(module_name), attribute)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        if isinstance(error, ModuleNotFoundError) and f"{module_name}.".startswith(f"{error.name}."):
            raise PluginError(f"{what} has the target module `{module_name}`, which does not exist", author) from error
        if isinstance(error, AttributeError) and _was_imported(module_name):
            raise PluginError(
                f"{what} has the target `{registered.target}`, but the module has no `{attribute}`", author
            ) from error
        raise PluginError(f"{what} could not be imported: {whole(error)}", _import_hint(error, author)) from error
    if lacking := sorted(name for name in members(registered.kind) if not hasattr(target, name)):
        raise PluginError(
            f"{what} has the target `{registered.target}`, which lacks {_listed(lacking)}",
            hint=f"see the protocol of a {registered.kind} in golfreg.api.protocols",
        )
    if inspect.isclass(target) and (unbound := _unbound(target, registered.kind)):
        instance = attribute.lower()
        raise PluginError(
            f"{what} has the target `{registered.target}`, a class whose `{unbound}` needs an instance",
            hint=f'name an instance: `{instance} = {attribute}()` and target="{module_name}:{instance}"',
        )
    return target


@cache
def members(kind: str) -> frozenset[str]:
    """Names of the attributes and methods that the target of a kind must have."""
    from golfreg.api import protocols

    protocol = getattr(protocols, f"{kind.capitalize()}Target")
    names = {*vars(protocol), *protocol.__annotations__}
    return frozenset(name for name in names if not name.startswith("_"))


def _unbound(target: type, kind: str) -> str | None:
    for name in sorted(members(kind)):
        if (
            inspect.isfunction(inspect.getattr_static(target, name))
            and "self" in inspect.signature(getattr(target, name)).parameters
        ):
            return name
    return None


def _was_imported(module_name: str) -> bool:
    """Whether an AttributeError came from looking up the target, not from within its module."""
    return module_name in sys.modules


def _import_hint(error: BaseException, author: str) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"pip install {error.name.partition('.')[0]}"
    return author


def _unknown(kind: str, name: str, op: str | None, host: Host) -> UnknownComponentError:
    """Near matches, the same name of another kind, and plugins that failed and may have provided it."""
    label = f"{kind} `{name}`" + (f" of `{op}`" if op else "")
    related = [f for f in host.failures if _may_provide(f, name)]
    message = f"{label} is not registered"
    if related:
        message += "; " + "; ".join(str(failure) for failure in related)
    hints = []
    candidates = sorted({c.name for c in host.components if c.kind == kind and (op is None or c.op == op)})
    near = difflib.get_close_matches(name, candidates, 3, 0.6)
    kinds = sorted({c.kind for c in host.components if c.name == name and c.kind != kind})
    if near:
        hints.append(f"did you mean {_listed(near, 'or')}?")
    elif related and related[0].hint:
        hints.append(related[0].hint + ";")
    elif kinds:
        hints.append(f"`{name}` is the name of a{'n' if kinds[0][0] in 'ao' else ''} {' and of a '.join(kinds)};")
    if host.failures and not related:
        count = len(host.failures)
        hints.append(f"{count} plugin failure{'s' if count > 1 else ''}, shown by the list, may be why;")
    if any(name in {p.entry_point, *_words(p.distribution)} for p in host.disabled):
        hints.append(f"{DISABLE_VARIABLE} disables a plugin of that name;")
    hints.append(f"`golfreg plugins list --kind {kind}`")
    return UnknownComponentError(message, hint=" ".join(hints))


def _may_provide(failure: Failure, name: str) -> bool:
    """Best guess: `zstd-ultra` may come from the plugin `zstd`, and `zstd` from golfreg-zstd-codecs."""
    provider = failure.provider
    wanted = set(_words(name))
    return wanted <= {*_words(provider.entry_point), *_words(provider.distribution)} or (
        set(_words(provider.entry_point)) <= wanted
    )


def _words(text: str) -> list[str]:
    return normalized(text).split("-")


def _one_to_disable(found: Iterable[Registered]) -> str:
    """The last provider that is not built in: disabling a built-in's distribution disables them all."""
    names = [c.distribution for c in found]
    return next((name for name in reversed(names) if normalized(name) != "golfreg"), names[-1])


def _listed(names: Iterable[str], word: str = "and") -> str:
    quoted = [f"`{name}`" for name in names]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])} {word} {quoted[-1]}"
