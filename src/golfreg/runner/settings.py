"""Which settings reach a component: its pattern's defaults, the flat keys of its kind's table, its own table.

A table inside ``[architecture]`` or ``[mixer]`` that is named after a component configures that
component only, or, where the name is the one that several patterns share a target with, all of them.
Of two values for one key the one from the higher layer wins, and in one layer the more specific.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from golfreg.api import Component
from golfreg.config.load import DEFAULT, Loaded, Origin, unknown_key
from golfreg.registry.host import get_host
from golfreg.registry.records import Registered
from golfreg.registry.resolve import resolve
from golfreg.rules.ruleset import load_ruleset
from golfreg.runner.observing import check_observers


def component_settings(
    loaded: Loaded, component: Registered, *, flat: bool = True
) -> tuple[dict[str, Any], dict[str, str]]:
    """Values for a component's ``Config`` and the origin of each. ``flat``: the kind's flat keys are for it."""
    kind, descriptor = component.kind, component.descriptor
    table: Mapping[str, Any] = loaded.observer if kind == "observer" else getattr(loaded.spec, kind)
    relatives = {c.name for c in get_host().of_kind(kind) if c.target == component.target}
    names = {c.name for c in get_host().of_kind(kind)}
    candidates: list[tuple[int, int, str, Any, str]] = [
        (0, 0, key, value, f"pattern {descriptor.name}") for key, value in defaults_of(descriptor).items()
    ]
    for key, value in table.items():
        if isinstance(value, Mapping) and kind == "mixer" and key not in names:
            raise unknown_key(f"{kind}.{key}", names, _origin(loaded, f"{kind}.{key}").text)
        if isinstance(value, Mapping) and key in names:
            if key in relatives:
                specificity = 3 if key == component.name else 2
                candidates += [
                    (origin.rank, specificity, inner, v, origin.text)
                    for inner, v in value.items()
                    for origin in [_origin(loaded, f"{kind}.{key}.{inner}")]
                ]
        elif flat:
            origin = _origin(loaded, f"{kind}.{key}")
            candidates.append((origin.rank, 1, key, value, origin.text))
    values, origins = {}, {}
    for _, _, key, value, text in sorted(candidates, key=lambda c: c[:2]):
        values[key], origins[key] = value, text
    return values, origins


def check_names(loaded: Loaded) -> None:
    """Raise for a component, observer or ruleset that nobody provides, importing no target."""
    spec = loaded.spec
    load_ruleset(spec.ruleset)
    check_observers(loaded)
    for kind in ("architecture", "quantizer", "codec", "corpus"):
        resolve(kind, getattr(spec.components, kind).partition(":")[0])


def defaults_of(descriptor: Component) -> Mapping[str, Any]:
    """What a named pattern fixes; nothing for kinds that have no patterns."""
    return getattr(descriptor, "defaults", {})


def unused_tables(loaded: Loaded, mixers: set[str]) -> list[str]:
    """Warnings for mixers that a user, not a recipe, configured and this architecture does not use."""
    warnings = []
    for key, value in loaded.spec.mixer.items():
        origin = _origin(loaded, f"mixer.{key}")
        if isinstance(value, Mapping) and key not in mixers and origin.rank > 1:
            warnings.append(f"{origin.text} configures mixer `{key}`, which this architecture does not use")
    return warnings


def _origin(loaded: Loaded, key: str) -> Origin:
    """Origin of a key, or the highest of those below it when it is a table."""
    below = [o for k, o in loaded.origins.items() if k == key or k.startswith(f"{key}.")]
    return max(below, key=lambda o: o.rank, default=DEFAULT)
