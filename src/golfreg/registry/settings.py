"""A component's ``Config`` from plain settings, as TOML or ``--set`` gives them, and back.

TOML has no tuples and writes ``1`` for ``1.0``; a ``Config`` is typed. Values are converted where
nothing is lost (list to tuple, int to float) and refused elsewhere, with the field and its type.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from golfreg.api import ConfigError, PluginError
from golfreg.api.errors import nearest
from golfreg.registry.convert import Mismatch, convert, describe, field_types
from golfreg.registry.records import Registered
from golfreg.registry.resolve import load


def make_config(target: Any, values: Mapping[str, Any], where: str) -> Any:
    """The target's ``Config`` with ``values``, validated; None for a target that has no ``Config``.

    ``where`` is what a message calls the table: ``[codec]``. Raises ``ConfigError`` for an unknown
    key (with the nearest), a value of the wrong type, and whatever ``Config`` itself refuses.
    """
    config_type: Any = getattr(target, "Config", None)
    if config_type is None:
        if values:
            raise ConfigError(f"{where} sets {_quoted(values)}, but the component has no settings")
        return None
    if not (isinstance(config_type, type) and dataclasses.is_dataclass(config_type)):
        raise PluginError(f"{where}: the component's Config is not a dataclass")
    types = field_types(config_type)
    arguments: dict[str, Any] = {}
    for key, value in values.items():
        if key not in types:
            raise ConfigError(f"{where} has no setting `{key}`", hint=_nearest(key, types))
        try:
            arguments[key] = convert(value, types[key])
        except Mismatch as fault:
            at = f"`{key}`" if not fault.path else f"`{key}{fault.path}`"
            raise ConfigError(
                f"{where} has {at} = {fault.shown}, which is not {describe(fault.expected)}",
                hint=f"`{key}` takes {describe(types[key])}",
            ) from None
    try:
        return config_type(**arguments)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error.message}", error.hint) from error
    except (TypeError, ValueError, ArithmeticError) as error:
        raise ConfigError(f"{where}: {error}", hint=f"set were {_quoted(values)}" if values else None) from error


def configure(registered: Registered, values: Mapping[str, Any], where: str | None = None) -> tuple[Any, Any]:
    """Import the component and make its config: (target, config). User settings go over the descriptor's defaults."""
    target = load(registered)
    defaults = dict(getattr(registered.descriptor, "defaults", {}))
    if defaults:
        try:
            make_config(target, defaults, f"the descriptor of {registered.label}")
        except ConfigError as error:
            raise PluginError(f"{error.message} ({registered.provider})", error.hint) from error
    return target, make_config(target, {**defaults, **values}, where or f"[{registered.kind}] of `{registered.name}`")


def config_values(config: Any) -> dict[str, Any]:
    """Every value of a config as TOML can hold it: tuples are lists, None is left out. ``{}`` for None."""
    if config is None:
        return {}
    return {f.name: plain for f in dataclasses.fields(config) if (plain := _plain(getattr(config, f.name))) is not None}


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return config_values(value)
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items() if item is not None}
    if isinstance(value, frozenset | set):
        return sorted(_plain(item) for item in value)
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return value


def _nearest(key: str, types: Mapping[str, Any]) -> str:
    return nearest(key, types, "the settings are") if types else "it has no settings"


def _quoted(values: Mapping[str, Any]) -> str:
    return ", ".join(f"`{key}`" for key in values)
