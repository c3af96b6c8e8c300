"""Layered settings: flags > ``--set`` > ``GOLFREG_*`` > recipe > default, with the origin of each value."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, get_type_hints

from golfreg.api.errors import ConfigError, nearest
from golfreg.config import strict
from golfreg.config.observing import NAMES, ObservedSpec, observer_names
from golfreg.config.spec import SPEC_SCHEMA, RunSpec

RECIPES_DIR = Path(__file__).parent.parent / "recipes"
MAX_RECIPE_BYTES = 1_000_000
MAX_EXTENDED = 4
ENVIRONMENT_PREFIX = "GOLFREG_"
OTHER_VARIABLES = frozenset(
    {
        "GOLFREG_CACHE",
        "GOLFREG_RUNS",
        "GOLFREG_DISABLE_PLUGINS",
        "GOLFREG_STRICT_PLUGINS",
        "GOLFREG_WAIT_FOR_GO",
        "GOLFREG_RANK",
    }
)
"""Environment variables that are read elsewhere and are no settings of a run."""

COMPONENT_TABLES = ("architecture", "mixer", "quantizer", "codec")


@dataclass(frozen=True)
class Origin:
    """Where a value came from. A higher ``rank`` wins."""

    rank: int
    text: str


DEFAULT = Origin(0, "default")


@dataclass(frozen=True)
class Loaded:
    """A spec, and for each dotted key that was set anywhere, where.

    ``observers``, ``observer``: see ``golfreg.config.observing``; they are no part of the spec.
    """

    spec: RunSpec
    origins: dict[str, Origin]
    observers: tuple[str, ...] = ObservedSpec.observers
    observer: dict[str, Any] = field(default_factory=dict)

    def origin(self, key: str) -> Origin:
        return self.origins.get(key, DEFAULT)


def load_spec(
    recipe: Path | None,
    environment: Mapping[str, str],
    sets: Iterable[str] = (),
    flags: Mapping[str, tuple[str, Any]] | None = None,
) -> Loaded:
    """Combine the layers. ``sets``: ``key=value`` texts; ``flags``: dotted key to (flag as typed, value).

    Raises ConfigError for an unknown key (with the nearest one), a wrong type or a malformed value.
    """
    spec = ObservedSpec()
    origins: dict[str, Origin] = {}
    layers: list[tuple[Origin, dict[str, Any]]] = []
    if recipe is not None:
        layers += [(Origin(1, f"recipe {path.name}"), tables) for path, tables in read_recipes(recipe)]
    for key, text in _from_environment(environment):
        layers.append(
            (Origin(2, f"{ENVIRONMENT_PREFIX}{key.upper().replace('.', '__')}"), nest(key, parse_value(text)))
        )
    for item in sets:
        key, equals, text = item.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"`--set {item}` has no value", "write `--set mixer.d_state=128`")
        layers.append((Origin(3, f"--set {item}"), nest(key.strip(), parse_value(text.strip()))))
    for key, (flag, value) in (flags or {}).items():
        layers.append((Origin(4, flag), nest(key, value)))
    for origin, layer in layers:
        spec = _apply(spec, layer, "", origin, origins)
    return Loaded(spec.run_spec(), origins, spec.observers, spec.observer)


def read_recipe(path: Path) -> dict[str, Any]:
    """A recipe's tables. InputError: not readable, too large, not UTF-8, not TOML, or of a newer schema."""
    where = f"recipe `{path}`"
    data = strict.parse_toml(strict.read_text(path, "recipe", MAX_RECIPE_BYTES), where)
    strict.take_schema(data, SPEC_SCHEMA, where)
    data.pop("summary", None)
    return data


def read_recipes(path: Path) -> list[tuple[Path, dict[str, Any]]]:
    """A recipe after the one that it ``extends``, and so on: a shipped one's name, or a file beside it.

    ConfigError for a chain that is circular or longer than ``MAX_EXTENDED``.
    """
    chain: list[tuple[Path, dict[str, Any]]] = []
    following: Path | None = path
    while following is not None:
        if len(chain) > MAX_EXTENDED:
            raise ConfigError(
                f"recipe `{path}` extends a recipe that extends a recipe, {len(chain)} times",
                f"at most {MAX_EXTENDED} in a row, none of them itself",
            )
        tables = read_recipe(following)
        base = tables.pop("extends", None)
        if base is not None and not (isinstance(base, str) and base.strip()):
            raise ConfigError(f"recipe `{following}`: `extends` is {base!r}", 'write `extends = "smoke"`')
        chain.insert(0, (following, tables))
        following = None if base is None else _extended(following, base)
    return chain


