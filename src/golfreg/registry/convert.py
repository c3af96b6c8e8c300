"""One value to one annotated type, without loss, or ``Mismatch``."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Union

_INT64 = 1 << 63


class Mismatch(Exception):
    """``value`` at ``path`` (``[2]``, ``.key``) inside a setting is not of type ``expected``."""

    def __init__(self, value: object, expected: Any, path: str = "") -> None:
        super().__init__(path)
        self.expected = expected
        self.path = path
        text = repr(value)
        self.shown = text if len(text) <= 60 else text[:57] + "..."


def field_types(config_type: type) -> dict[str, Any]:
    """The type of each field that ``__init__`` takes; where an annotation cannot be read, that of its default."""
    try:
        hints = typing.get_type_hints(config_type)
    except Exception:
        hints = {}
    result = {}
    for field in dataclasses.fields(config_type):
        if field.init:
            fallback = type(field.default) if field.default is not dataclasses.MISSING else Any
            result[field.name] = hints.get(field.name, Any if fallback is type(None) else fallback)
    return result


def convert(value: Any, expected: Any, path: str = "") -> Any:
    """``value`` as ``expected``: the scalars, Literal, unions, tuples, lists, sets, mappings, dataclasses and Any."""
    origin = typing.get_origin(expected)
    arguments = typing.get_args(expected)
    if expected is Any or expected is object:
        return tuple(value) if isinstance(value, list) else value
    if origin is typing.Annotated:
        return convert(value, arguments[0], path)
    if origin in (Union, types.UnionType):
        return _one_of(value, expected, arguments, path)
    if origin is Literal:
        for allowed in arguments:
            if type(value) is type(allowed) and value == allowed:
                return value
        raise Mismatch(value, expected, path)
    container = origin or expected
    if not isinstance(container, type):
        return value
    if issubclass(container, tuple):
        return _to_tuple(value, expected, arguments, path)
    if issubclass(container, set | frozenset | list) or container is Sequence:
        items = _items(value, expected, path)
        element = arguments[0] if arguments else Any
        made = [convert(item, element, f"{path}[{i}]") for i, item in enumerate(items)]
        make: Any = tuple if container is Sequence else container
        return make(made)
    if issubclass(container, Mapping):
        if not isinstance(value, Mapping):
            raise Mismatch(value, expected, path)
        of_key, of_item = arguments or (Any, Any)
        return {convert(k, of_key, path): convert(v, of_item, f"{path}.{k}") for k, v in value.items()}
    return _scalar(value, container, path)


def _scalar(value: Any, expected: type, path: str) -> Any:
    if dataclasses.is_dataclass(expected) and isinstance(value, Mapping):
        known = field_types(expected)
        for key in value:
            if key not in known:
                raise Mismatch(value, expected, f"{path}.{key}")
        return expected(**{key: convert(item, known[key], f"{path}.{key}") for key, item in value.items()})
    if expected is float and type(value) is int and abs(value) < _INT64:
        return float(value)
    if expected is float and type(value) is float and math.isnan(value):
        raise Mismatch(value, expected, path)
    if expected is int and (type(value) is not int or abs(value) >= _INT64):
        raise Mismatch(value, expected, path)
    if expected is types.NoneType and value is None:
        return None
    if isinstance(value, expected) and not (expected in (int, float) and isinstance(value, bool)):
        return value
    raise Mismatch(value, expected, path)


def _one_of(value: Any, expected: Any, choices: tuple[Any, ...], path: str) -> Any:
    """The exact type first, so that 1 in ``float | int`` stays an int."""
    for choice in sorted(choices, key=lambda c: c is not type(value)):
        try:
            return convert(value, choice, path)
        except Mismatch:
            continue
    raise Mismatch(value, expected, path)


def _to_tuple(value: Any, expected: Any, arguments: tuple[Any, ...], path: str) -> tuple[Any, ...]:
    items = _items(value, expected, path)
    if not arguments:
        return tuple(tuple(item) if isinstance(item, list) else item for item in items)
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return tuple(convert(item, arguments[0], f"{path}[{i}]") for i, item in enumerate(items))
    if len(items) != len(arguments):
        raise Mismatch(value, expected, path)
    pairs = zip(items, arguments, strict=True)
    return tuple(convert(item, of_item, f"{path}[{i}]") for i, (item, of_item) in enumerate(pairs))


def _items(value: Any, expected: Any, path: str) -> Sequence[Any]:
    if isinstance(value, list | tuple):
        return value
    raise Mismatch(value, expected, path)


_WORDS: dict[Any, str] = {
    bool: "true or false",
    int: "an integer",
    float: "a number",
    str: "a string",
    types.NoneType: "unset",
    Any: "anything",
}


def describe(expected: Any) -> str:
    """The type in a user's words: ``a list of integers``, ``one of "a", "b"``."""
    if expected in _WORDS:
        return _WORDS[expected]
    origin = typing.get_origin(expected)
    arguments = typing.get_args(expected)
    if origin is Literal:
        return "one of " + ", ".join(f'"{a}"' if isinstance(a, str) else str(a).lower() for a in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(describe(a) for a in arguments if a is not types.NoneType)
    container = origin or expected
    if isinstance(container, type) and issubclass(container, Mapping):
        return f"a table of {_plural(arguments[1])}" if arguments else "a table"
    if isinstance(container, type) and issubclass(container, tuple | list | set | frozenset | Sequence):
        if len(arguments) > 1 and Ellipsis not in arguments:
            return f"a list of {len(arguments)}: {', '.join(describe(a) for a in arguments)}"
        return f"a list of {_plural(arguments[0])}" if arguments else "a list"
    if isinstance(container, type) and dataclasses.is_dataclass(container):
        return f"a table with {', '.join(field_types(container))}"
    return getattr(expected, "__name__", str(expected))


def _plural(expected: Any) -> str:
    text = describe(expected)
    head, _, rest = text.partition(" ")
    return f"{rest}s" if head in ("a", "an") and " " not in rest else f"values, each {text}"
