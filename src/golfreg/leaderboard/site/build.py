"""``leaderboard site``: all pages are written beside the target, then the directory is swapped in whole.

The target is replaced only if every file in it was written by an earlier build: its marker file
lists them.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from golfreg.api.errors import ConfigError, EnvironmentFault, InputError
from golfreg.config import strict
from golfreg.leaderboard.places import Broken
from golfreg.leaderboard.site.charts import charts
from golfreg.leaderboard.site.lines import Survey, Track, survey
from golfreg.leaderboard.site.pages import Pages

MARKER = ".golfreg-site"
_FIRST_LINE = "golfreg site 1"
MAX_MARKER_BYTES = 16 * 1024 * 1024
STATIC = Path(__file__).parent / "static"
ROWS_PER_PAGE = 500
MAX_TITLE = 200
_BASE_URL = re.compile(r"https?://[A-Za-z0-9][A-Za-z0-9.-]{0,250}(?::\d{1,5})?(?:/[A-Za-z0-9._~-]{1,100}){0,20}/?")


@dataclass(frozen=True)
class Built:
    """What was written. ``entries``: by track."""

    directory: Path
    entries: dict[str, int]
    broken: list[Broken]
    files: int
    size_bytes: int


@dataclass
class _Writer:
    """Writes files below ``root`` and remembers them."""

    root: Path
    files: list[str] = field(default_factory=list)
    size_bytes: int = 0

    def write(self, name: str, text: str) -> None:
        """One file. A lone surrogate, as in the name of a file, cannot be text: pages escape it before."""
        data = text.encode()
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        self.files.append(name)
        self.size_bytes += len(data)


def build(
    root: Path,
    into: Path,
    *,
    title: str = "golfreg leaderboard",
    base_url: str = "",
    with_charts: bool = True,
    rows_per_page: int = ROWS_PER_PAGE,
    progress: Callable[[int, int], None] = lambda done, total: None,
    now: datetime | None = None,
) -> Built:
    """Build the site of the leaderboard ``root`` into the directory ``into``.

    The same entries give the same bytes. ``progress`` is told how many entry pages are done.
    Raises ConfigError for a wrong address or title, InputError for a target that holds anything
    that no build wrote, EnvironmentFault where it cannot be written or charts cannot be drawn.
    """
    if not title.strip() or len(title) > MAX_TITLE or not title.isprintable():
        raise ConfigError(f"the title is {strict.shown(title)}", f"1 to {MAX_TITLE} printable characters")
    if base_url and not _BASE_URL.fullmatch(base_url):
        raise ConfigError(
            f"the base URL is {strict.shown(base_url)}", "an address, as in https://example.org/leaderboard/"
        )
    into = into.absolute()
    _target(root, into)
    found = survey(root, now)
    pages = Pages(found, title, base_url and base_url.rstrip("/") + "/")
    try:
        into.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=into.parent, prefix=f".{into.name}.", suffix=".tmp"))
    except OSError as error:
        raise EnvironmentFault(f"cannot write `{into}`: {error.strerror}", "check the path and the disk") from error
    try:
        writer = _Writer(temporary)
        _write(writer, pages, found, with_charts, rows_per_page, progress)
        (temporary / MARKER).write_text("\n".join([_FIRST_LINE, *sorted(writer.files)]) + "\n", "utf-8")
        temporary.chmod(0o755)
        _target(root, into)
        _swap(temporary, into)
    except OSError as error:
        raise EnvironmentFault(f"cannot write `{into}`: {error.strerror}", "check the path and the disk") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    entries = {track.name: len(track.lines) for track in found.tracks}
    return Built(into, entries, found.broken, len(writer.files) + 1, writer.size_bytes)


def _write(
    writer: _Writer, pages: Pages, found: Survey, with_charts: bool, rows_per_page: int,
    progress: Callable[[int, int], None],
) -> None:  # fmt: skip
    for path in sorted(STATIC.iterdir()):
        writer.write(f"static/{path.name}", path.read_text("utf-8"))
    writer.write("index.html", pages.index())
    writer.write("rules.html", pages.rules())
    # Hosts that run Jekyll over a directory leave it alone where this file lies.
    writer.write(".nojekyll", "")
    if pages.base_url:
        writer.write("sitemap.xml", pages.sitemap())
    done, total = 0, len(pages.survey.lines)
    for track in found.tracks:
        _write_track(writer, pages, track, with_charts, rows_per_page)
        for line in track.lines:
            writer.write(f"tracks/{line.key}.html", pages.entry(found.entry(line.key), line))
            done += 1
            progress(done, total)


def _write_track(writer: _Writer, pages: Pages, track: Track, with_charts: bool, rows_per_page: int) -> None:
    count = -(-len(track.lines) // rows_per_page)
    drawn = charts(track) if with_charts else []
    for page in range(1, count + 1):
        lines = track.lines[(page - 1) * rows_per_page : page * rows_per_page]
        name = "index.html" if page == 1 else f"page-{page}.html"
        writer.write(f"tracks/{track.name}/{name}", pages.track(track, drawn if page == 1 else [], lines, page, count))
    if count > 1:
        # A page opened from a disk may load scripts, but not data: the rows are a script.
        rows = ",\n".join(map(json.dumps, pages.rows(track.lines)))
        writer.write(f"tracks/{track.name}/rows.js", f"window.golfregRows = [\n{rows}\n];\n")


def _target(root: Path, into: Path) -> None:
    """InputError unless ``into`` may become the site: absent, empty, or all of it written by an earlier build."""
    real, board = into.resolve(), root.resolve()
    if real == board or board in real.parents or real in board.parents:
        raise InputError(f"the site `{into}` and the leaderboard `{root}` lie in each other", "choose another `--into`")
    if into.is_symlink() or (into.exists() and not into.is_dir()):
        raise InputError(f"`{into}` is no directory", "choose another `--into`")
    if not into.exists() or not any(into.iterdir()):
        return
    marker = into / MARKER
    if not marker.is_file() or marker.is_symlink():
        raise InputError(f"`{into}` is not empty and no site that golfreg built", "choose another `--into`")
    lines = strict.read_text(marker, "marker", MAX_MARKER_BYTES).splitlines()
    if lines[:1] != [_FIRST_LINE]:
        raise InputError(f"`{marker}` is not golfreg's", "choose another `--into`")
    known = {MARKER, *lines[1:]}
    for directory, _, names in os.walk(into):
        for name in names:
            path = (Path(directory) / name).relative_to(into).as_posix()
            if path not in known:
                raise InputError(
                    f"`{into}` holds `{strict.shown(path)}`, which no build wrote",
                    "move it away, or choose another `--into`",
                )


def _swap(temporary: Path, into: Path) -> None:
    """Put the new site in the old one's place; the old one is removed when the new one stands."""
    if not into.exists():
        os.rename(temporary, into)
        return
    old = Path(tempfile.mkdtemp(dir=into.parent, prefix=f".{into.name}.", suffix=".old"))
    try:
        os.rename(into, old)
        os.rename(temporary, into)
    except BaseException:
        if not into.exists():
            os.rename(old, into)
        raise
    finally:
        if into.exists():
            shutil.rmtree(old, ignore_errors=True)