def _extended(recipe: Path, base: str) -> Path:
    return recipe.parent / base if base.endswith(".toml") else RECIPES_DIR / f"{base}.toml"


def parse_value(text: str) -> Any:
    """A value as TOML, or the text itself where that is no TOML value: ``128``, ``true``, ``[2, 5]``, ``lzma``."""
    try:
        table = tomllib.loads(f"value = {text}")
    except (tomllib.TOMLDecodeError, RecursionError):
        return text
    return table["value"] if len(table) == 1 else text


def nest(key: str, value: Any) -> dict[str, Any]:
    """``nest("a.b", 1) == {"a": {"b": 1}}``."""
    for part in reversed(key.split(".")):
        value = {part: value}
    return value  # type: ignore[no-any-return]


def unknown_key(key: str, known: Iterable[str], where: str) -> ConfigError:
    """The error for a key that nothing reads, with the nearest one that is read."""
    return ConfigError(f"{where}: there is no setting `{key}`", nearest(key.rpartition(".")[2], known, "known"))


def _from_environment(environment: Mapping[str, str]) -> list[tuple[str, str]]:
    top = {f.name for f in fields(ObservedSpec)}
    found = []
    for name, text in sorted(environment.items()):
        if not name.startswith(ENVIRONMENT_PREFIX) or name in OTHER_VARIABLES:
            continue
        key = name.removeprefix(ENVIRONMENT_PREFIX).lower().replace("__", ".")
        if key.partition(".")[0] not in top:
            raise unknown_key(key, top, f"environment variable {name}")
        found.append((key, text))
    return found


def _apply(value: Any, layer: Mapping[str, Any], prefix: str, origin: Origin, origins: dict[str, Origin]) -> Any:
    types = get_type_hints(type(value))
    changes: dict[str, Any] = {}
    for key, new in layer.items():
        dotted = f"{prefix}{key}"
        if key not in types:
            raise unknown_key(dotted, types, origin.text)
        old = getattr(value, key)
        if is_dataclass(old) or isinstance(old, dict):
            if not isinstance(new, Mapping):
                raise ConfigError(f"{origin.text}: `{dotted}` is a table, not {new!r}", f"write `{dotted}.KEY = VALUE`")
            if isinstance(old, dict):
                changes[key] = _merge(old, new, dotted, origin, origins)
            else:
                changes[key] = _apply(old, new, f"{dotted}.", origin, origins)
        else:
            changes[key] = check_type(new, types[key], dotted, origin.text)
            origins[dotted] = origin
    return replace(value, **changes)


def _merge(
    old: Mapping[str, Any], new: Mapping[str, Any], prefix: str, origin: Origin, origins: dict[str, Origin]
) -> dict[str, Any]:
    merged = dict(old)
    for key, value in new.items():
        dotted = f"{prefix}.{key}"
        if isinstance(value, Mapping):
            below = merged.get(key, {})
            if not isinstance(below, dict):
                set_by = origins.get(dotted, DEFAULT).text
                raise ConfigError(
                    f"{origin.text}: `{dotted}` is {below!r} ({set_by}) and no table",
                    f"set `{dotted}` to a table in both places, or change one of them",
                )
            merged[key] = _merge(below, value, dotted, origin, origins)
        else:
            merged[key] = value
            origins[dotted] = origin
    return merged


def check_type(value: Any, expected: Any, key: str, where: str) -> Any:
    """The value as ``str``, ``int``, ``float`` (an integer will do) or ``bool``, or a ConfigError."""
    if expected == NAMES:
        return observer_names(value, key, where)
    if expected is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if type(value) is not expected:
        raise ConfigError(
            f"{where}: `{key}` must be {_TYPE_NAMES[expected]}, not {value!r}", f"write `{key} = {_EXAMPLES[expected]}`"
        )
    if expected is float and not (-1e300 < value < 1e300):
        raise ConfigError(f"{where}: `{key}` must be a finite number, not {value!r}", "give a number")
    return value


_TYPE_NAMES = {str: "text", int: "an integer", float: "a number", bool: "true or false"}
_EXAMPLES = {str: '"text"', int: "3", float: "0.5", bool: "true"}
