import re
import sys
import warnings
from xml.etree import ElementTree

import pytest

from golfreg.api.errors import EnvironmentFault
from golfreg.leaderboard.entries import Parts
from golfreg.leaderboard.site.charts import charts
from golfreg.leaderboard.site.lines import Line, Track, frontier, pareto, ranked
from golfreg.plots.svg import Mark, tidy
from golfreg.rules.figures import Figures, mean
from golfreg.rules.ruleset import load_ruleset


def line(name, *scores, date="2026-05-01", size=15_900_000, shares=None, **facts):
    facts = {"title": name, "author": "A. Uthor", "status": "claimed", "imported": False, "fails": 0} | facts
    return Line(
        key=f"cpu-smoke/{date}_{name}",
        date=date,
        parts=Parts("", "", "", "", ""),
        techniques=(),
        based_on=(),
        figures=Figures(bits_per_byte_mean=mean(scores), bytes_max=size, seeds=tuple(range(len(scores)))),
        scores=tuple(enumerate(scores)),
        shares=shares or {},
        headroom=None,
        warns=0,
        **facts,
    )


def track(*lines):
    return Track("cpu-smoke", ranked(list(lines)), [load_ruleset("cpu-smoke")])


def drawn(*lines):
    return {chart.name: chart for chart in charts(track(*lines))}


def texts(svg):
    return [element.text for element in ElementTree.fromstring(svg).iter("text")]


def test_a_day_has_no_order_within_it():
    lines = [
        line("a", 1.20, date="2026-05-01"), line("b", 1.25, date="2026-05-01"), line("c", 1.19, date="2026-05-03"),
        line("d", 1.22, date="2026-05-02"), line("e", 1.19, date="2026-05-04"),
    ]  # fmt: skip
    assert {key[-1] for key in frontier(iter(lines))} == {"a", "c"}


def test_the_pareto_front_is_what_no_other_beats_in_both():
    lines = [line("a", 1.2, size=10), line("b", 1.1, size=20), line("c", 1.15, size=25), line("d", 1.1, size=30),
             line("e", 1.0, size=None)]  # fmt: skip
    assert {key[-1] for key in pareto(lines)} == {"a", "b"}


def test_what_has_no_rank_is_in_no_chart():
    kept = [line("a", 1.2, 1.21), line("b", 1.1, 1.12, date="2026-05-02")]
    out = [line("c", 0.9, 0.9, fails=1, date="2026-05-03"), line("d", 0.8, 0.8, status="withdrawn")]
    assert drawn(*kept) == drawn(*kept, *out)


def test_a_track_has_the_charts_that_it_has_figures_for():
    assert drawn(line("a", 1.2, fails=1)) == {}
    assert drawn(line("a", 1.2)) == {}
    assert drawn(line("a", 1.2, 1.3)).keys() == {"spread"}
    assert drawn(line("a", 1.2, shares={"code": 1}), line("b", 1.2)).keys() == {"pareto", "roles"}
    assert drawn(line("a", 1.2, size=None), line("b", 1.1, size=None, date="2026-05-02")).keys() == {"frontier"}


def test_a_drawing_has_no_colour_style_or_address_of_its_own():
    for chart in drawn(line("a", 1.2, 1.3, shares={"code": 5}), line("b", 1.1, 1.2, date="2026-06-01")).values():
        for svg in (chart.wide, chart.narrow):
            root = ElementTree.fromstring(svg)
            assert not re.search(r"style|xmlns|http|#[0-9a-f]{6}\b", svg)
            assert root.get("role") == "img"
            assert root.get("aria-label") == f"{chart.title}. {chart.caption}"
            identifiers = [element.get("id") for element in root.iter() if element.get("id")]
            assert len(identifiers) == len(set(identifiers))
            assert all(one.startswith(f"{chart.name}-{'w' if svg is chart.wide else 'n'}-") for one in identifiers)
            referred = set(re.findall(r"url\(#(.*?)\)", svg))
            referred |= {e.get("href").removeprefix("#") for e in root.iter("use")}
            assert referred == set(identifiers)


def test_two_drawings_in_one_page_share_no_identifier():
    found = re.findall(
        r' id="(.*?)"',
        "".join(c.wide + c.narrow for c in drawn(line("a", 1, 2), line("b", 3, 4, date="2026-06-01")).values()),
    )
    assert len(found) == len(set(found))


