"""Dataclasses of facts from the tables of ``quick_toml``, whose every value is one that may stand in a file.

Looks at the types of a dataclass once, and never says where in a file it is. For tables that are as
they should be; of any other, only that it is not.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from functools import cache, partial
from typing import Any, Union, get_args, get_origin, get_type_hints

from golfreg.api.errors import InputError
from golfreg.config.quick_toml import Unusual

Read = Callable[[Any], Any]


def quickly(cls: Any, table: Any) -> Any:
    """Make the dataclass ``cls`` of ``table``, as ``strict.build`` does. Unusual: ask that."""
    if type(table) is not dict:
        raise Unusual
    values = {}
    for name, read, required in _plan(cls):
        if name in table:
            values[name] = read(table[name])
        elif required:
            raise Unusual
    if len(values) != len(table):
        raise Unusual
    try:
        return cls(**values)
    except InputError as error:
        raise Unusual from error


@cache
def _plan(cls: Any) -> list[tuple[str, Read, bool]]:
    """Name, how to read it, whether it must be there."""
    hints = get_type_hints(cls)
    return [
        (field.name, reader(hints[field.name]), field.default is MISSING and field.default_factory is MISSING)
        for field in fields(cls)
    ]


def without_none(kind: Any) -> Any:
    """The type of a field without ``| None``."""
    if get_origin(kind) in (Union, types.UnionType):
        return next(one for one in get_args(kind) if one is not types.NoneType)
    return kind


def reader(kind: Any) -> Read:
    """What makes a value of the type ``kind``, or raises Unusual."""
    kind = without_none(kind)
    origin, arguments = get_origin(kind), get_args(kind)
    if is_dataclass(kind):
        return partial(quickly, kind)
    if origin is dict:
        return partial(_table, reader(arguments[1]))
    if origin is tuple:
        return partial(_list, reader(arguments[0]))
    return {Any: _free, float: _number}.get(kind, partial(_scalar, kind))


def _scalar(kind: type, value: Any) -> Any:
    if type(value) is kind:
        return value
    raise Unusual


def _number(value: Any) -> float:
    if type(value) is float or type(value) is int:
        return float(value)
    raise Unusual


def _free(value: Any) -> Any:
    """A setting of any type."""
    return value


def _table(read: Read, table: Any) -> dict[str, Any]:
    """Values of one kind by name."""
    if type(table) is dict:
        return {name: read(value) for name, value in table.items()}
    raise Unusual


def _list(read: Read, values: Any) -> tuple[Any, ...]:
    if type(values) is list:
        return tuple(map(read, values))
    raise Unusual
