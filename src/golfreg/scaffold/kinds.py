"""The kinds of plugin that can be written: one directory of templates each, described by its ``kind.toml``."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template

from golfreg.api.errors import ConfigError, nearest

TEMPLATES = Path(__file__).parent / "templates"
COMMON = TEMPLATES / "common"
SUFFIX = ".tmpl"
COUNTED = "Code that a run loads is counted in the artifact: import little, and keep what only tests need out of `src`."


@dataclass(frozen=True)
class Kind:
    """What ``kind.toml`` says. ``provides``: the kinds of component that the plugin registers under its name.

    ``about``: a paragraph for the README. ``guide``: list items on where to begin. ``run`` and
    ``check``: commands. ``op``: the op that a kernel implements. ``counted``: what the README says of the
    code's size. All are templates of ``string``.
    """

    name: str
    provides: tuple[str, ...]
    about: str
    guide: str
    run: str
    check: str = "golfreg plugins check ${name} --kind ${kind}"
    op: str = ""
    counted: str = COUNTED

    def files(self) -> dict[str, Path]:
        """Path in the distribution, with names still to be filled in, to its template."""
        found: dict[str, Path] = {}
        for root in (COMMON, TEMPLATES / self.name):
            for path in sorted(root.rglob(f"*{SUFFIX}")):
                parts = [f".{p[4:]}" if p.startswith("dot_") else p for p in path.relative_to(root).parts]
                found["/".join(parts).removesuffix(SUFFIX)] = path
        return found

    def render(self, values: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        """(path, text) of every file."""
        for target, path in self.files().items():
            text = Template(path.read_text("utf-8")).substitute(values)
            yield target.replace("__package__", values["package"]), text


@functools.cache
def known_kinds() -> dict[str, Kind]:
    """Every kind by name."""
    return {path.parent.name: _read(path) for path in sorted(TEMPLATES.glob("*/kind.toml"))}


def find_kind(name: str) -> Kind:
    """The kind of that name; ``ConfigError`` with the nearest if there is none."""
    if name not in known_kinds():
        raise ConfigError(f"there is no kind `{name}`", nearest(name, known_kinds(), "kinds"))
    return known_kinds()[name]


def _read(path: Path) -> Kind:
    facts = tomllib.loads(path.read_text("utf-8"))
    return Kind(path.parent.name, provides=tuple(facts.pop("provides")), **facts)
