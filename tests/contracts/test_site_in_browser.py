"""The site as a browser shows it: opened from the disk, without a server, in headless Chromium."""

import json
import re
import shutil
import subprocess
from dataclasses import replace
from html import unescape

import pytest

from golfreg.config.record import record_to_toml
from golfreg.leaderboard.entries import EntryFacts, entry_to_toml
from golfreg.leaderboard.site.build import build
from golfreg.rules.figures import recompute
from golfreg.testing.records import changed, example_record

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium, chromium-browser or google-chrome on PATH")

ENTRIES = [  # name, bits per byte, bytes, status, day
    ("mamba-small", 2.61, 700_000, "claimed", 1),
    ("mamba-large", 2.45, 1_500_000, "accepted", 2),
    ("transformer", 2.55, 1_200_000, "accepted", 3),
    ("a-name-that-is-as-long-as-names-may-be-and-has-no-place-for-b", 2.50, 900_000, "claimed", 4),
    ("old-mamba", 2.70, 600_000, "withdrawn", 5),
]


def write_entry(root, name, score, size, status, day):
    name = name[:60]
    directory = root / "cpu-smoke" / f"2026-05-{day:02}_{name}"
    (directory / "runs").mkdir(parents=True)
    records = []
    for seed in (1, 2, 3):
        record = example_record(seed, bits_per_byte=score + seed / 1_000)
        weights = size - 25_000
        record = changed(
            record, "sizes", weight_bytes=weights, total_bytes=size, headroom_bytes=16_000_000 - size,
            by_role={"embedding": 200_000, "in_proj": weights - 200_000},
        )  # fmt: skip
        record = changed(record, "artifact", bytes=size)
        architecture = replace(record.components.architecture, name="mamba3" if "mamba" in name else "transformer")
        record = changed(record, "components", architecture=architecture, mixers={})
        records.append(record)
        (directory / "runs" / f"seed_{seed}.toml").write_text(record_to_toml(record), "utf-8")
    facts = EntryFacts(
        name=name, author="Wxyz" * 20, track="cpu-smoke", ruleset="cpu-smoke", date=f"2026-05-{day:02}",
        status=status, techniques=("x" * 150,), declared=recompute(records),
    )  # fmt: skip
    (directory / "entry.toml").write_text(entry_to_toml(facts), "utf-8")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    root = tmp_path_factory.mktemp("browser")
    for entry in ENTRIES:
        write_entry(root / "board", *entry)
    build(root / "board", root / "site")
    build(root / "board", root / "split", rows_per_page=2, with_charts=False)
    return root / "site"


def chromium(address, tmp_path, *options):
    """The page's DOM after its scripts ran, and what it wrote to the console."""
    command = [
        CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
        "--disable-background-networking", "--enable-logging=stderr", f"--user-data-dir={tmp_path / 'profile'}",
        "--allow-file-access-from-files", "--virtual-time-budget=30000", *options, "--dump-dom", address,
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-2_000:]
    return done.stdout, re.findall(r"CONSOLE.*", done.stderr)


def ask(site, tmp_path, script, *options, width=390):
    """What ``script`` returns. In it ``open(path)`` opens a page in a frame and gives its document."""
    page = tmp_path / "ask.html"
    page.write_text(
        f"""<!doctype html><body><iframe id="frame" style="border:0" width="{width}" height="800"></iframe>
        <pre id="answer"></pre><script>
        const frame = document.getElementById("frame");
        let opened = 0;
        const open = (path) => new Promise((done) => {{
          frame.onload = () => setTimeout(() => done(frame.contentDocument), 100);
          const [file, hash] = path.split("#");
          frame.src = {json.dumps(site.as_uri())} + "/" + file + "?n=" + (opened += 1) + (hash ? "#" + hash : "");
        }});
        const pause = () => new Promise((done) => setTimeout(done, 100));
        (async () => {{ {script} }})().then(
          (value) => (document.getElementById("answer").textContent = JSON.stringify(value)),
          (error) => (document.getElementById("answer").textContent = JSON.stringify("failed: " + error)));
        </script></body>""",
        "utf-8",
    )
    dom, console = chromium(page.as_uri(), tmp_path, *options)
    assert console == []
    return json.loads(unescape(re.search(r'<pre id="answer">(.*?)</pre>', dom, re.S)[1]))


def test_an_address_holds_search_and_order(site, tmp_path):
    address = (site / "tracks/cpu-smoke/index.html").as_uri() + "#q=mamba&sort=bytes"
    dom, console = chromium(address, tmp_path)
    assert console == []
    assert re.findall(r'class="entry"[^>]*><a href="2026-05-\d\d_(.*?)\.html"', dom) == [
        "old-mamba", "mamba-small", "mamba-large",
    ]  # fmt: skip
    assert "3 of 5 entries" in dom
    assert re.findall(r'data-key="(\w+)" aria-sort="(\w+)"', dom) == [("bytes", "ascending")]


def test_a_forbidden_script_is_seen_in_the_console(site, tmp_path):
    page = site / "tracks/cpu-smoke/index.html"
    copy = page.with_name("copy.html")
    copy.write_text(page.read_text("utf-8").replace("</main>", "<script>document.title = 'live'</script></main>"))
    try:
        dom, console = chromium(copy.as_uri(), tmp_path)
    finally:
        copy.unlink()
    assert "Content Security Policy" in " ".join(console)
    assert "<title>live</title>" not in dom


