"""Resolves the observers that a user chose, with their settings. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping

from golfreg.api.errors import ConfigError
from golfreg.config.load import DEFAULT, Loaded, Origin, unknown_key
from golfreg.registry.host import get_host
from golfreg.registry.resolve import resolve


def check_observers(loaded: Loaded) -> None:
    """Raise for an observer that nobody provides and for a setting in no observer's table; imports no target."""
    for name in loaded.observers:
        resolve("observer", name)
    known = {c.name for c in get_host().of_kind("observer")}
    for key, value in loaded.observer.items():
        if not isinstance(value, Mapping):
            raise ConfigError(
                f"{loaded.origin(f'observer.{key}').text}: `observer.{key}` is no setting",
                f"settings are an observer's own: `[observer.NAME]`, or `--set observer.NAME.{key}={value}`",
            )
        if key not in known:
            raise unknown_key(f"observer.{key}", known, origin_below(loaded, key).text)


def origin_below(loaded: Loaded, name: str) -> Origin:
    """The highest origin of an observer's settings."""
    below = [origin for key, origin in loaded.origins.items() if key.startswith(f"observer.{name}.")]
    return max(below, key=lambda o: o.rank, default=DEFAULT)


def unused_observers(loaded: Loaded) -> list[str]:
    """Warnings for observers that a user, not a recipe, configured and did not choose."""
    return [
        f"{origin.text} configures observer `{name}`, which is not chosen: add `--observer {name}`"
        for name in sorted(loaded.observer.keys() - set(loaded.observers))
        if (origin := origin_below(loaded, name)).rank > 1
    ]
