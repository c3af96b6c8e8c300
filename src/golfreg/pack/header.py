"""The artifact's header: what decoding needs, as JSON with every field checked.

A header is read from a file that may be damaged or hostile. ``parse_header`` takes nothing for
granted: types, ranges, names, sizes; whatever is wrong is an ``InputError`` that says where.
"""

from __future__ import annotations

import json
import math
import re
import reprlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from golfreg.api.errors import InputError
from golfreg.api.values import ITEM_BYTES, Layout
from golfreg.config.plan import Chosen

MAX_SECTIONS = 16_384
_MAX_DIMENSIONS = 8
_MAX_NAME = 512
_MAX_INTEGER = 2**53
_MAX_ELEMENTS = 2**40
_MAX_DEPTH = 16
_TARGET = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)
_PARTS = ("codes", "scale", "raw")
_CODE_RANGE = {"int8": (-128, 127), "uint8": (0, 255), "int16": (-32768, 32767)}
_KEYS = {
    "architecture", "mixers", "ops", "kernels", "quantizer", "codec", "vocab_size", "sequence_length", "bos_id",
    "dtype", "layouts", "streams",
}  # fmt: skip


@dataclass(frozen=True)
class Header:
    """What a model is built with. ``dtype``: the compute type, ``bfloat16`` or ``float32``."""

    architecture: Chosen
    quantizer: Chosen
    codec: Chosen
    vocab_size: int
    sequence_length: int
    bos_id: int | None = None
    dtype: str = "float32"
    mixers: dict[str, Chosen] = field(default_factory=dict)
    ops: dict[str, Chosen] = field(default_factory=dict)
    kernels: dict[str, Chosen] = field(default_factory=dict)

    def components(self) -> dict[str, Chosen]:
        """Every component by its kind, or by kind and name where there may be several."""
        return {
            "architecture": self.architecture,
            **{f"mixer {name}": c for name, c in self.mixers.items()},
            **{f"op {name}": c for name, c in self.ops.items()},
            **{f"kernel {name}": c for name, c in self.kernels.items()},
            "quantizer": self.quantizer,
            "codec": self.codec,
        }


@dataclass(frozen=True)
class StreamEntry:
    """Where one coded stream is: the sections that it holds, its bytes, its CRC-32."""

    sections: tuple[int, ...]
    nbytes: int
    crc: int


def header_json(header: Header, layouts: Sequence[Layout], streams: Sequence[StreamEntry]) -> bytes:
    """The header as JSON; the same values give the same bytes."""
    value = {
        "architecture": _plain_chosen(header.architecture),
        "mixers": {k: _plain_chosen(c) for k, c in sorted(header.mixers.items())},
        "ops": {k: _plain_chosen(c) for k, c in sorted(header.ops.items())},
        "kernels": {k: _plain_chosen(c) for k, c in sorted(header.kernels.items())},
        "quantizer": _plain_chosen(header.quantizer),
        "codec": _plain_chosen(header.codec),
        "vocab_size": header.vocab_size,
        "sequence_length": header.sequence_length,
        "bos_id": header.bos_id,
        "dtype": header.dtype,
        "layouts": [[y.tensor, y.group, y.part, y.role, y.dtype, list(y.shape), y.alphabet] for y in layouts],
        "streams": [[list(s.sections), s.nbytes, s.crc] for s in streams],
    }
    try:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise InputError(f"a setting cannot be stored in the artifact: {error}") from None


def parse_header(data: bytes) -> tuple[Header, tuple[Layout, ...], tuple[StreamEntry, ...]]:
    """Header, layouts and stream table of ``header_json``'s output, everything checked but the file's size."""
    value = _parse_json(data)
    if not isinstance(value, dict):
        raise _wrong("it", "an object", value)
    if set(value) != _KEYS:
        odd = sorted(set(value) ^ _KEYS)
        raise InputError(f"the artifact's header has unknown or missing keys: {', '.join(map(repr, odd[:5]))}")
    bos_id = value["bos_id"]
    header = Header(
        architecture=_chosen("architecture", value["architecture"]),
        quantizer=_chosen("quantizer", value["quantizer"]),
        codec=_chosen("codec", value["codec"]),
        vocab_size=_integer("vocab_size", value["vocab_size"], 1, 2**31),
        sequence_length=_integer("sequence_length", value["sequence_length"], 1, 2**31),
        bos_id=None if bos_id is None else _integer("bos_id", bos_id, 0, value["vocab_size"] - 1),
        dtype=_one_of("dtype", value["dtype"], ("bfloat16", "float16", "float32")),
        mixers=_choices("mixer", value["mixers"]),
        ops=_choices("op", value["ops"]),
        kernels=_choices("kernel", value["kernels"]),
    )
    layouts = tuple(_layout(i, y) for i, y in enumerate(_list("layouts", value["layouts"], MAX_SECTIONS)))
    seen: set[tuple[str, str, str]] = set()
    for y in layouts:
        if (y.tensor, y.group, y.part) in seen:
            raise InputError(f"the artifact's header has two {y.part} sections of `{y.tensor}` {y.group}".rstrip())
        seen.add((y.tensor, y.group, y.part))
    return header, layouts, _stream_table(value["streams"], len(layouts))


