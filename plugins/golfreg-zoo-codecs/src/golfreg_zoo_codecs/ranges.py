"""One check for all settings."""

from __future__ import annotations

from golfreg.api.errors import ConfigError


def in_range(codec: str, name: str, value: object, lowest: int, highest: int) -> None:
    """Raise ``ConfigError`` unless ``value`` is a whole number of the range."""
    if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
        raise ConfigError(f"codec `{codec}`: {name} is {value!r}", hint=f"a whole number from {lowest} to {highest}")
