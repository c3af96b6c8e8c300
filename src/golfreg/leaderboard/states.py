"""The state of an entry's files: whether they are as they were.

Files are compared by inode, size, both times and mode: the entry's directory, its ``runs`` and each
file that is read. Whoever changes a file changes one of these, since the time of a file's status
(ctime) cannot be set.
"""

from __future__ import annotations

import os
from array import array
from hashlib import blake2b


def names_of(directory: str) -> str:
    """The files of an entry that are read, joined by newlines."""
    names = ["entry.toml", "runs", *(f"runs/{name}" for name in sorted(os.listdir(f"{directory}/runs")))]
    if os.path.lexists(f"{directory}/imported.toml"):
        names.append("imported.toml")
    return "\n".join(names)


def states(directory: str, names: str) -> list[int]:
    """Inode, size, time of content, time of status and mode: of the directory and of these files in it."""
    found: list[int] = []
    for path in (directory, *[f"{directory}/{name}" for name in names.split("\n")]):
        status = os.lstat(path)
        found += (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_mode)
    return found


def last_change(found: list[int]) -> int:
    """The latest of the times that ``states`` found, in nanoseconds."""
    return max(found[2::5] + found[3::5])


def digest_of(numbers: list[int]) -> str:
    """Of any whole numbers."""
    try:
        data = array("Q", numbers).tobytes()
    except OverflowError:
        # A time before 1970.
        data = repr(numbers).encode()
    return blake2b(data, digest_size=12).hexdigest()
