"""A plot is a file of its own: SVG that any program shows, or PNG; the same figures give the same bytes."""

import sys
from xml.etree import ElementTree

import pytest

from golfreg.api.errors import ConfigError, EnvironmentFault
from golfreg.plots.file import save_plot, standing_svg
from golfreg.plots.kinds import Bar, Point, curves, points, stacked_bars

SVG = "{http://www.w3.org/2000/svg}"
BARS = stacked_bars(
    "b", "Bytes by role.", [Bar("qkv", (3.0, 1.0), 3.5, "3.4 bits"), Bar("<out>", (1.0, 0.0))], ["codes", "scales"],
    "kilobytes", "entropy",
)  # fmt: skip
POINTS = points(
    "p", "Bits.", [("z", [Point(3.0, 2.9, 3.1), None]), ("x", [Point(2.0), Point(2.5)])], ["lzma", "bz2"], "bits",
    [(3.26, "published")],
)  # fmt: skip
CURVES = curves(
    "c", "Cost.", [128, 256], [("4 bits", [Point(1.0, 0.5, 1.5), Point(2.0)]), ("5 bits", [Point(0.1), None])],
    "tokens", "mBPB", [(0.8, "published")], ["128", "256"],
)  # fmt: skip


@pytest.mark.parametrize("plot", [BARS, POINTS, CURVES], ids=lambda plot: plot.name)
def test_an_svg_stands_alone_and_says_what_it_shows(plot):
    svg = standing_svg(plot)
    root = ElementTree.fromstring(svg)
    assert root.tag == f"{SVG}svg"
    assert root.get("aria-label") == plot.label
    assert (float(root.get("width")), float(root.get("height"))) == plot.size
    assert "prefers-color-scheme:dark" in root.find(f"{SVG}style").text
    assert "#0101" not in svg, "a placeholder colour is left"
    assert "#0102" not in svg
    assert svg == standing_svg(plot)


def test_names_series_and_published_lines_are_text():
    texts = {e.text.strip() for e in ElementTree.fromstring(standing_svg(POINTS)).iter(f"{SVG}text")}
    assert {"z", "x", "lzma", "bz2", "published", "bits"} <= texts
    texts = {e.text for e in ElementTree.fromstring(standing_svg(BARS)).iter(f"{SVG}text")}
    assert {"<out>", "codes", "scales", "3.4 bits", "entropy"} <= texts


def test_every_bar_and_point_has_its_value_as_a_tooltip():
    titles = {e.text for e in ElementTree.fromstring(standing_svg(BARS)).iter(f"{SVG}title")}
    assert titles == {"qkv: codes 3", "qkv: scales 1", "<out>: codes 1"}
    titles = {e.text for e in ElementTree.fromstring(standing_svg(CURVES)).iter(f"{SVG}title")}
    assert titles == {"4 bits: 1 (0.5 to 1.5)", "4 bits: 2", "5 bits: 0.1"}


def test_a_png_is_one(tmp_path):
    save_plot(tmp_path / "p.PNG", POINTS)
    assert (tmp_path / "p.PNG").read_bytes().startswith(b"\x89PNG\r\n")


def test_another_format_is_refused_before_anything_is_drawn(tmp_path):
    with pytest.raises(ConfigError, match=r"plot\.pdf") as raised:
        save_plot(tmp_path / "plot.pdf", BARS)
    assert ".svg or .png" in raised.value.hint


def test_without_matplotlib_the_hint_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(EnvironmentFault, match="matplotlib") as raised:
        save_plot(tmp_path / "plot.svg", BARS)
    assert "golfreg[plots]" in raised.value.hint
    assert not list(tmp_path.iterdir())
