"""Reading a git repository that may hold anything: objects are read, nothing is checked out or run.

Only plumbing that copies objects is called (``rev-parse``, ``merge-base``, ``ls-tree``, ``cat-file``):
it runs no hook, filter, text conversion or external diff. Nothing is fetched. What git prints is
bounded before it is kept. Names of files are bytes: they need not be text.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from golfreg.api.errors import EnvironmentFault, InputError
from golfreg.config.strict import shown

SYMLINK, SUBMODULE, PLAIN = 0o120000, 0o160000, 0o100644
MAX_OUTPUT_BYTES = 64 << 20
_BATCH = 128
_TIMEOUT_SECONDS = 120.0
_OBJECT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_REF = re.compile(r"[A-Za-z0-9_@{}^~./+#=-]{1,250}")
_SAFE = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.pager=cat",
    "protocol.allow=never",
)


@dataclass(frozen=True)
class Leaf:
    """A file of a tree. ``mode``: as git has it, 0o100644 for a plain file. ``size``: bytes; 0 for a submodule."""

    path: bytes
    mode: int
    object: str
    size: int


@dataclass(frozen=True)
class Changed:
    """A file that differs between two trees; mode 0 and an empty object where there is none."""

    path: bytes
    old_mode: int
    new_mode: int
    old_object: str
    new_object: str


class Repository:
    """A git repository, read-only. InputError where ``directory`` is in none."""

    def __init__(self, directory: Path) -> None:
        if not directory.is_dir():
            raise InputError(f"there is no directory `{directory}`", "`--repo DIR` names a git repository")
        self.directory = directory
        self._git("rev-parse", "--git-dir")

    def commit(self, ref: str) -> str:
        """The commit that a branch, tag or hash names."""
        if not _REF.fullmatch(ref) or ref.startswith("-"):
            raise InputError(f"`{shown(ref)}` is no name of a commit", "a branch, a tag or a hash")
        said = self._git("rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}", may_fail=True).decode().strip()
        if not _OBJECT.fullmatch(said):
            raise InputError(f"there is no commit `{shown(ref)}` in `{self.directory}`", "fetch it, or check the name")
        return said

    def has(self, ref: str) -> bool:
        """Whether there is a commit of that name."""
        try:
            self.commit(ref)
        except InputError:
            return False
        return True

    def merge_base(self, base: str, head: str) -> str:
        """The commit that ``head`` (a hash) left ``base`` (a hash) at; InputError unless there is exactly one."""
        found = self._git("merge-base", "--all", base, head, may_fail=True).decode().split()
        if len(found) != 1:
            what = f"{len(found)} common commits" if found else "no common commit"
            raise InputError(
                f"{base[:12]} and {head[:12]} have {what}", "fetch the whole history, and rebase the branch on its base"
            )
        return found[0]

    def tree(self, commit: str, path: str) -> list[Leaf]:
        """Every file of a commit (a hash) at or under ``path``, in git's order. A name may stand there twice."""
        found = []
        for line in self._git("ls-tree", "-r", "-z", "-l", "--full-tree", commit, "--", path).split(b"\0"):
            if line:
                facts, name = line.split(b"\t", 1)
                mode, _, item, size = facts.decode().split()
                found.append(Leaf(name, int(mode, 8), item, int(size) if size.isdigit() else 0))
        return found

    def changes(self, old: str, new: str) -> list[Changed]:
        """What differs between two commits (hashes), file by file; a renamed file is one less and one more.

        Compared here: ``git diff-tree`` keeps all that it finds in memory, and a tree can hold a billion files.
        """
        before, after = self._files(old), self._files(new)
        were = {path: (mode, item) for path, mode, item in before}
        left = {path for path, _, _ in after}
        gone = [Changed(path, mode, 0, item, "") for path, mode, item in before if path not in left]
        changed = [
            _changed(path, were.get(path, (0, "")), mode, item)
            for path, mode, item in after
            if were.get(path) != (mode, item)
        ]
        return sorted([*gone, *changed], key=lambda one: one.path)

    def _files(self, commit: str) -> list[tuple[bytes, int, str]]:
        """Path, mode and object of every file of a commit."""
        found = []
        for line in self._git("ls-tree", "-r", "-z", "--full-tree", commit, "--").split(b"\0"):
            if line:
                facts, name = line.split(b"\t", 1)
                mode, _, item = facts.decode().split()
                found.append((name, int(mode, 8), item))
        return found

    def contents(self, leaves: Sequence[Leaf]) -> Iterator[tuple[Leaf, bytes]]:
        """The bytes of plain files; the caller has looked at their sizes."""
        for start in range(0, len(leaves), _BATCH):
            some = leaves[start : start + _BATCH]
            asked = "".join(f"{leaf.object}\n" for leaf in some).encode()
            said = self._git("cat-file", "--batch", stdin=asked)
            at = 0
            for leaf in some:
                end = said.index(b"\n", at)
                if said[at:end] != f"{leaf.object} blob {leaf.size}".encode():
                    raise InputError(
                        f"git has no file for `{shown(os.fsdecode(leaf.path))}`: {shown(said[at:end].decode())}",
                        "fetch the whole history, without `--filter`",
                    )
                yield leaf, said[end + 1 : end + 1 + leaf.size]
                at = end + 2 + leaf.size

    def _git(self, *arguments: str, stdin: bytes = b"", may_fail: bool = False) -> bytes:
        command = ["git", "--no-pager", *(part for setting in _SAFE for part in ("-c", setting)), *arguments]
        with tempfile.TemporaryFile() as complained, tempfile.TemporaryFile() as fed:
            fed.write(stdin)
            fed.seek(0)
            try:
                process = subprocess.Popen(
                    command,
                    cwd=self.directory,
                    env=_environment(),
                    stdin=fed,
                    stdout=subprocess.PIPE,
                    stderr=complained,
                )
            except OSError as error:
                raise EnvironmentFault(f"cannot run the program `git`: {error.strerror}", "install git") from error
            # A tree may name one subtree ten times, ten levels deep: time and output have an end here.
            watch = threading.Timer(_TIMEOUT_SECONDS, process.kill)
            watch.start()
            with process:
                assert process.stdout is not None
                said = process.stdout.read(MAX_OUTPUT_BYTES + 1)
                if len(said) > MAX_OUTPUT_BYTES:
                    process.kill()
            watch.cancel()
            if process.returncode == -signal.SIGKILL:
                raise InputError(
                    f"`git {arguments[0]}` says over {MAX_OUTPUT_BYTES:,} bytes or takes over {_TIMEOUT_SECONDS:.0f} s",
                    "the commit holds more files than a leaderboard has",
                )
            if process.returncode and not may_fail:
                complained.seek(0)
                why = complained.read(400).decode("utf-8", "replace").strip().split("\n")[-1]
                raise InputError(
                    f"`git {arguments[0]}` failed in `{self.directory}`: {shown(why, 300)}",
                    "`--repo DIR` names a git repository with its whole history",
                )
            return said


def _changed(path: bytes, was: tuple[int, str], mode: int, item: str) -> Changed:
    return Changed(path, was[0], mode, was[1], item)


def _environment() -> dict[str, str]:
    """The caller's, without what points git elsewhere or at programs to run."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    return kept | {
        "GIT_LITERAL_PATHSPECS": "1",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C",
    }
