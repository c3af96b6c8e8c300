"""Dataclasses of facts from tables that are as they should be; of any other, only that it is not.

Holds a table against the rules of ``golfreg.config.strict``, about five times as fast, since it
looks at the types of a dataclass once and never says where it is. ``quick.build`` comes here
first, and asks ``strict.build``, which decides and has a message, whenever this raises ``Unusual``.
"""

from __future__ import annotations

import math
import types
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import MISSING, fields, is_dataclass
from functools import cache, partial
from operator import itemgetter
from typing import Any, NamedTuple, Union, get_args, get_origin, get_type_hints

from golfreg.api.errors import InputError
from golfreg.config.quick_toml import Shared
from golfreg.config.strict import INTEGER_LIMIT, MAX_DEPTH, MAX_KEY

Read = Callable[[Any], Any]
Get = Callable[[Any], tuple[Any, ...]]


class Unusual(Exception):
    """Something is not as it should be, or too unusual to tell."""


class Plan(NamedTuple):
    """How a class is read. A getter takes the table and gives the values of some fields, all at once."""

    names: tuple[str, ...]
    fields: tuple[tuple[str, Read, bool], ...]
    """Name, how to read it, whether it must be there."""
    scalars: Get
    types: tuple[type, ...]
    """Of ``scalars``, which are ``texts`` and ``numbers``."""
    texts: Get
    numbers: Get
    others: tuple[tuple[str, Read], ...]
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
    values = _all_there(plan, table) if len(table) == len(plan.names) else None
    if values is None:
        values = _one_by_one(plan, table)
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


def _all_there(plan: Plan, table: Any) -> dict[str, Any] | None:
    """The values of a table with every field, each of its very type; None if this cannot tell."""
    try:
        scalars = plan.scalars(table)
    except KeyError:
        return None
    if tuple(map(type, scalars)) != plan.types:
        return None
    _check_texts(plan.texts(table))
    _check_numbers(plan.numbers(table))
    if not plan.others:
        return table  # type: ignore[no-any-return]
    values = dict(table)
    for name, read in plan.others:
        if name not in table:
            return None
        values[name] = read(table[name])
    return values


def _one_by_one(plan: Plan, table: Any) -> dict[str, Any]:
    values = {}
    for name, read, required in plan.fields:
        if name in table:
            values[name] = read(table[name])
        elif required:
            raise Unusual
    if len(values) != len(table):
        raise Unusual
    return values


@cache
def _plan(cls: Any) -> Plan:
    hints = get_type_hints(cls)
    kinds = {field.name: hints[field.name] for field in fields(cls)}
    scalars = {name: kind for name, kind in kinds.items() if kind in _SCALARS}
    return Plan(
        names=tuple(kinds),
        fields=tuple(
            (field.name, _reader(kinds[field.name]), field.default is MISSING and field.default_factory is MISSING)
            for field in fields(cls)
        ),
        scalars=_getter(list(scalars)),
        types=tuple(scalars.values()),
        texts=_getter([name for name, kind in scalars.items() if kind is str]),
        numbers=_getter([name for name, kind in scalars.items() if kind is not str]),
        others=tuple((name, _reader(kind)) for name, kind in kinds.items() if kind not in _SCALARS),
        checks_itself=hasattr(cls, "__post_init__"),
    )


def _getter(names: list[str]) -> Get:
    """A function that gives these items of a table as a tuple; KeyError if one is not there."""
    if not names:
        return lambda table: ()
    if len(names) == 1:
        (name,) = names
        return lambda table: (table[name],)
    return itemgetter(*names)


def _check_texts(texts: Iterable[Any]) -> None:
    if not "".join(texts).isprintable():
        raise Unusual


def _check_numbers(numbers: Sequence[Any]) -> None:
    # Neither an infinity nor a NaN is lost in a sum.
    if numbers and not (-INTEGER_LIMIT <= min(numbers) <= max(numbers) < INTEGER_LIMIT and math.isfinite(sum(numbers))):
        raise Unusual


def _scalars(values: Collection[Any]) -> None:
    """Unusual unless these values, whose types are right, may stand in a file."""
    texts = [value for value in values if type(value) is str]
    _check_texts(texts)
    if len(texts) < len(values):
        _check_numbers([value for value in values if type(value) is not str])


def _reader(kind: Any) -> Read:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _reader(next(one for one in arguments if one is not type(None)))
    if is_dataclass(kind):
        return partial(quickly, kind)
    if origin is dict:
        return partial(_tables, arguments[1], _reader(arguments[1]))
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
    if not table:
        return {}
    _keys(table)
    if depth < MAX_DEPTH and _SCALARS.issuperset(map(type, table.values())):
        _scalars(table.values())
        return dict(table)
    return {key: _free(item, depth + 1) for key, item in table.items()}


def _keys(table: Any) -> None:
    """Unusual unless every key is a short printable name."""
    if set(map(type, table)) != {str}:
        raise Unusual
    joined = "".join(table)
    if "" in table or not joined.isprintable() or (len(joined) > MAX_KEY and len(max(table, key=len)) > MAX_KEY):
        raise Unusual


def _tables(kind: Any, read: Read, table: Any) -> Any:
    """A table of values of one kind by name."""
    if type(table) is not dict and type(table) is not Shared:
        raise Unusual
    if not table:
        return {}
    _keys(table)
    values = table.values()
    if kind in _SCALARS and set(map(type, values)) == {kind}:
        _scalars(values)
        return dict(table)
    return dict(zip(table, map(read, values), strict=True))


def _list(read: Read, values: Any) -> Any:
    if type(values) is list:
        return tuple(map(read, values))
    raise Unusual


def _unknown(value: Any) -> Any:
    raise Unusual


_SCALARS = frozenset((str, int, float, bool))
_READERS: dict[Any, Read] = {str: _text, int: _integer, float: _number, bool: _truth, Any: _free}
