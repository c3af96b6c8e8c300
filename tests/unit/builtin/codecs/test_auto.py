"""The codec `auto` takes the smallest for each group, and lists no codec that it did not use."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from golfreg.api import ConfigError, InputError, Layout, Section, Stream
from golfreg.builtin.codecs.auto import AutoConfig, auto
from golfreg.config.plan import Chosen
from golfreg.pack.narrow import settled
from golfreg.pack.sections import save_sections
from golfreg.runner.codec_bench import _HEADER

GOLF, LZMA, ZLIB, BZ2 = AutoConfig().codecs


def sections() -> list[Section]:
    draw = np.random.default_rng(0)
    gaussian = np.clip(np.rint(draw.normal(0, 2.4, (200, 100))), -31, 31).astype(np.int8)
    return [
        Section(Layout("a", "codes", "qkv", (200, 100), "int8", "", (-31, 31)), gaussian),
        Section(Layout("b", "codes", "out", (40, 100), "int8", "", (-31, 31)), np.tile(gaussian[:2], (20, 1))),
        Section(Layout("c", "raw", "scalar", (64,), "float32"), np.ones(64, np.float32)),
    ]


def test_each_group_gets_the_codec_that_makes_it_smallest() -> None:
    members, config = sections(), AutoConfig()
    streams = auto.encode(members, config)
    assert config.codecs[streams[0].data[0]] == GOLF
    assert sum(len(s.data) for s in streams) == sum(
        1 + min(len(auto.encode([m], AutoConfig((target,)))[0].data) - 1 for target in config.codecs) for m in members
    )
    arrays = auto.decode(streams, [s.layout for s in members], config)
    assert all(a.tobytes() == s.data.tobytes() for a, s in zip(arrays, members, strict=True))


def test_the_settled_codec_names_those_that_are_used_and_loads_no_other(tmp_path: Path) -> None:
    save_sections(tmp_path / "sections.bin", _HEADER, sections()[:1])
    sys.modules.pop("golfreg.builtin.codecs.standard", None)
    chosen = Chosen("codec", "auto", "golfreg.builtin.codecs.auto:auto", "", "", "", {"codecs": [LZMA, GOLF]})
    found = settled(chosen, tmp_path / "sections.bin")
    assert found.config == {"codecs": [GOLF]}
    assert found.targets() == {GOLF, chosen.target}
    assert "golfreg.builtin.codecs.standard" not in sys.modules
    other = Chosen("codec", "golf", GOLF, "", "", "")
    assert settled(other, tmp_path / "sections.bin") is other


def test_a_stream_of_a_codec_that_is_not_listed_is_refused() -> None:
    layout = Layout("a", "codes", "qkv", (2, 2), "int8", "", (-31, 31))
    for data in (b"", b"\x04abc", b"\xff"):
        with pytest.raises(InputError, match="does not list"):
            auto.decode([Stream((0,), data)], [layout], AutoConfig())
    for target in ("os:system", "no_such_module:codec", "golfreg.builtin.codecs.golf:nothing"):
        with pytest.raises(InputError, match="no codec|cannot be loaded"):
            auto.decode([Stream((0,), b"\0")], [layout], AutoConfig((target,)))


@pytest.mark.parametrize("codecs", [(), ("golf", "golf"), ("Golf!",), (1,), ["golf"]])
def test_settings_that_name_no_codecs_are_refused(codecs: object) -> None:
    with pytest.raises(ConfigError, match="codecs"):
        AutoConfig(codecs)  # type: ignore[arg-type]