def test_search_filters_and_sorting_work(site, tmp_path):
    answer = ask(
        site, tmp_path, width=1200, script="""
        const page = await open("tracks/cpu-smoke/index.html");
        const name = (tr) => tr.dataset.words.split("_").at(-1);
        const names = () => [...page.querySelectorAll("#board tbody tr")].map(name);
        const put = async (id, value) => {
          const control = page.getElementById(id);
          control.value = value;
          control.dispatchEvent(new Event("input", { bubbles: true }));
          await pause();
        };
        const head = (key) => page.querySelector(`th[data-key=${key}]`);
        const said = { start: names(), button: head("bytes").querySelector("button").type };
        await put("f-q", "MAMBA wxyz");
        said.searched = names();
        said.count = page.getElementById("count").textContent;
        said.hash = frame.contentWindow.location.hash;
        await put("f-q", "");
        await put("f-status", "accepted");
        said.accepted = names();
        await put("f-status", "");
        await put("f-show", "unranked");
        said.unranked = names();
        await put("f-show", "frontier");
        said.frontier = names();
        page.querySelector("#filters button[type=reset]").click();
        await pause();
        said.cleared = names();
        said.clearedHash = frame.contentWindow.location.hash;
        head("score").querySelector("button").click();
        head("score").querySelector("button").click();
        await pause();
        said.worst = names();
        said.sorted = [head("score").getAttribute("aria-sort"), head("rank").getAttribute("aria-sort")];
        head("gap").querySelector("button").click();
        head("gap").querySelector("button").click();
        await pause();
        said.missingLast = names().at(-1);
        return said;
        """,
    )  # fmt: skip
    long = ENTRIES[3][0][:60]
    assert answer["start"] == ["mamba-large", long, "transformer", "mamba-small", "old-mamba"]
    assert answer["button"] == "button"
    assert answer["searched"] == ["mamba-large", "mamba-small", "old-mamba"]
    assert answer["count"] == "3 of 5 entries"
    assert answer["hash"] == "#q=MAMBA+wxyz"
    assert answer["accepted"] == ["mamba-large", "transformer"]
    assert answer["unranked"] == ["old-mamba"]
    assert answer["frontier"] == ["mamba-large", "mamba-small"]
    assert answer["cleared"] == answer["start"]
    assert answer["clearedHash"] == ""
    assert answer["worst"] == ["old-mamba", "mamba-small", "transformer", long, "mamba-large"]
    assert answer["sorted"] == ["descending", None]
    assert answer["missingLast"] == "old-mamba"


def test_no_page_scrolls_sideways_on_a_phone(site, tmp_path):
    paths = sorted(path.relative_to(site).as_posix() for path in site.rglob("*.html"))
    found = ask(
        site, tmp_path, script=f"""
        const found = [];
        for (const path of {json.dumps(paths)}) {{
          const page = await open(path);
          for (const details of page.querySelectorAll("details")) details.open = true;
          for (const width of [390, 320]) {{
            frame.width = width;
            found.push([path, width, page.documentElement.scrollWidth]);
          }}
        }}
        return found;
        """,
    )  # fmt: skip
    assert len(found) == 2 * len(paths) == 16
    assert [one for one in found if one[2] > one[1]] == []


def test_the_theme_is_the_systems_until_it_is_chosen(site, tmp_path):
    script = """
        const paper = (page) => frame.contentWindow.getComputedStyle(page.body).backgroundColor;
        const found = [];
        for (const hash of ["", "#theme=light", "#theme=dark"]) found.push(paper(await open("index.html" + hash)));
        const page = await open("index.html");
        for (let i = 0; i < 3; i += 1) {
          page.getElementById("theme").click();
          found.push(page.getElementById("theme").textContent, paper(page));
        }
        page.getElementById("theme").click();
        found.push(paper(await open("rules.html")));
        return found;
        """
    light, dark = "rgb(253, 253, 252)", "rgb(18, 22, 20)"
    system = dark
    assert ask(site, tmp_path, script, "--blink-settings=preferredColorScheme=0") == [
        system, light, dark, "Theme: light", light, "Theme: dark", dark, "Theme: auto", system, light,
    ]  # fmt: skip


def test_the_keyboard_reaches_everything_and_the_skip_link_comes_first(site, tmp_path):
    answer = ask(
        site, tmp_path, width=1200, script="""
        const page = await open("tracks/cpu-smoke/index.html");
        const reach = [...page.querySelectorAll("a[href], button, input, select, summary, [tabindex='0']")].filter(
          (element) => element.tabIndex >= 0 && element.checkVisibility());
        const outlines = reach.slice(0, 12).map((element) => {
          element.focus({ focusVisible: true });
          return page.activeElement === element && frame.contentWindow.getComputedStyle(element).outlineWidth;
        });
        const skip = reach[0];
        skip.focus();
        return { first: skip.textContent, top: skip.getBoundingClientRect().top, outlines,
          inCharts: reach.filter((element) => element.closest("svg")).length,
          heads: reach.filter((element) => element.closest("thead") && element.closest("#board")).length };
        """,
    )  # fmt: skip
    assert answer["first"] == "Skip to content"
    assert answer["top"] >= 0
    assert set(answer["outlines"]) == {"3px"}
    assert answer["inCharts"] == 0
    assert answer["heads"] == 9


def test_a_split_table_is_searched_whole(site, tmp_path):
    answer = ask(
        site.with_name("split"), tmp_path, width=1200, script="""
        const page = await open("tracks/cpu-smoke/index.html");
        const before = page.querySelectorAll("#board tbody tr").length;
        const found = await open("tracks/cpu-smoke/page-2.html#q=mamba&sort=bytes&order=desc");
        await pause();
        const rows = [...found.querySelectorAll("#board tbody tr")];
        return [before, rows.map((tr) => tr.dataset.words.split("_").at(-1)),
          found.getElementById("count").textContent, found.getElementById("pages").hidden];
        """,
    )  # fmt: skip
    assert answer == [2, ["mamba-large", "mamba-small", "old-mamba"], "3 of 5 entries", True]
