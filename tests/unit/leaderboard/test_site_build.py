import dataclasses
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin, urlparse

import pytest

from golfreg.api.errors import ConfigError, EnvironmentFault, InputError
from golfreg.config.imported import (
    Count,
    Described,
    Headline,
    Imported,
    ImportedRun,
    KeptFinding,
    Measure,
    Source,
    imported_to_toml,
)
from golfreg.config.record import record_to_toml
from golfreg.leaderboard.entries import EntryFacts, Reproduction, entry_to_toml
from golfreg.leaderboard.lines import place
from golfreg.leaderboard.rank import rank
from golfreg.leaderboard.reading import read_board
from golfreg.leaderboard.scan import list_board
from golfreg.leaderboard.site.build import MARKER, build
from golfreg.leaderboard.site.lines import survey
from golfreg.leaderboard.site.pages import pull_url, span
from golfreg.rules.figures import Figures, recompute
from golfreg.testing.records import changed, example_record

HOSTILE = "<script>alert(1)</script>\"'&{{ 7*7 }}<img src=x onerror=alert(2)>"
SOURCE = "https://github.com/openai/parameter-golf/tree/main/records/x"


def write_run(root, name, *scores, date="2026-05-01", **facts):
    """An entry of golfreg's own runs."""
    directory = root / "cpu-smoke" / f"{date}_{name}"
    (directory / "runs").mkdir(parents=True)
    records = [example_record(seed, bits_per_byte=score) for seed, score in enumerate(scores, 1)]
    records = [changed(record, "run", date=f"{date}T01:00:00Z") for record in records]
    for record in records:
        (directory / "runs" / f"seed_{record.run.seed}.toml").write_text(record_to_toml(record), "utf-8")
    facts = {"author": "A. Uthor", "status": "claimed"} | facts
    own = EntryFacts(name=name, track="cpu-smoke", ruleset="cpu-smoke", date=date, declared=recompute(records), **facts)
    (directory / "entry.toml").write_text(entry_to_toml(own), "utf-8")
    return f"cpu-smoke/{directory.name}"


def write_imported(root, name, *scores, date="2026-04-01", described=None, findings=(), runs=(), **facts):
    """An entry that was imported."""
    directory = root / "parameter-golf" / f"{date}_{name}"
    (directory / "runs").mkdir(parents=True)
    runs = runs or [
        ImportedRun(seed=seed, bits_per_byte=Measure(log=score), total_bytes=Count(log=15_900_000))
        for seed, score in enumerate(scores, 1)
    ]
    whole = Imported(
        source=Source(url=SOURCE, folder="track_10min_16mb/x", pull_request=1),
        headline=Headline(bits_per_byte=Measure(declared=sum(scores) / len(scores))),
        described=described or Described(title=name),
        findings=findings,
    )
    (directory / "imported.toml").write_text(imported_to_toml(whole), "utf-8")
    for run in runs:
        (directory / "runs" / f"seed_{run.seed}.toml").write_text(imported_to_toml(run), "utf-8")
    facts = {"author": "A. Uthor", "status": "accepted"} | facts
    declared = Figures(bits_per_byte_mean=sum(scores) / len(scores))
    own = EntryFacts(name=name, track="parameter-golf", ruleset="parameter-golf", date=date, declared=declared, **facts)
    (directory / "entry.toml").write_text(entry_to_toml(own), "utf-8")
    return f"parameter-golf/{directory.name}"


