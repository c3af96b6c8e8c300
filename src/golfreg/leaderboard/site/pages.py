"""The pages as HTML. Every text is escaped by Jinja, what is not printable is shown as an escape, and no page
refers to anything outside the site but by a plain link."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from golfreg.config.imported import Source
from golfreg.leaderboard.entries import Entry
from golfreg.leaderboard.site.charts import Chart
from golfreg.leaderboard.site.entry_view import entry_view
from golfreg.leaderboard.site.lines import Line, Survey, Track
from golfreg.rules.codes import all_codes

if TYPE_CHECKING:
    from jinja2 import Environment

TEMPLATES = Path(__file__).parent / "templates"
_LINK = re.compile(r"https://[A-Za-z0-9](?:[A-Za-z0-9.-]{0,250}[A-Za-z0-9])?(?:/[A-Za-z0-9./_%#?=&:@+~-]{0,480})?")
_REPOSITORY = re.compile(r"https://github\.com/[A-Za-z0-9._-]+/[A-Za-z0-9._-]+/")
NEWEST = 8
MOST_CHOICES = 12
"""A filter with more choices than this is no help."""


@dataclass(frozen=True)
class Pages:
    """Renders one site. ``base_url``: where it will be published, ending in ``/``; empty where that is not known."""

    survey: Survey
    title: str
    base_url: str = ""

    def index(self) -> str:
        """The first page: the tracks, and the newest entries."""
        lines = sorted(self._lines.values(), key=lambda line: (line.date, line.key), reverse=True)
        return self._page("index.html", "", newest=lines[:NEWEST], broken=self.survey.broken)

    def track(self, track: Track, charts: Sequence[Chart], lines: Sequence[Line], page: int, pages: int) -> str:
        """One page of a track's table. The first has the charts."""
        name = "index.html" if page == 1 else f"page-{page}.html"
        return self._page(
            "track.html", f"tracks/{track.name}/{name}",
            track=track, charts=charts, lines=lines, page=page, pages=pages, choices=_choices(track.lines),
        )  # fmt: skip

    def rows(self, lines: Sequence[Line]) -> list[str]:
        """Table rows as HTML, for the script of a track of several pages."""
        module = self._environment.get_template("macros.html.j2").module
        return [" ".join(str(module.row(line)).split()) for line in lines]  # type: ignore[attr-defined]

    def entry(self, entry: Entry, line: Line) -> str:
        """An entry's own page."""
        descendants = [self._lines[key] for key in self._descendants.get(entry.key, ())]
        bases = [(key, self._lines.get(key)) for key in dict.fromkeys(entry.facts.based_on)]
        track = next(track for track in self.survey.tracks if track.name == line.track)
        view = entry_view(entry, line, self.survey.now)
        return self._page(
            "entry.html", f"tracks/{line.track}/{line.slug}.html",
            entry=entry, line=line, track=track, bases=bases, descendants=descendants, view=view,
        )  # fmt: skip

    def rules(self) -> str:
        """What statuses, codes and rulesets mean."""
        rulesets = {one.name: one for track in self.survey.tracks for one in track.rulesets}
        return self._page("rules.html", "rules.html", rulesets=list(rulesets.values()))

    def sitemap(self) -> str:
        """The addresses of all pages, for search engines."""
        paths = ["", "rules.html"]
        for track in self.survey.tracks:
            paths += [f"tracks/{track.name}/index.html", *(f"tracks/{line.key}.html" for line in track.lines)]
        urls = "".join(f"<url><loc>{self.base_url}{path}</loc></url>\n" for path in paths)
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n{urls}</urlset>\n'
        )

    def _page(self, template: str, path: str, **values: Any) -> str:
        up = "../" * path.count("/")
        page = self._environment.get_template(f"{template}.j2")
        return page.render(up=up, here=path, **values) + "\n"

    @cached_property
    def _lines(self) -> dict[str, Line]:
        return self.survey.lines

    @cached_property
    def _descendants(self) -> dict[str, list[str]]:
        """Keys of the entries that build on an entry, by its key."""
        found: dict[str, list[str]] = {}
        for line in sorted(self._lines.values(), key=lambda line: (line.date, line.key)):
            for base in dict.fromkeys(line.based_on):
                found.setdefault(base, []).append(line.key)
        return found

    @cached_property
    def _environment(self) -> Environment:
        from importlib.metadata import version

        from jinja2 import Environment, FileSystemLoader, StrictUndefined

        environment = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            finalize=printable,
        )
        environment.filters |= {"n": number, "f": fixed, "is_link": is_link, "span": span, "pull_url": pull_url}
        environment.globals |= {
            "site_title": self.title,
            "base_url": self.base_url,
            "tracks": self.survey.tracks,
            "all_lines": self._lines,
            "codes": all_codes(),
            "golfreg_version": version("golfreg"),
            "newest_day": max((track.newest for track in self.survey.tracks), default=""),
        }
        return environment


def printable(value: Any) -> Any:
    """A value for a page: what is not printable in a text is shown as an escape; Jinja's own markup stays."""
    from markupsafe import Markup

    if value is None:
        return ""
    if isinstance(value, str) and not isinstance(value, Markup) and not value.isprintable():
        return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in value)
    return value


def is_link(url: str) -> bool:
    """Whether a text is an https address that may become a link."""
    return _LINK.fullmatch(url) is not None


def pull_url(source: Source) -> str:
    """The pull request's address, of the repository that the folder lies in; empty where it is not known."""
    repository = _REPOSITORY.match(source.url)
    return f"{repository[0]}pull/{source.pull_request}" if repository and source.pull_request else ""


def span(seconds: float) -> tuple[str, str]:
    """A length of time as a number and its unit: seconds up to an hour, then hours, then days."""
    unit, length = ("seconds", 1) if seconds <= 3_600 else ("hours", 3_600) if seconds <= 172_800 else ("days", 86_400)
    return f"{seconds / length:,.1f}".removesuffix(".0"), unit


def number(value: int | None) -> str:
    """``1,234``; a dash for what is not known."""
    return "–" if value is None else f"{value:,}"


def fixed(value: float | None, digits: int = 4) -> str:
    """With that many decimals; a dash for what is not known."""
    return "–" if value is None else f"{value:.{digits}f}"


def _choices(lines: Sequence[Line]) -> dict[str, list[str]]:
    """What the filters offer, by the name of the filter; only where there is something to choose."""
    values = {
        "status": {line.status for line in lines},
        "architecture": {line.parts.architecture for line in lines} - {""},
        "quantizer": {line.parts.quantizer for line in lines} - {""},
        "codec": {line.parts.codec for line in lines} - {""},
        "tokenizer": {line.parts.tokenizer for line in lines} - {""},
    }
    return {name: sorted(found) for name, found in values.items() if 1 < len(found) <= MOST_CHOICES}
