"""The best of several codecs for each group of sections: a stream's first byte says which one coded the rest.

A group is the sections of one part, role, type and alphabet. The artifact's header lists the codecs that were used,
and no others: their code alone counts.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from golfreg.api.errors import ConfigError, InputError
from golfreg.api.values import Layout, Section, Stream

_TARGET = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*\Z", re.ASCII)
_CODE_BYTES = 600
"""What a codec's module takes in an artifact, about."""
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]*\Z")


@dataclass(frozen=True)
class AutoConfig:
    """``codecs``: names, or targets as a plan has them. A plan's default: all installed that run no program."""

    codecs: tuple[str, ...] = (
        "golfreg.builtin.codecs.golf:golf",
        "golfreg.builtin.codecs.standard:lzma_codec",
        "golfreg.builtin.codecs.standard:zlib_codec",
        "golfreg.builtin.codecs.standard:bz2_codec",
    )

    def __post_init__(self) -> None:
        hint = 'a list of 1 to 255 names: ["golf", "lzma"]'
        if not isinstance(self.codecs, tuple) or not 1 <= len(self.codecs) <= 255:
            raise ConfigError(f"codec `auto`: codecs is {self.codecs!r}", hint)
        for name in self.codecs:
            if not isinstance(name, str) or not (_TARGET.match(name) or _NAME.match(name)):
                raise ConfigError(f"codec `auto`: codecs has {name!r}", hint)
        if len(set(self.codecs)) < len(self.codecs):
            raise ConfigError("codec `auto`: codecs names one twice", hint)


class AutoCodec:
    Config: type = AutoConfig

    def encode(self, sections: Sequence[Section], config: AutoConfig) -> list[Stream]:
        return [stream for offers in self._offers(sections, config) for stream in min(offers, key=lambda o: o[:2])[2]]

    def _offers(self, sections: Sequence[Section], config: AutoConfig) -> list[list[tuple[int, int, list[Stream]]]]:
        """For each group what each codec makes of it: bytes, which codec, streams."""
        together: dict[tuple[object, ...], list[int]] = {}
        for i, section in enumerate(sections):
            y = section.layout
            together.setdefault((y.part, y.role, y.dtype, y.alphabet), []).append(i)
        codecs = [_load(target) for target in config.codecs]
        found = []
        for members in together.values():
            group = [sections[i] for i in members]
            offers = []
            for which, codec in enumerate(codecs):
                streams = [
                    Stream(tuple(members[i] for i in s.sections), bytes([which]) + s.data)
                    for s in codec.encode(group, codec.Config())
                ]
                offers.append((sum(len(s.data) for s in streams), which, streams))
            found.append(offers)
        return found

    def decode(self, streams: Sequence[Stream], layouts: Sequence[Layout], config: AutoConfig) -> list[np.ndarray]:
        by_codec: dict[int, list[Stream]] = {}
        held: set[int] = set()
        for stream in streams:
            if not stream.data or stream.data[0] >= len(config.codecs):
                raise InputError("a coded stream names a codec that the artifact does not list")
            if any(not 0 <= i < len(layouts) or i in held for i in stream.sections) or not stream.sections:
                raise InputError("a coded stream names a section that does not exist, or that another one holds")
            held.update(stream.sections)
            by_codec.setdefault(stream.data[0], []).append(Stream(stream.sections, stream.data[1:]))
        if len(held) != len(layouts):
            raise InputError("the coded streams do not hold each section once")
        found: dict[int, np.ndarray] = {}
        for which, members in by_codec.items():
            codec = _load(config.codecs[which])
            places = [i for stream in members for i in stream.sections]
            at = {place: k for k, place in enumerate(places)}
            moved = [Stream(tuple(at[i] for i in s.sections), s.data) for s in members]
            arrays = codec.decode(moved, [layouts[i] for i in places], codec.Config())
            found.update(zip(places, arrays, strict=True))
        return [found[i] for i in range(len(layouts))]

    def narrowed(self, sections: Sequence[Section], config: AutoConfig) -> dict[str, Any]:
        """The configuration with the codecs alone that save more than their code, by guess, takes."""
        sizes = [[offer[0] for offer in offers] for offers in self._offers(sections, config)]

        def spent(kept: Sequence[int]) -> int:
            return sum(min(row[which] for which in kept) for row in sizes) + _CODE_BYTES * len(kept)

        kept = list(range(len(config.codecs)))
        while len(kept) > 1:
            best = min(([k for k in kept if k != which] for which in reversed(kept)), key=spent)
            if spent(best) > spent(kept):
                break
            kept = best
        return {"codecs": [config.codecs[which] for which in kept]}


def _load(target: str) -> Any:
    if not _TARGET.match(target):
        raise ConfigError(f"codec `auto`: `{target}` is a name, which only a run resolves", "give its target")
    module, _, attribute = target.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise InputError(f"the codec `{target}` cannot be loaded: {error}", "install its plugin") from error
    if not all(callable(getattr(found, name, None)) for name in ("encode", "decode", "Config")):
        raise InputError(f"`{target}` is no codec")
    return found


auto = AutoCodec()