class Page(HTMLParser):
    """Every element with its attributes, and the text."""

    def __init__(self, html):
        super().__init__()
        self.elements, self.text = [], ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    root = tmp_path_factory.mktemp("site") / "board"
    base = write_run(root, "base", 2.6, 2.61, 2.59)
    write_run(root, "better", 2.5, 2.51, date="2026-05-02", based_on=(base, "cpu-smoke/2020-01-01_gone"))
    write_run(root, "broken-rule", 2.4, status="invalid", reason="GR401", date="2026-05-03")
    write_run(
        root, "hostile", 2.7, 2.8, author=HOSTILE, techniques=(HOSTILE,), based_on=(base,),
        reproductions=(
            Reproduction(by=HOSTILE, date="2026-05-02", url="javascript:alert(3)", bits_per_byte=(2.71,)),
            Reproduction(by="B", date="2026-05-02", url="https://example.org/a?b=c", bits_per_byte=(2.7,)),
            Reproduction(by="C", date="2026-05-02", url='https://example.org/"onclick="x', bits_per_byte=(2.7,)),
        ),
    )  # fmt: skip
    write_imported(
        root, "old", 1.22, 1.23,
        described=Described(title=HOSTILE, architecture=HOSTILE, codec="zlib"),
        findings=(KeptFinding(code="GR601", level="WARN", message=HOSTILE, where=HOSTILE),),
        runs=[ImportedRun(
            seed=7, log="train.log", bits_per_byte=Measure(declared=1.22, log=1.2312, recomputed=1.2312),
            total_bytes=Count(declared=15_000_000, log=15_900_000), model_bytes=Count(log=15_800_000),
            code_bytes=Count(log=100_000), steps=Count(log=4_000),
        )],
    )  # fmt: skip
    write_imported(root, "new", 1.15, date="2026-04-05")
    failed = KeptFinding(code="GR605", level="FAIL", message="a log is another one's copy")
    write_imported(root, "failed", 1.10, date="2026-04-06", findings=(failed,), status="claimed")
    write_imported(root, "accepted", 1.12, date="2026-04-07", findings=(failed,))
    (root / "cpu-smoke" / "2026-05-09_damaged").mkdir()
    (root / "cpu-smoke" / "2026-05-09_damaged" / "entry.toml").write_text('schema = 1\nname = "<b>"\n', "utf-8")
    return root


@pytest.fixture(scope="module")
def site(board):
    into = board.parent / "site"
    build(board, into, base_url="https://example.org/golf")
    return into


def pages(site):
    return {path: Page(path.read_text("utf-8")) for path in sorted(site.rglob("*.html"))}


def files(site):
    return {path.relative_to(site).as_posix(): path.read_bytes() for path in site.rglob("*") if path.is_file()}


def test_every_entry_has_a_page_and_a_row(board, site):
    found = pages(site)
    for entry in read_board(board).entries:
        assert site / "tracks" / f"{entry.key}.html" in found
        track = found[site / "tracks" / entry.facts.track / "index.html"]
        assert any(a.get("href") == f"{entry.key.split('/')[1]}.html" for a in track.all("a"))


def test_lines_are_ranked_as_the_leaderboard_is(board):
    ranked = rank(read_board(board).entries)
    for track in survey(board).tracks:
        rows = ranked[track.name]
        assert any(row.rank is None for row in rows)
        assert [(line.key, line.rank) for line in track.lines] == [(row.entry.key, row.rank) for row in rows]
        assert [line.fails + line.warns for line in track.lines] == [
            sum(str(finding.level) != "PASS" for finding in row.findings) for row in rows
        ]


def test_gap_and_frontier_are_those_that_show_prints(board):
    placed = {one.line.entry: one for each in place(list_board(board).lines).values() for one in each}
    for line in survey(board).lines.values():
        one = placed[line.key]
        assert (line.rank, line.gap, line.frontier) == (one.rank, one.gap, one.frontier)
        assert (line.headroom, line.fails, line.warns) == (one.line.headroom_bytes, one.line.fails, one.line.warns)


def test_no_link_is_dead(site):
    found = pages(site)
    for path, page in found.items():
        for attributes in page.all("a") + page.all("link") + page.all("script"):
            href = attributes.get("href") or attributes.get("src")
            if urlparse(href).scheme:
                continue
            address = urlparse(urljoin(f"file://{path}", href))
            target = Path(address.path)
            assert target.is_file(), f"{path}: {href}"
            assert target.is_relative_to(site)
            if address.fragment:
                identifiers = {a["id"] for _, a in found[target].elements if "id" in a}
                assert address.fragment in identifiers, f"{path}: {href}"


