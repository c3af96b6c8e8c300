"""The names of a new plugin, made from the one that its author gives, and what they clash with."""

from __future__ import annotations

import re
from dataclasses import dataclass

from golfreg.api.errors import ConfigError
from golfreg.registry.discover import normalized
from golfreg.registry.host import Host
from golfreg.scaffold.kinds import Kind

PREFIX = "golfreg-"
LONGEST = 40
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?\Z")


@dataclass(frozen=True)
class Names:
    """What a user types, what pip calls it (as package indexes normalize it), and what is imported."""

    component: str
    distribution: str
    package: str


def check_name(name: str) -> Names:
    """The names for a plugin; a leading ``golfreg-`` is the distribution's, not the component's.

    Raises ``ConfigError`` for what is no component name, no distribution name, or too long.
    """
    component = name.removeprefix(PREFIX)
    if not _NAME.match(component):
        lower = re.sub(r"[^a-z0-9._-]+", "-", component[:LONGEST].lower()).strip("._-")
        guess = f"; `{lower}` would do" if _NAME.match(lower) else ""
        raise ConfigError(
            f"{name[:100]!r} cannot be the name of a plugin",
            hint="lower-case letters, digits, and between them `-`, `_` or `.`" + guess,
        )
    if len(component) > LONGEST:
        raise ConfigError(f"the name `{component[:60]}` has {len(component)} characters", f"at most {LONGEST}")
    distribution = normalized(PREFIX + component)
    return Names(component, distribution, distribution.replace("-", "_"))


def check_clashes(names: Names, kind: Kind, host: Host) -> None:
    """Raise ``ConfigError`` if something installed has the component's name, or the distribution's."""
    for provided in kind.provides:
        op = (kind.op or names.component) if provided == "kernel" else None
        for component in host.named(provided, names.component, op):
            raise ConfigError(
                f"{component.label} is provided by {component.provider} already",
                hint="choose another name: of two providers of one name neither can be used",
            )
    failed = [failure.provider for failure in host.failures]
    for provider in (*(c.provider for c in host.components), *failed):
        if normalized(provider.distribution) == names.distribution:
            raise ConfigError(
                f"the distribution {provider.distribution} {provider.version} is installed already",
                hint=f"choose another name, or `pip uninstall {provider.distribution}` first",
            )
