"""Which artifacts this user's own runs made. Scoring runs an artifact's code, so a stranger's needs a word first."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_FILE = "made-here.txt"
_DIGEST_LENGTH = 64


def state_dir() -> Path:
    """``golfreg`` in ``XDG_STATE_HOME``, else in ``~/.local/state``."""
    if xdg := os.environ.get("XDG_STATE_HOME"):
        return Path(xdg).expanduser().absolute() / "golfreg"
    return Path.home() / ".local" / "state" / "golfreg"


def remember(sha256: str) -> None:
    """Note an artifact that a run of this user made. Without a place to note it, it needs trust by hand later.

    A list kept here, rather than a file beside the artifact, cannot come along with a stranger's.
    """
    if is_ours(sha256):
        return
    with contextlib.suppress(OSError, RuntimeError):
        directory = state_dir()
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (directory / _FILE).open("a", encoding="ascii") as file:
            file.write(f"{sha256}\n")


def is_ours(sha256: str) -> bool:
    """Whether a run of this user made the artifact with this digest."""
    try:
        text = (state_dir() / _FILE).read_text("ascii", errors="replace")
    except (OSError, RuntimeError):
        return False
    return len(sha256) == _DIGEST_LENGTH and sha256 in text.split()