def test_no_page_refers_to_an_outside_resource(site):
    for path, page in pages(site).items():
        outside = {
            (tag, key)
            for tag, attributes in page.elements
            for key, value in attributes.items()
            if value and re.search(r"//|url\((?!#)|javascript:|data:", value) and key != "content"
        }
        assert outside <= {("a", "href"), ("link", "href")}, path
        assert [a["rel"] for a in page.all("link") if "//" in a["href"]] == ["canonical"]
        assert all(not a["src"].startswith("/") for a in page.all("script"))
    for name in ("site.css", "site.js"):
        assert not re.search(r"//[a-z]|@import|url\(", (site / "static" / name).read_text("utf-8"))


def test_pages_allow_only_their_own_files(site):
    for page in pages(site).values():
        [policy] = [a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert "unsafe" not in policy
        assert not any(key == "style" or key.startswith("on") for _, a in page.elements for key in a)
        assert not page.all("style")
        assert all(set(a) == {"src"} for a in page.all("script"))


def test_text_of_entries_is_never_live(site):
    seen = 0
    for page in pages(site).values():
        assert not page.all("img")
        assert all(a["src"].endswith("site.js") for a in page.all("script"))
        seen += page.text.count(HOSTILE)
    assert seen > 8


def test_only_https_addresses_become_links(site):
    page = pages(site)[site / "tracks/cpu-smoke/2026-05-01_hostile.html"]
    outside = [a for a in page.all("a") if urlparse(a["href"]).scheme]
    assert outside == [{"href": "https://example.org/a?b=c", "rel": "noopener nofollow"}]
    assert "javascript:alert(3)" in page.text
    imported = pages(site)[site / "tracks/parameter-golf/2026-04-01_old.html"]
    pull = "https://github.com/openai/parameter-golf/pull/1"
    assert {a["href"] for a in imported.all("a") if urlparse(a["href"]).scheme} == {SOURCE, pull}


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(45.0, "45 seconds"), (600.5, "600.5 seconds"), (14_400.0, "4 hours"), (31_536_000.0, "365 days")],
)
def test_a_limit_is_shown_in_a_unit_that_suits_it(seconds, text):
    assert " ".join(span(seconds)) == text


def test_a_pull_request_is_linked_in_the_repository_of_its_folder_only():
    facts = {"folder": "x", "pull_request": 7}
    tree = Source(url="https://github.com/a/b/tree/main/records", **facts)
    assert pull_url(tree) == "https://github.com/a/b/pull/7"
    assert pull_url(Source(url="https://example.org/github.com/a/b/", **facts)) == ""
    assert pull_url(Source(url="https://github.com/a/b/tree/main", folder="x")) == ""


def test_an_imported_figure_is_shown_with_its_provenance_and_a_disagreement_is_marked(site):
    html = (site / "tracks/parameter-golf/2026-04-01_old.html").read_text("utf-8")
    rows = dict(re.findall(r'<tr(?: class="differs")?><th scope="row">([a-z ]+?)(?: <span.*?)?</th>(.*?)</tr>', html))
    assert re.findall(r">([^<]+)</td>", rows["total bytes"]) == ["15,000,000", "15,900,000", "–"]
    assert re.findall(r">([^<]+)</td>", rows["steps"]) == ["–", "4,000", "–"]
    assert html.count('<tr class="differs">') == 2


def test_lineage_links_both_ways(site):
    found = pages(site)
    base, better = "2026-05-01_base", "2026-05-02_better"
    ahead = [a["href"] for a in found[site / f"tracks/cpu-smoke/{base}.html"].all("a")]
    back = found[site / f"tracks/cpu-smoke/{better}.html"]
    assert f"../../tracks/cpu-smoke/{better}.html" in ahead
    assert f"../../tracks/cpu-smoke/{base}.html" in [a["href"] for a in back.all("a")]
    assert "cpu-smoke/2020-01-01_gone (not on this board)" in back.text


def test_tables_have_captions_and_charts_have_texts_and_tables(site):
    for path, page in pages(site).items():
        assert len(page.all("table")) == len(page.all("caption")), path
        drawings = [a for a in page.all("svg") if a.get("role") == "img"]
        assert all(len(a["aria-label"]) > 30 for a in drawings)
        assert all(a.get("aria-hidden") == "true" for a in page.all("svg") if a not in drawings)
        labels = {a["for"] for a in page.all("label")}
        controls = page.all("select") + page.all("input")
        assert labels == {a["id"] for a in controls}
        identifiers = [a["id"] for _, a in page.elements if "id" in a]
        assert len(identifiers) == len(set(identifiers)), path
        assert page.all("html")[0]["lang"] == "en"
        assert page.all("a")[0] == {"class": "skip", "href": "#main"}
    track = pages(site)[site / "tracks/cpu-smoke/index.html"]
    assert {a["id"] for a in track.all("figure")} == {"frontier", "pareto", "roles", "spread"}
    assert len(track.all("details")) == 4


