"""Settings by role and by row group: what a quantizer's setting ``overrides`` holds. Any quantizer may take it.

A role has a table, and in it each of its row groups has one; the row group's settings go over the role's::

    [quantizer.overrides]
    mlp_down.bits = 5
    in_proj.clip_std = 6
    in_proj.dt.bits = 8

or ``--set quantizer.overrides.in_proj.dt.bits=8``. A number in place of a table is the first setting, the bits:
``in_proj.dt = 8``. ``"in_proj.dt"`` as one quoted key means the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from golfreg.api.errors import ConfigError, nearest
from golfreg.api.values import Role


def flat_overrides(overrides: Any, settings: Sequence[str]) -> dict[str, dict[str, Any]]:
    """``role`` and ``role.group`` to their settings. ``settings``: the names that a table may hold.

    ConfigError for what has not the shape above; the values are the caller's to check.
    """
    if not isinstance(overrides, Mapping):
        raise ConfigError(
            f"overrides is {overrides!r}", f"a table of settings by role and row group: in_proj.dt.{settings[0]} = 8"
        )
    found: dict[str, dict[str, Any]] = {}

    def take(name: str, value: Any) -> None:
        if not isinstance(value, Mapping):
            value = {settings[0]: value}
        for key, inner in value.items():
            if key in settings:
                found.setdefault(name, {})[key] = inner
            elif "." in name:
                raise ConfigError(f"overrides.{name} has no setting `{key}`", nearest(key, settings, "known"))
            else:
                take(f"{name}.{key}", inner)

    for name, value in overrides.items():
        take(str(name), value)
    return found


def override(flat: Mapping[str, Mapping[str, Any]], role: str, group: str, setting: str, otherwise: Any) -> Any:
    """The setting of a row group: its own, else its role's, else ``otherwise``."""
    of_role = flat.get(role, {}).get(setting, otherwise)
    return flat.get(f"{role}.{group}", {}).get(setting, of_role)


def check_overrides(flat: Mapping[str, Any], settings: Iterable[str], roles: Iterable[Role]) -> None:
    """ConfigError, with the nearest name, for a role or a row group that no parameter of the model has."""
    groups: dict[str, set[str]] = {}
    for role in roles:
        groups.setdefault(role.name, set()).update(group for group, _ in role.groups)
    for name in flat:
        role_name, _, group = name.partition(".")
        if role_name not in groups:
            raise ConfigError(
                f"overrides: the model has no parameter of role `{role_name}`",
                nearest(role_name, groups, "its roles are"),
            )
        if group and group not in groups[role_name]:
            raise ConfigError(
                f"overrides: `{role_name}` has no row group or setting `{group}`",
                nearest(group, groups[role_name] | set(settings), "known"),
            )
