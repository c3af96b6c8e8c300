"""The bytes of an artifact add up however they are grouped, and stand beside what an ideal code would take."""

import numpy as np
import pytest

from golfreg.api import Layout, Section
from golfreg.api.errors import InputError
from golfreg.builtin.codecs.standard import LzmaConfig, lzma_codec
from golfreg.config.plan import Chosen
from golfreg.pack.container import read_container, write_container
from golfreg.pack.header import Header
from golfreg.plots.file import standing_svg
from golfreg.sizes.artifact import alone_bytes, decode, describe
from golfreg.sizes.chart import bytes_plot

CODEC = Chosen("codec", "lzma", "golfreg.builtin.codecs.standard:lzma_codec", "", "", "")
GROUPS = (("z", 64), ("dt", 4))


def sections():
    draw = np.random.default_rng(0)
    found = []
    for layer in range(2):
        name = f"blocks.{layer}.mixer.in_proj.weight"
        for spread, (group, rows) in enumerate(GROUPS, 2):
            codes = np.rint(draw.normal(0, spread, (rows, 96))).clip(-31, 31).astype(np.int8)
            found.append(Section(Layout(name, "codes", "in_proj", (rows, 96), "int8", group, (-31, 31)), codes))
            scale = draw.random(rows).astype(np.float16)
            found.append(Section(Layout(name, "scale", "in_proj", (rows,), "float16", group), scale))
    return [*found, Section(Layout("gain", "raw", "scalar", (7,), "float16"), np.ones(7, np.float16))]


def container(codec=CODEC):
    given = sections()
    unknown = Chosen("quantizer", "q", "nobody:q", "", "", "")
    header = Header(architecture=unknown, quantizer=unknown, codec=codec, vocab_size=9, sequence_length=8)
    streams = lzma_codec.encode(given, LzmaConfig())
    return read_container(write_container(header, [s.layout for s in given], streams, {"a.py": "x = 1\n"}))


def test_tensors_groups_roles_and_parts_each_add_up_to_the_weights():
    facts, warning = describe(container())
    assert warning == ""
    for key in ("tensors", "groups", "roles", "parts"):
        assert sum(row["bytes"] for row in facts[key]) == facts["weight_bytes"], key
        assert sum(row["parameters"] for row in facts[key]) == facts["parameters"] == 2 * 68 * 96 + 7, key
    assert facts["weight_bytes"] + facts["code_bytes"] + facts["header_bytes"] == facts["total_bytes"]


def test_row_groups_are_named_as_overrides_name_them_and_stay_marked():
    rows = {row["key"]: row for row in describe(container())[0]["groups"]}
    assert set(rows) == {"in_proj.z", "in_proj.dt", "scalar"}
    assert rows["in_proj.z"]["attributed"]
    assert not rows["scalar"]["attributed"]
    assert rows["in_proj.z"]["tensors"] == 2


def test_the_ideal_is_the_entropy_of_each_section():
    rows = {row["key"]: row for row in describe(container())[0]["groups"]}
    codes = [s.data for s in sections() if s.layout.group == "z" and s.layout.part == "codes"]
    shares = [np.unique(c, return_counts=True)[1] / c.size for c in codes]
    bits = sum(-(p * np.log2(p)).sum() * c.size for p, c in zip(shares, codes, strict=True))
    assert rows["in_proj.z"]["codes_ideal_bytes"] == pytest.approx(bits / 8)
    assert rows["in_proj.dt"]["ideal_bits_per_parameter"] > rows["in_proj.z"]["ideal_bits_per_parameter"]


def test_a_group_coded_alone_has_bytes_of_its_own():
    facts, _ = describe(container(), alone=True)
    rows = {row["key"]: row for row in facts["groups"]}
    by_hand = [s for s in sections() if s.layout.group == "dt"]
    assert rows["in_proj.dt"]["alone_bytes"] == sum(len(s.data) for s in lzma_codec.encode(by_hand, LzmaConfig()))
    assert rows["in_proj.dt"]["alone_bytes"] != rows["in_proj.dt"]["bytes"]


def test_decoded_arrays_are_what_a_codec_encodes_again():
    read = container()
    arrays, _ = decode(read)
    assert sum(alone_bytes(read, arrays).values()) > 0


def test_a_codec_that_is_not_installed_leaves_no_ideal_and_cannot_code_alone():
    read = container(Chosen("codec", "lzmaa", "nobody:codec", "", "", ""))
    facts, warning = describe(read)
    assert "`lzmaa` (nobody:codec) is not installed" in warning
    assert {row["ideal_bytes"] for row in facts["groups"]} == {None}
    assert sum(row["bytes"] for row in facts["groups"]) == facts["weight_bytes"]
    with pytest.raises(InputError, match="not installed"):
        describe(read, alone=True)


def test_the_plot_has_a_bar_for_each_group_for_code_and_header():
    svg = standing_svg(bytes_plot(describe(container())[0], "a.golfreg"))
    for text in ("~ in_proj.z", "scalar", "[code]", "[header]", "order-0 entropy"):
        assert text in svg