def test_the_same_board_gives_the_same_bytes(board, site, tmp_path):
    build(board, tmp_path / "again", base_url="https://example.org/golf/")
    assert files(tmp_path / "again") == files(site)


def test_a_broken_entry_is_named_without_the_path_of_this_machine(board, site):
    index = (site / "index.html").read_text("utf-8")
    assert "cpu-smoke/2026-05-09_damaged" in index
    assert not any(str(board).encode() in data for data in files(site).values())


def test_a_published_address_gives_canonical_links_and_a_sitemap(site):
    text = (site / "sitemap.xml").read_text("utf-8")
    named = re.findall(r"<loc>https://example.org/golf/(.*?)</loc>", text)
    assert all((site / name).exists() for name in named)
    assert len(named) == len(list(site.rglob("*.html")))
    index = pages(site)[site / "tracks/cpu-smoke/index.html"]
    assert {"rel": "canonical", "href": "https://example.org/golf/tracks/cpu-smoke/index.html"} in index.all("link")


def test_a_long_track_is_split_and_its_script_has_every_row(tmp_path):
    for number in range(7):
        write_imported(tmp_path / "board", f"e{number}", 1.1 + number / 100)
    built = build(tmp_path / "board", tmp_path / "site", rows_per_page=3, with_charts=False)
    track = tmp_path / "site/tracks/parameter-golf"
    rows = [len(re.findall("<tr role=.row. data-", (track / name).read_text("utf-8")))
            for name in ("index.html", "page-2.html", "page-3.html")]  # fmt: skip
    assert rows == [3, 3, 1]
    script = (track / "rows.js").read_text("utf-8")
    listed = json.loads(script.removeprefix("window.golfregRows = ").removesuffix(";\n"))
    assert [re.search(r'href="(.*?)"', row)[1] for row in listed] == [f"2026-04-01_e{i}.html" for i in range(7)]
    assert built.entries == {"parameter-golf": 7}
    assert 'href="page-2.html"' in (track / "index.html").read_text("utf-8")


def test_a_site_is_replaced_whole(board, tmp_path):
    into = tmp_path / "site"
    build(board, into, with_charts=False)
    first = files(into)
    build(board, into, with_charts=False, title="Another")
    assert "<title>Another</title>" in (into / "index.html").read_text("utf-8")
    assert first.keys() == files(into).keys()
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_an_empty_directory_becomes_a_site(board, tmp_path):
    (tmp_path / "site").mkdir()
    assert build(board, tmp_path / "site", with_charts=False).files == len(files(tmp_path / "site"))


@pytest.mark.parametrize("name", ["notes.txt", "tracks/mine.html", ".git"])
def test_nothing_that_no_build_wrote_is_deleted(board, tmp_path, name):
    into = tmp_path / "site"
    build(board, into, with_charts=False)
    (into / name).write_text("mine")
    before = files(into)
    with pytest.raises(InputError, match=re.escape(name)):
        build(board, into, with_charts=False)
    assert files(into) == before


def test_a_directory_that_is_no_site_is_left_alone(board, tmp_path):
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.tex").write_text("mine")
    for _ in range(2):
        with pytest.raises(InputError, match="home"):
            build(board, tmp_path / "home", with_charts=False)
        (tmp_path / "home" / MARKER).write_text("something else\n")
    assert (tmp_path / "home" / "thesis.tex").read_text() == "mine"


def test_a_site_and_a_board_do_not_lie_in_each_other(board):
    for into in (board, board / "site", board.parent):
        with pytest.raises(InputError, match="lie in each other"):
            build(board, into)


def test_what_is_a_file_or_a_link_is_no_target(board, tmp_path):
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for name in ("file", "link"):
        with pytest.raises(InputError, match="no directory"):
            build(board, tmp_path / name)