def test_the_same_lines_give_the_same_drawings():
    lines = [line("a", 1.2, 1.3, shares={"code": 5, "x": 7}), line("b", 1.1, 1.2, date="2026-06-01")]
    assert drawn(*lines) == drawn(*reversed(lines))


def test_names_are_text_in_a_drawing():
    name = '$\\frac{1}{0}$ <b>"&\u4e2d\U0001f3cc'
    chart = drawn(line("a", 1.2, 1.3, title=name, shares={name: 5_000_000}))
    assert any("$\\frac{1}{0}$ <b>" in text for text in texts(chart["spread"].wide))
    titles = [e.text for e in ElementTree.fromstring(chart["roles"].wide).iter("title")]
    assert titles == [f"{name}: {name} 5,000,000 bytes"]


def test_every_mark_leads_to_the_entry_and_stays_out_of_the_tab_order():
    chart = drawn(line("a", 1.2), line("b", 1.1, date="2026-05-02"))["frontier"]
    links = list(ElementTree.fromstring(chart.wide).iter("a"))
    assert {a.get("href") for a in links} == {"2026-05-01_a.html", "2026-05-02_b.html"}
    assert {a.get("tabindex") for a in links} == {"-1"}
    assert [row[1].key for row in chart.rows] == ["cpu-smoke/2026-05-01_a", "cpu-smoke/2026-05-02_b"]


def test_more_roles_than_colours_are_gathered_and_no_byte_is_lost():
    shares = {f"role{i}": 1_000 + i for i in range(20)} | {"other": 5_000}
    chart = drawn(line("a", 1.2, shares=shares))["roles"]
    assert len(chart.legend) == 8
    assert chart.legend[-1] == (7, "other")
    assert len({name for _, name in chart.legend}) == 8
    assert sum(int(cell.text.replace(",", "")) for cell in chart.rows[0][1:]) == sum(shares.values())


def test_an_outlier_is_named_and_does_not_flatten_the_others():
    lines = [line(f"e{i}", 1.1 + i / 100, date=f"2026-05-{i + 1:02}") for i in range(12)]
    chart = drawn(*lines, line("far", 30.0, date="2026-05-20"))["frontier"]
    assert chart.caption.endswith("Far outside and not drawn: 1.")
    assert not any(float(t) > 2 for t in texts(chart.wide) if re.fullmatch(r"[\d.]+", t or ""))
    assert "outside" not in drawn(*lines)["frontier"].caption


@pytest.mark.parametrize(
    "lines",
    [
        [line("a", 1.2, date="0001-01-01"), line("b", 1.1, date="9999-12-31")],
        [line("a", 0.0, 0.0, size=0), line("b", 1e18, 1e18, size=10**18, date="2026-05-02")],
        [line("a", 1.2, 1.2), line("b", 1.2, 1.2, date="2026-05-02")],
        [line("a", 1.2, 1.3, title="x" * 300, shares={"y" * 200: 10**18}), line("b", 1.2, size=1)],
    ],
)
def test_any_valid_entry_can_be_drawn(lines):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for chart in drawn(*lines).values():
            assert ElementTree.fromstring(chart.wide).tag == "svg"


def test_of_very_many_points_only_the_front_are_links():
    lines = [line(f"e{i}", 1.2 + i / 10_000, size=1_000 + i) for i in range(400)]
    chart = drawn(*lines)["pareto"]
    assert len(list(ElementTree.fromstring(chart.wide).iter("a"))) == 1
    assert len(chart.wide) < 100_000


def test_without_matplotlib_the_error_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(EnvironmentFault, match="matplotlib") as raised:
        drawn(line("a", 1.2, 1.3))
    assert "--no-charts" in raised.value.hint


def test_what_a_mark_says_is_text():
    svg = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><g id="m"><path d="M 0.123456 0"/></g></svg>'
    tidied = tidy(svg, "x", "<label>", {"m": Mark("<script>", "a.html")})
    assert "<script>" not in tidied
    assert "M 0.12 0" in tidied
    assert ElementTree.fromstring(tidied).find("a/title").text == "<script>"
