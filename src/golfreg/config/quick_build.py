"""Dataclasses of facts from tables that are as they should be; of any other, only that it is not.

Holds a table against the rules of ``golfreg.config.strict``, about five times as fast, since it
looks at the types of a dataclass once and never says where it is. ``strict.build`` comes here
first, and asks its own slower way, which decides and has a message, whenever this raises
``Unusual``.
"""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Collection
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import cache, partial
from typing import Any, Union, get_args, get_origin, get_type_hints

from golfreg.api.errors import InputError
from golfreg.config.quick_toml import Shared

MAX_DEPTH = 8
MAX_KEY = 200
INTEGER_LIMIT = 2**63

Read = Callable[[Any], Any]


class Unusual(Exception):
    """Something is not as it should be, or too unusual to tell."""


@dataclass(frozen=True)
class Plan:
    """How a class is read. ``scalars``: the type of each field, if all are scalars."""

    names: tuple[str, ...]
    fields: tuple[tuple[str, Read, bool], ...]
    """Name, how to read it, whether it must be there."""
    scalars: tuple[type, ...] | None
    checks_itself: bool


def quickly(cls: Any, table: Any) -> Any:
    """Make the dataclass ``cls`` of ``table``. Unusual: ask ``strict.build``."""
    kind = type(table)
    if kind is Shared:
        found = table.built.get(cls)
        if found is not None:
            return found
    elif kind is not dict:
        raise Unusual
    plan = _plan(cls)
    if plan.scalars is not None and tuple(map(type, table.values())) == plan.scalars and tuple(table) == plan.names:
        _scalars(table.values())
        values = table
    else:
        values = {}
        for name, read, required in plan.fields:
            if name in table:
                values[name] = read(table[name])
            elif required:
                raise Unusual
        if len(values) != len(table):
            raise Unusual
    try:
        if len(values) == len(plan.names):
            # What the class's own __init__ does, which sets the fields of a frozen class one by one.
            built = object.__new__(cls)
            built.__dict__.update(values)
            if plan.checks_itself:
                built.__post_init__()
        else:
            built = cls(**values)
    except InputError as error:
        raise Unusual from error
    if kind is Shared:
        table.built[cls] = built
    return built


@cache
def _plan(cls: Any) -> Plan:
    hints = get_type_hints(cls)
    kinds = tuple(hints[field.name] for field in fields(cls))
    return Plan(
        tuple(field.name for field in fields(cls)),
        tuple(
            (field.name, _reader(kind), field.default is MISSING and field.default_factory is MISSING)
            for field, kind in zip(fields(cls), kinds, strict=True)
        ),
        kinds if _SCALARS.issuperset(kinds) else None,
        hasattr(cls, "__post_init__"),
    )


def _scalars(values: Collection[Any]) -> None:
    """Unusual unless these values, whose types are right, may stand in a file."""
    texts = [value for value in values if type(value) is str]
    if texts and not "".join(texts).isprintable():
        raise Unusual
    if len(texts) < len(values):
        numbers = [value for value in values if type(value) is not str]
        # Neither an infinity nor a NaN is lost in a sum.
        if not -INTEGER_LIMIT <= min(numbers) <= max(numbers) < INTEGER_LIMIT or not math.isfinite(sum(numbers)):
            raise Unusual


def _reader(kind: Any) -> Read:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _reader(next(one for one in arguments if one is not type(None)))
    if is_dataclass(kind):
        return partial(quickly, kind)
    if origin is dict:
        return partial(_tables, _reader(arguments[1]))
    if origin is tuple:
        return partial(_list, _reader(arguments[0]))
    return _READERS.get(kind, _unknown)


def _text(value: Any) -> Any:
    if type(value) is str and value.isprintable():
        return value
    raise Unusual


def _integer(value: Any) -> Any:
    if type(value) is int and -INTEGER_LIMIT <= value < INTEGER_LIMIT:
        return value
    raise Unusual


def _number(value: Any) -> Any:
    if type(value) is float and math.isfinite(value):
        return value
    return float(_integer(value))


def _truth(value: Any) -> Any:
    if type(value) is bool:
        return value
    raise Unusual


def _free(value: Any, depth: int = 0) -> Any:
    """A setting of any type."""
    kind = type(value)
    if depth > MAX_DEPTH:
        raise Unusual
    if kind is Shared and depth + 2 <= MAX_DEPTH:
        # Such a table holds values and lists of values, nothing deeper.
        found = value.built.get(Any)
        if found is None:
            found = value.built[Any] = _free_table(value, 0)
        return found
    if kind is dict or kind is Shared:
        return _free_table(value, depth)
    if kind is list:
        return [_free(item, depth + 1) for item in value]
    return _READERS.get(kind, _unknown)(value)


def _free_table(table: Any, depth: int) -> Any:
    if depth < MAX_DEPTH and _SCALARS.issuperset(map(type, table.values())):
        if table:
            _scalars(table.values())
            _keys(table)
        return dict(table)
    return {_key(key): _free(item, depth + 1) for key, item in table.items()}


def _keys(table: Any) -> None:
    for key in table:
        if type(key) is not str:
            raise Unusual
    if "" in table or len(max(table, key=len)) > MAX_KEY or not "".join(table).isprintable():
        raise Unusual


def _key(key: Any) -> Any:
    if type(key) is str and 0 < len(key) <= MAX_KEY and key.isprintable():
        return key
    raise Unusual


def _tables(read: Read, table: Any) -> Any:
    if type(table) is dict or type(table) is Shared:
        return {_key(key): read(value) for key, value in table.items()}
    raise Unusual


def _list(read: Read, values: Any) -> Any:
    if type(values) is list:
        return tuple(map(read, values))
    raise Unusual


def _unknown(value: Any) -> Any:
    raise Unusual


_SCALARS = frozenset((str, int, float, bool))
_READERS: dict[Any, Read] = {str: _text, int: _integer, float: _number, bool: _truth, Any: _free}
