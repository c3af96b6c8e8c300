"""Everything that is to be said of an artifact's bytes. Runs no code of the artifact."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from golfreg.api.errors import ConfigError, GolfregError, InputError
from golfreg.api.values import Layout, Section
from golfreg.pack.attribution import apportion, section_bytes, totals
from golfreg.pack.container import Container
from golfreg.pack.sections import decoded
from golfreg.registry.host import get_host
from golfreg.registry.resolve import load
from golfreg.registry.settings import make_config
from golfreg.sizes.table import bits, by_group, measured, rows

MOST_DECODED_BYTES = 1 << 28
"""Beyond this the streams are not decoded, and shared bytes are split by size instead of entropy."""


def describe(container: Container, alone: bool = False) -> tuple[dict[str, Any], str]:
    """Everything that is shown, and a warning or nothing.

    ``alone``: code each role's row group once more, apart from all others, with the artifact's codec.
    """
    header, layouts = container.header, container.layouts
    arrays, warning = decode(container)
    sizes = section_bytes(layouts, container.streams, arrays)
    stream_of = {i: n for n, stream in enumerate(container.streams) for i in stream.sections}
    sections = measured(layouts, sizes, arrays)
    only = [size for size, _ in sizes]
    parameters = sum(y.count for y in layouts if y.part != "scale")
    groups = [row.facts() for row in rows(sections, by_group)]
    if alone:
        if arrays is None:
            raise InputError(f"`--alone` codes the weights again, and {warning.rpartition(':')[0]}")
        found = alone_bytes(container, arrays)
        for row in groups:
            row["alone_bytes"] = found[row["key"]]
            row["alone_bits_per_parameter"] = bits(found[row["key"]], row["parameters"])
    facts = {
        "sha256": container.sha256,
        "total_bytes": container.total_bytes,
        "header_bytes": container.header_bytes,
        "code_bytes": container.code_bytes,
        "weight_bytes": sum(only),
        "parameters": parameters,
        "bits_per_parameter": bits(sum(only), parameters),
        "vocab_size": header.vocab_size,
        "sequence_length": header.sequence_length,
        "bos_id": header.bos_id,
        "dtype": header.dtype,
        "components": {
            kind: {"name": c.name, "target": c.target, "config": c.config} for kind, c in header.components().items()
        },
        "attribution": "size" if arrays is None else "entropy",
        "sections": [
            {
                "tensor": y.tensor, "role": y.role, "group": y.group, "part": y.part, "shape": list(y.shape),
                "dtype": y.dtype, "alphabet": y.alphabet, "stream": stream_of[i], "bytes": m.nbytes,
                "bits_per_element": bits(m.nbytes, y.count), "attributed": m.shared,
                "ideal_bytes": None if m.ideal_bits is None else m.ideal_bits / 8,
                "ideal_bits_per_element": None if m.ideal_bits is None else m.ideal_bits / max(y.count, 1),
            }
            for i, (y, m) in enumerate(zip(layouts, sections, strict=True))
        ],
        "tensors": [row.facts() for row in rows(sections, lambda y: y.tensor)],
        "groups": groups,
        "roles": [row.facts() for row in rows(sections, lambda y: y.role)],
        "parts": [row.facts() for row in rows(sections, lambda y: y.part)],
        "by_role": totals(layouts, only, lambda y: y.role),
        "by_part": totals(layouts, only, lambda y: y.part),
        "code": _code(container),
    }  # fmt: skip
    return facts, warning


def installed_codec(container: Container) -> tuple[Any, Any]:
    """Target and config of the artifact's codec as it is installed. A stranger's target is never imported.

    ConfigError where none of that name and target is installed, or its settings do not fit.
    """
    used = container.header.codec
    component = next((c for c in get_host().named("codec", used.name) if c.target == used.target), None)
    if component is None:
        raise ConfigError(f"codec `{used.name}` ({used.target}) is not installed")
    if strange := used.targets() - {c.target for c in get_host().of_kind("codec")}:
        raise ConfigError(f"codec `{used.name}` uses `{min(strange)}`, which is not installed")
    target = load(component)
    return target, make_config(target, used.config, f"codec `{used.name}`")


def decode(container: Container) -> tuple[list[np.ndarray] | None, str]:
    """The sections' data by the installed codec, or None and why not."""
    split = "bytes of shared streams are split by size"
    size = sum(y.nbytes for y in container.layouts)
    if size > MOST_DECODED_BYTES:
        return None, f"the weights take {size:,} bytes decoded: {split}"
    try:
        target, config = installed_codec(container)
    except GolfregError as error:
        return None, f"{error.message}: {split}"
    try:
        return decoded(target, container.streams, container.layouts, config), ""
    except (GolfregError, TypeError) as error:
        return None, f"the weights do not decode ({error}): {split}"


def alone_bytes(container: Container, arrays: Sequence[np.ndarray]) -> dict[str, int]:
    """Bytes of each role's row group when nothing else is coded with it."""
    target, config = installed_codec(container)
    together: dict[str, list[Section]] = {}
    for layout, array in zip(container.layouts, arrays, strict=True):
        together.setdefault(by_group(layout), []).append(Section(layout, _native(layout, array)))
    return {key: sum(len(s.data) for s in target.encode(members, config)) for key, members in together.items()}


def _native(layout: Layout, array: np.ndarray) -> np.ndarray:
    """Decoded arrays are little-endian views; sections hold the machine's own order."""
    return np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="), copy=False)).reshape(layout.shape)


def _code(container: Container) -> list[dict[str, Any]]:
    """Modules with the bytes of their source, and their share of the compressed archive by compressed size."""
    sources = {path: text.encode() for path, text in container.code.items()}
    shares = apportion(container.code_bytes, [float(len(zlib.compress(s, 6))) for s in sources.values()])
    return [
        {"path": path, "source_bytes": len(source), "bytes": share}
        for (path, source), share in zip(sources.items(), shares, strict=True)
    ]
