"""Pieces that the built-in quantizers share: raw sections, row groups, and tensors from sections."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch

from golfreg.api.errors import GolfregError, InputError
from golfreg.api.values import Layout, Role, Section

TORCH_DTYPE = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}


def in_order(state: Mapping[str, torch.Tensor], roles: Mapping[str, Role]) -> Iterator[tuple[str, torch.Tensor, Role]]:
    """Name, float32 CPU tensor and role of every parameter, each finite, in the order of ``state``."""
    for name, tensor in state.items():
        if name not in roles:
            raise GolfregError(
                f"the tensor `{name}` has no role", "the architecture's `roles` must name every parameter"
            )
        if not tensor.is_floating_point():
            raise GolfregError(f"the tensor `{name}` holds {tensor.dtype}, not floating-point numbers")
        weight = tensor.detach().to("cpu", torch.float32).contiguous()
        if not torch.isfinite(weight).all():
            bad = int((~torch.isfinite(weight)).sum())
            raise GolfregError(f"the tensor `{name}` has {bad:,} values that are NaN or infinite", "training diverged")
        yield name, weight, roles[name]


def row_groups(name: str, weight: torch.Tensor, role: Role) -> list[tuple[str, torch.Tensor]]:
    """The row groups of a matrix as (group, rows); a matrix with one meaning is one group named ''."""
    if not role.groups:
        return [("", weight)]
    sizes = [rows for _, rows in role.groups]
    if sum(sizes) != weight.shape[0] or min(sizes) < 0:
        raise GolfregError(
            f"the row groups of `{name}` have {sum(sizes):,} rows and the tensor has {weight.shape[0]:,}",
            "the architecture's `roles` must name every row once",
        )
    pieces = torch.split(weight, sizes)
    return [(group, piece) for (group, _), piece in zip(role.groups, pieces, strict=True)]


def raw_section(name: str, role: Role, weight: torch.Tensor, dtype: str) -> Section:
    """The tensor as it is, in ``dtype``; as float32 where a value is too large for it."""
    stored = weight.to(TORCH_DTYPE[dtype])
    if not torch.isfinite(stored).all():
        dtype, stored = "float32", weight
    data = stored.view(torch.int16).numpy().view(np.uint16) if dtype == "bfloat16" else stored.numpy()
    return Section(Layout(name, "raw", role.name, tuple(weight.shape), dtype), data)


def code_sections(
    name: str, group: str, role: Role, codes: torch.Tensor, scale: torch.Tensor, highest: int
) -> list[Section]:
    """Integer codes of -highest to highest, and their scales: one of each row in float16, or one in float32."""
    shape, alphabet = tuple(codes.shape), (-highest, highest)
    dtype = "float16" if scale.dtype == torch.float16 else "float32"
    return [
        Section(Layout(name, "codes", role.name, shape, "int8", group, alphabet), codes.to(torch.int8).numpy()),
        Section(Layout(name, "scale", role.name, tuple(scale.shape), dtype, group), scale.numpy()),
    ]


def tensors(sections: Sequence[Section]) -> dict[str, torch.Tensor]:
    """Every tensor in float32: raw ones as they are, coded ones code times scale, row groups joined in order.

    Exact: a code of 8 bits times a float16 scale of 11 bits fits in float32.
    """
    codes: dict[tuple[str, str], torch.Tensor] = {}
    scales: dict[tuple[str, str], torch.Tensor] = {}
    raw: dict[str, torch.Tensor] = {}
    names: dict[str, list[tuple[str, str]]] = {}
    for section in sections:
        layout = section.layout
        key = (layout.tensor, layout.group)
        if layout.part == "raw":
            raw[layout.tensor] = _float32(section)
            names.setdefault(layout.tensor, [])
        elif layout.part == "scale":
            scales[key] = _float32(section)
        else:
            codes[key] = _float32(section)
            names.setdefault(layout.tensor, []).append(key)
    found: dict[str, torch.Tensor] = {}
    for name, keys in names.items():
        if (name in raw) == bool(keys):
            raise InputError(f"the artifact has both codes and raw values of `{name}`")
        found[name] = torch.cat([_scaled(k, codes, scales) for k in keys]) if keys else raw[name]
    if len(scales) != len(codes):
        raise InputError("the artifact has scales without codes")
    return found


def _scaled(
    key: tuple[str, str], codes: dict[tuple[str, str], torch.Tensor], scales: dict[tuple[str, str], torch.Tensor]
) -> torch.Tensor:
    code, scale = codes[key], scales.get(key)
    if scale is None or scale.shape not in ((), code.shape[:1]):
        raise InputError(f"the artifact's scales of `{key[0]}` {key[1]} do not fit its codes {list(code.shape)}")
    return code * scale.view(-1, *[1] * (code.ndim - 1)) if scale.ndim else code * scale


def _float32(section: Section) -> torch.Tensor:
    # A copy: decoded arrays are read-only views of the stream.
    if section.layout.dtype == "bfloat16":
        bits = torch.from_numpy(section.data.astype(np.int16))
        return bits.view(torch.bfloat16).to(torch.float32)
    return torch.from_numpy(section.data.astype(np.float32))