def test_a_failed_build_leaves_the_old_site_and_nothing_else(board, tmp_path, monkeypatch):
    into = tmp_path / "site"
    build(board, into, with_charts=False)
    before = files(into)

    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("golfreg.leaderboard.site.build._write_track", fail)
    with pytest.raises(EnvironmentFault, match="No space left"):
        build(board, into, with_charts=False)
    assert files(into) == before
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


@pytest.mark.parametrize("failing", [1, 2])
def test_a_swap_that_fails_keeps_the_old_site(board, tmp_path, monkeypatch, failing):
    into = tmp_path / "site"
    build(board, into, with_charts=False)
    before = files(into)
    calls = iter(range(1, 10))

    def rename(source, target):
        if next(calls) == failing:
            raise OSError(18, "Invalid cross-device link")
        Path(source).rename(target)

    monkeypatch.setattr("golfreg.leaderboard.site.build.os.rename", rename)
    with pytest.raises(EnvironmentFault, match="cross-device"):
        build(board, into, with_charts=False)
    assert files(into) == before
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("title", ""), ("title", "a\x1b[31mb"), ("title", "x" * 201), ("base_url", "javascript:alert(1)"),
        ("base_url", "https://example.org/<b>"), ("base_url", "/golf"),
    ],
)  # fmt: skip
def test_a_wrong_title_or_address_is_an_error(board, tmp_path, option, value):
    with pytest.raises(ConfigError):
        build(board, tmp_path / "site", **{option: value})
    assert not (tmp_path / "site").exists()


def test_a_board_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(InputError, match="no leaderboard"):
        build(tmp_path / "nothing", tmp_path / "site")


def test_an_empty_board_gives_a_site_that_says_so(tmp_path):
    (tmp_path / "board").mkdir()
    build(tmp_path / "board", tmp_path / "site")
    assert "There are no entries yet" in (tmp_path / "site/index.html").read_text("utf-8")


def test_a_large_board_reads_entries_again_rather_than_keep_them(board, tmp_path, site, monkeypatch):
    monkeypatch.setattr("golfreg.leaderboard.site.lines.KEPT_ENTRIES", 1)
    assert len(survey(board).kept) == 1
    build(board, tmp_path / "site", base_url="https://example.org/golf")
    assert files(tmp_path / "site") == files(site)


def test_lines_hold_no_records(board):
    for line in survey(board).lines.values():
        values = [getattr(line, one.name) for one in dataclasses.fields(line)]
        assert not any("RunRecord" in type(value).__name__ for value in values)
        assert len(repr(line)) < 4_000


def test_the_command_prints_json_and_imports_no_torch(board, tmp_path):
    code = (
        "import sys; sys.argv = ['golfreg', 'leaderboard', 'site', '--root', sys.argv[1], '--into', sys.argv[2],"
        " '--no-charts', '--json']\n"
        "from golfreg.cli.main import _run\n"
        "assert _run() == 0\n"
        "assert not {'torch', 'matplotlib'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(board), str(tmp_path / "site")], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["entries"] == {"cpu-smoke": 4, "parameter-golf": 4}
    assert said["files"] == len(files(tmp_path / "site"))
    assert said["broken"][0]["entry"] == "cpu-smoke/2026-05-09_damaged"


def colours(block):
    return dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", block))


def luminance(colour):
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_both_themes_keep_the_contrast_that_wcag_asks_for(site):
    css = (site / "static/site.css").read_text("utf-8")
    light, toggled, system = (colours(block) for block in re.findall(r"\{\s*color-scheme: \w+;(.*?)\}", css, re.S))
    assert toggled == system
    assert light.keys() == toggled.keys()
    for theme in (light, toggled):
        for name, paper in [("ink", "paper"), ("muted", "paper"), ("accent", "paper"), ("fail", "paper"),
                            ("warn", "paper"), ("ink", "raised"), ("muted", "raised"), ("accent", "raised"),
                            ("accent", "tint")]:  # fmt: skip
            dark, bright = sorted((luminance(theme[name]), luminance(theme[paper])))
            assert (bright + 0.05) / (dark + 0.05) >= 4.5, (name, paper)
