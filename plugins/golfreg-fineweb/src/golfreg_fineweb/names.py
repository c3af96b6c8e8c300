"""What follows ``fineweb:``, and where an export is published and kept.

Names, layout and the default root are those of openai/parameter-golf, data/cached_challenge_fineweb.py.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from golfreg.api import ConfigError

VARIANTS = ("sp1024", "sp4096", "sp8192", "byte260")
"""Those that the challenge and its entries used; the manifest decides what there is."""

REPOSITORIES = ("willdepueoai/parameter-golf", "kevclark/parameter-golf")
"""The challenge's, and an entrant's from which its SP4096 and SP8192 entries took their shards. The first
that has the variant is used."""

ROOT = "datasets"

_WORD = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}"
_ARGUMENT = re.compile(
    rf"(?P<variant>sp[1-9][0-9]{{1,5}}|byte260)(?:@(?P<repo>{_WORD}/{_WORD})(?P<root>(?:/{_WORD}){{1,8}})?)?"
)
_FORM = "write `fineweb:sp1024`, or `fineweb:sp1024@OWNER/REPOSITORY` for another export of the same layout"


@dataclass(frozen=True)
class Source:
    """An argument. ``repositories``: where to look, in order; ``root``: directory of the manifest there."""

    argument: str
    variant: str
    repositories: tuple[str, ...]
    root: str

    @property
    def dataset(self) -> str:
        """Name of the dataset in the manifest, and of its directory."""
        return f"fineweb10B_{self.variant}"

    def directory(self, cache_dir: Path) -> Path:
        """Where its files are kept."""
        return cache_dir / "fineweb" / self.argument.replace("/", "--")


def parse(argument: str | None) -> Source:
    """The source that an argument names. Nothing is looked up."""
    match = _ARGUMENT.fullmatch(argument or "")
    if not argument or match is None:
        raise ConfigError(f"the corpus `fineweb` does not know {str(argument or '')[:80]!r}", hint=_FORM)
    repositories = (match["repo"],) if match["repo"] else REPOSITORIES
    return Source(argument, match["variant"], repositories, (match["root"] or f"/{ROOT}")[1:])


def argument_of(directory_name: str) -> str:
    """The argument whose directory has that name."""
    return directory_name.replace("--", "/")


def shard(split: str, number: int) -> str:
    """File name of a shard: ``split`` is ``train`` or ``val``."""
    return f"fineweb_{split}_{number:06d}.bin"
