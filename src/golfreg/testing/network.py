"""Sees and refuses what would leave the machine, in this process, for as long as a check looks."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_LOCAL = frozenset({"localhost", "::1", "0.0.0.0", "::"})
_watching: list[list[str]] = []
_installed: list[bool] = []


@contextmanager
def refused_network() -> Iterator[list[str]]:
    """Look-ups and connections to other machines raise OSError and are listed, as ``connect 192.0.2.1``.

    Local sockets are let through. Seen is Python's ``socket`` module, not other programs or compiled code.
    """
    if not _installed:
        sys.addaudithook(_look)  # for good: Python has no way to take one back
        _installed.append(True)
    attempts: list[str] = []
    _watching.append(attempts)
    try:
        yield attempts
    finally:
        _watching.remove(attempts)


def _look(name: str, arguments: tuple[Any, ...]) -> None:
    if not _watching or not name.startswith("socket."):
        return
    if name in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = arguments[0]
    elif name in ("socket.connect", "socket.sendto", "socket.sendmsg") and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    else:
        return
    text = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host or "localhost")
    if text in _LOCAL or text.startswith("127."):
        return
    for attempts in _watching:
        attempts.append(f"{name.removeprefix('socket.')} {text}")
    raise ConnectionRefusedError(f"the network is refused while an observer is checked: {text}")
