"""Watches what the submission's code asks of the system, and refuses by name. Standard library only.

A Python audit hook, which cannot be taken off again. What is refused raises ``Refused``, and what a
module of the submission had a part in is also kept: catching the exception does not help.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from types import FrameType
from typing import Any

from golfreg.score.places import Places

_SOCKETS = frozenset({"socket.__new__", "socket.connect", "socket.bind", "socket.getaddrinfo", "socket.gethostbyname"})
_PROGRAMS = frozenset({"subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "pty.spawn"})
_QUIET = frozenset({"linecache", "tokenize"})
"""These read source lines for a traceback or a warning; they go without."""
_LOCAL_FAMILIES = frozenset({1, 16})
"""AF_UNIX and AF_NETLINK: a library may use them within the machine, the submission may not."""


class Refused(PermissionError):
    """Something that a submission may not do while it is scored. The message names the module."""


class Guard:
    """``names``: top-level module to distribution of everything that belongs to a submission."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self.names = dict(names)
        self.places: Places | None = None
        self.violations: list[str] = []
        self._code_dir = ""
        self._inside = False

    def install(self) -> None:
        """From here on the network is refused; files are once ``watch_files`` was called."""
        sys.addaudithook(self._hook)

    def watch_files(self, places: Places, code_dir: str) -> None:
        """From here on files are refused but in ``places``. ``code_dir``: where the counted code was put."""
        self._code_dir = os.path.realpath(code_dir) + os.sep
        self.places = places

    def _hook(self, event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            if self.places is not None and not self._inside:
                self._open(*args)
        elif event in _SOCKETS:
            self._socket(event, args)
        elif event in _PROGRAMS:
            self._program(args)
        elif event == "ctypes.dlopen" and self.places is not None and isinstance(args[0], str) and os.sep in args[0]:
            self._open(args[0], "r", 0)

    def _open(self, path: Any, mode: Any, flags: Any) -> None:
        if isinstance(path, bytes):
            path = os.fsdecode(path)
        if not isinstance(path, str) or self.places is None:
            return  # an open descriptor: whatever opened it was asked
        write = bool(flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)) if isinstance(flags, int) else False
        if isinstance(mode, str):
            write = write or any(c in mode for c in "wax+")
        self._inside = True
        try:
            if self.places.allows(path, write) or (not write and not os.path.exists(path)):
                return
        finally:
            self._inside = False
        self._refuse("writes" if write else "reads", f"`{path}`")

    def _socket(self, event: str, args: tuple[Any, ...]) -> None:
        family = args[1] if event == "socket.__new__" and len(args) > 1 else getattr(args[0], "family", None)
        asker, _ = self._asker()
        if family in _LOCAL_FAMILIES and (asker is None or not self.theirs(asker)):
            return
        self._refuse("opens", "a socket")

    def _program(self, args: tuple[Any, ...]) -> None:
        """A library may run its compiler; the submission itself runs nothing."""
        if self.places is None:
            return
        asker, _ = self._asker()
        if asker is not None and self.theirs(asker):
            self._refuse("runs", f"the program `{_program_name(args)}`")

    def _refuse(self, verb: str, what: str) -> None:
        direct, theirs = self._asker()
        who = self.owner(theirs) if theirs else f"module `{_name(direct) if direct else '?'}`"
        message = f"{who} {verb} {what} while it is decoded and scored"
        if theirs is not None and _name(_caller()) not in _QUIET:
            self.violations.append(message)
        raise Refused(message)

    def _asker(self) -> tuple[FrameType | None, FrameType | None]:
        """The innermost frame outside the standard library, and the innermost of the submission's."""
        frame: FrameType | None = _caller()
        direct: FrameType | None = None
        while frame is not None:
            if self.theirs(frame):
                return direct or frame, frame
            if direct is None and _name(frame).partition(".")[0] not in sys.stdlib_module_names:
                direct = frame
            frame = frame.f_back
        return direct, None

    def theirs(self, frame: FrameType) -> bool:
        """Whether the frame runs code of the submission: extracted code, or a plugin's from anywhere."""
        if self._code_dir and frame.f_code.co_filename.startswith(self._code_dir):
            return True
        top = _name(frame).partition(".")[0]
        return top in self.names and top != "golfreg"

    def owner(self, frame: FrameType) -> str:
        """The plugin and module of a frame, for a message."""
        name = _name(frame)
        owner = self.names.get(name.partition(".")[0], "golfreg")
        return f"plugin `{owner}` (module `{name}`)" if owner != "golfreg" else f"module `{name}`"


def _caller() -> FrameType:
    """The frame that set off the event: the innermost outside this file."""
    frame = sys._getframe()
    while frame.f_back is not None and frame.f_code.co_filename == __file__:
        frame = frame.f_back
    return frame


def _name(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", "?"))


def _program_name(args: tuple[Any, ...]) -> str:
    first = args[0] if args else "?"
    return os.fsdecode(first) if isinstance(first, (str, bytes)) else str(first)
