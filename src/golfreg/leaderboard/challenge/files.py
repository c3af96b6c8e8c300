"""The files of a folder that somebody else wrote: listed and read, never followed out of it."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from golfreg.api.errors import InputError
from golfreg.config.strict import shown

MAX_FILES = 2_000
MAX_DEPTH = 6
MAX_JSON_BYTES = 1 << 20
MAX_TEXT_BYTES = 32 << 20
"""Of a log or a README. The largest log of the public folders has 0.3 MB."""
MAX_SCRIPT_BYTES = 4 << 20


@dataclass(frozen=True)
class RecordFiles:
    """``sizes``: bytes of each regular file by its path inside ``root``, sorted. ``problems``: what was left out."""

    root: Path
    sizes: dict[str, int]
    problems: tuple[str, ...] = ()

    def read(self, name: str, limit: int) -> bytes:
        """A listed file of at most ``limit`` bytes. InputError for a larger one, or one that changed into a link."""
        try:
            handle = os.open(self.root / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with os.fdopen(handle, "rb") as file:
                data = file.read(limit + 1) if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else None
        except (OSError, ValueError) as error:
            raise InputError(f"`{shown(name)}` cannot be read: {getattr(error, 'strerror', None) or error}") from error
        if data is None:
            raise InputError(f"`{shown(name)}` is not a file")
        if len(data) > limit:
            raise InputError(f"`{shown(name)}` has over {limit:,} bytes")
        return data


def list_files(root: Path) -> RecordFiles:
    """Every regular file under ``root``. Links, devices and what lies too deep are problems, not files."""
    sizes: dict[str, int] = {}
    problems: list[str] = []
    try:
        _walk(root, "", 0, sizes, problems)
    except OSError as error:
        raise InputError(f"`{root}`: {error.strerror or error}", "check the path") from error
    return RecordFiles(root, dict(sorted(sizes.items())), tuple(sorted(problems)))


def _walk(directory: Path, prefix: str, depth: int, sizes: dict[str, int], problems: list[str]) -> None:
    with os.scandir(directory) as entries:
        for entry in sorted(entries, key=lambda one: one.name):
            name = prefix + entry.name
            if len(sizes) >= MAX_FILES:
                problems.append(f"over {MAX_FILES:,} files: the rest was not looked at")
                return
            if entry.is_symlink():
                problems.append(f"`{shown(name)}` is a symbolic link: not followed")
            elif entry.is_dir(follow_symlinks=False):
                if depth >= MAX_DEPTH:
                    problems.append(f"`{shown(name)}` lies over {MAX_DEPTH} directories deep: not looked at")
                else:
                    _walk(Path(entry.path), f"{name}/", depth + 1, sizes, problems)
            elif entry.is_file(follow_symlinks=False):
                sizes[name] = entry.stat(follow_symlinks=False).st_size
            else:
                problems.append(f"`{shown(name)}` is neither file nor directory: not read")