def _stream_table(value: Any, sections: int) -> tuple[StreamEntry, ...]:
    entries, held = [], set()
    for i, row in enumerate(_list("streams", value, MAX_SECTIONS)):
        where = f"stream {i}"
        if not isinstance(row, list) or len(row) != 3:
            raise _wrong(where, "[sections, bytes, crc]", row)
        members = tuple(_integer(where, n, 0, sections - 1) for n in _list(where, row[0], sections))
        if not members:
            raise InputError(f"the artifact's header: {where} holds no section")
        for n in members:
            if n in held:
                raise InputError(f"the artifact's header names section {n} in two places of the streams")
            held.add(n)
        entries.append(
            StreamEntry(members, _integer(where, row[1], 0, _MAX_INTEGER), _integer(where, row[2], 0, 2**32 - 1))
        )
    if len(held) != sections:
        missing = next(n for n in range(sections) if n not in held)
        raise InputError(f"the artifact's header: section {missing} is in no stream")
    return tuple(entries)


def _layout(i: int, row: Any) -> Layout:
    where = f"section {i}"
    if not isinstance(row, list) or len(row) != 7:
        raise _wrong(where, "[tensor, group, part, role, dtype, shape, alphabet]", row)
    tensor, group, part, role, dtype, shape, alphabet = row
    part, dtype = _one_of(f"part of {where}", part, _PARTS), _one_of(f"dtype of {where}", dtype, tuple(ITEM_BYTES))
    dimensions = tuple(
        _integer(f"shape of {where}", n, 0, _MAX_INTEGER) for n in _list(f"shape of {where}", shape, _MAX_DIMENSIONS)
    )
    # An array with a zero dimension has no bytes, but the others must still be a shape that numpy can hold.
    if math.prod(max(n, 1) for n in dimensions) > _MAX_ELEMENTS:
        raise _wrong(f"shape of {where}", "a shape of at most 2^40 elements", list(dimensions))
    if part == "codes":
        if dtype not in _CODE_RANGE:
            raise InputError(f"the artifact's header: {where} has codes of type {dtype}")
        low, high = _CODE_RANGE[dtype]
        if not isinstance(alphabet, list) or len(alphabet) != 2:
            raise _wrong(f"alphabet of {where}", "[lowest, highest]", alphabet)
        lowest = _integer(f"alphabet of {where}", alphabet[0], low, high)
        alphabet = (lowest, _integer(f"alphabet of {where}", alphabet[1], lowest, high))
    elif alphabet is not None:
        raise _wrong(f"alphabet of {where}", "null", alphabet)
    return Layout(
        tensor=_text(f"tensor of {where}", tensor),
        group=_text(f"group of {where}", group, empty=True),
        part=part, role=_text(f"role of {where}", role), dtype=dtype, shape=dimensions, alphabet=alphabet,
    )  # fmt: skip


def _plain_chosen(chosen: Chosen) -> list[Any]:
    return [chosen.name, chosen.target, chosen.config]


def _choices(kind: str, value: Any) -> dict[str, Chosen]:
    if not isinstance(value, dict):
        raise _wrong(f"{kind}s", "an object", value)
    return {_text(f"{kind}s", name): _chosen(kind, row) for name, row in value.items()}


def _chosen(kind: str, row: Any) -> Chosen:
    if not isinstance(row, list) or len(row) != 3:
        raise _wrong(kind, "[name, target, config]", row)
    name, target, config = row
    if not isinstance(target, str) or len(target) > _MAX_NAME or not _TARGET.fullmatch(target):
        raise _wrong(f"target of the {kind}", '"package.module:attribute"', target)
    if not isinstance(config, dict):
        raise _wrong(f"config of the {kind}", "an object", config)
    return Chosen(
        kind=kind, name=_text(f"name of the {kind}", name), target=target, distribution="", version="", module="",
        config=_tidy(f"config of the {kind}", config, 0),
    )  # fmt: skip


def _tidy(where: str, value: Any, depth: int) -> Any:
    """A copy of a JSON value that is not nested deeply, has sane integers and no surrogates."""
    if depth > _MAX_DEPTH:
        raise InputError(f"the artifact's header: {where} is nested too deeply")
    if isinstance(value, dict):
        return {_text(where, k): _tidy(where, v, depth + 1) for k, v in value.items()}
    if isinstance(value, list):
        return [_tidy(where, v, depth + 1) for v in value]
    if isinstance(value, str):
        return _text(where, value, empty=True)
    if isinstance(value, int) and not isinstance(value, bool):
        return _integer(where, value, -(2**63), 2**63 - 1)
    return value


def _parse_json(data: bytes) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        table = dict(pairs)
        if len(table) != len(pairs):
            raise ValueError("a key stands twice in one object")
        return table

    def finite(text: str) -> float:
        number = float(text)
        if not math.isfinite(number):
            raise ValueError(f"{text} is not a finite number")
        return number

    try:
        return json.loads(
            data.decode("utf-8"), object_pairs_hook=unique, parse_float=finite, parse_constant=finite
        )  # fmt: skip
    except (ValueError, RecursionError) as error:
        raise InputError(f"the artifact's header is not valid: {str(error)[:200]}") from None


def _integer(where: str, value: Any, lowest: int, highest: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
        raise _wrong(where, f"a whole number from {lowest} to {highest}", value)
    return value


def _text(where: str, value: Any, empty: bool = False) -> str:
    if not isinstance(value, str) or len(value) > _MAX_NAME or not value.isprintable() or not (value or empty):
        raise _wrong(where, f"printable text of at most {_MAX_NAME} characters", value)
    return value


def _one_of(where: str, value: Any, allowed: Sequence[str]) -> str:
    if not isinstance(value, str) or value not in allowed:
        raise _wrong(where, f"one of {', '.join(allowed)}", value)
    return value


def _list(where: str, value: Any, longest: int) -> list[Any]:
    if not isinstance(value, list) or len(value) > longest:
        raise _wrong(where, f"a list of at most {longest}", value)
    return value


def _wrong(where: str, expected: str, value: Any) -> InputError:
    return InputError(f"the artifact's header: {where} is {reprlib.repr(value)}, not {expected}")
