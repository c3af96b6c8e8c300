"""The documentation's site builds without a warning, has no dead link, loads nothing remote, and is complete."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import typer
import yaml

import golfreg.api
import golfreg.testing
from golfreg.api.links import docs_link
from golfreg.cli.app import app
from golfreg.registry.hookspecs import HOOKS
from tests.docs.blocks import DOCS, ROOT, pages

LOADED = {("img", "src"), ("script", "src"), ("link", "href"), ("iframe", "src"), ("source", "src")}
"""What a browser fetches by itself."""


class Page(HTMLParser):
    """Links, what is loaded, and anchors of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {key: value or "" for key, value in attrs}
        self.anchors |= {values[key] for key in ("id", "name") if key in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        self.loads += [values[key] for of, key in LOADED if of == tag and key in values]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    into = tmp_path_factory.mktemp("documentation") / "site"
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(into)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return into


@pytest.fixture(scope="module")
def built(site: Path) -> dict[Path, Page]:
    return {path: Page(path) for path in site.rglob("*.html")}


def test_every_page_is_in_the_navigation() -> None:
    class Loader(yaml.SafeLoader):
        pass

    def paths(nav: object) -> Iterator[str]:
        if isinstance(nav, str):
            yield nav
        else:
            for each in nav.values() if isinstance(nav, dict) else nav:  # type: ignore[attr-defined]
                yield from paths(each)

    nav = list(paths(yaml.load((ROOT / "mkdocs.yml").read_text("utf-8"), Loader)["nav"]))
    assert sorted(nav) == pages(), "each docs/**/*.md stands once in the `nav` of mkdocs.yml"


def test_no_link_is_dead(site: Path, built: dict[Path, Page]) -> None:
    dead = []
    for path, page in built.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc or path.name == "404.html":
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if target.is_dir():
                target /= "index.html"
            whole = target.is_file() and (
                not parts.fragment or target not in built or unquote(parts.fragment) in built[target].anchors
            )
            if not whole:
                dead.append(f"{path.relative_to(site)}: {link}")
    assert not dead
    assert sum(len(page.links) for page in built.values()) > 1000


def test_nothing_is_loaded_from_elsewhere(site: Path, built: dict[Path, Page]) -> None:
    remote = {load for page in built.values() for load in page.loads if urlsplit(load).netloc}
    assert not remote
    styles = "".join(path.read_text("utf-8") for path in site.rglob("*.css"))
    assert not re.findall(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//[^)]*", styles)


def test_every_code_has_an_anchor_and_check_names_it(site: Path, built: dict[Path, Page]) -> None:
    from golfreg.leaderboard.diff_rules import change_rules
    from golfreg.leaderboard.render import finding_values
    from golfreg.rules.codes import all_codes
    from golfreg.rules.findings import Finding, Level

    codes = [*all_codes(), *(rule.code for rule in change_rules())]
    assert len(codes) > 50
    for code in codes:
        (values,) = finding_values([Finding(code, Level.FAIL, "")])
        page, _, anchor = values["docs"].partition("#")
        assert page == "docs/rules.md"
        assert anchor in built[site / "rules.html"].anchors, code


def test_the_hint_of_check_names_the_worst_finding() -> None:
    from golfreg.cli.leaderboard_check import _where_to_read
    from golfreg.leaderboard.check import Checked
    from golfreg.rules.findings import Finding, Level

    findings = [Finding("GR105", Level.WARN, ""), Finding("GR302", Level.FAIL, ""), Finding("GR401", Level.PASS, "")]
    assert _where_to_read(Checked({"track/entry": findings}, [])).endswith("of GR302 see docs/rules.md#gr302")
    assert _where_to_read(Checked({"track/entry": findings[:1]}, [])).endswith("docs/rules.md#gr105")
    assert _where_to_read(Checked({}, [])) == "docs/leaderboard.md#an-entry says what an entry holds"


def test_a_link_into_the_documentation_is_a_file_or_a_page_of_the_site(monkeypatch: pytest.MonkeyPatch) -> None:
    assert docs_link("rules#gr101") == "docs/rules.md#gr101"
    assert docs_link("errors") == "docs/errors.md"
    monkeypatch.setattr("golfreg.api.links.DOCS", "https://example.org/golfreg/")
    assert docs_link("rules#gr101") == "https://example.org/golfreg/rules.html#gr101"


def test_every_link_that_the_program_names_leads_somewhere(site: Path, built: dict[Path, Page]) -> None:
    sources = "".join(path.read_text("utf-8") for path in (ROOT / "src").rglob("*.py"))
    named = set(re.findall(r"docs_link\(f?[\"']([a-z_/]+(?:#[a-z-]+)?)[\"']\)", sources))
    named |= {path.removesuffix(".md") for path in re.findall(r"(?<![\w/])docs/([\w/]+\.md)", sources)}
    assert len(named) >= 3
    for link in named:
        page, _, anchor = link.partition("#")
        assert (DOCS / f"{page}.md").is_file(), link
        assert not anchor or anchor in built[site / f"{page}.html"].anchors, link


def test_the_reference_has_every_hook_and_every_public_name(site: Path, built: dict[Path, Page]) -> None:
    anchors = {
        anchor.rpartition(".")[2]
        for path, page in built.items()
        if path.parent == site / "reference"
        for anchor in page.anchors
        if anchor.startswith("golfreg.")
    }
    kit = {f"check_{kind}" for kind in golfreg.api.KINDS}
    wanted = {*HOOKS, *golfreg.api.__all__, *golfreg.testing.__all__, *kit}
    assert not wanted - anchors


def test_every_command_has_its_help_text(site: Path, built: dict[Path, Page]) -> None:
    top = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    wanted = {"golfreg", *top}
    wanted |= {f"{name}-{below}" for name, group in top.items() for below in getattr(group, "commands", ())}
    assert not wanted - built[site / "commands.html"].anchors
    assert "Train this many steps instead of by the clock." in (site / "commands.html").read_text("utf-8")
