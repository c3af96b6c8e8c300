"""Cuts a process off from the network, before anything heavy is imported. Linux; standard library only.

A process with threads cannot enter a user namespace, and importing torch or numpy starts threads:
call ``cut_network`` first of all.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import socket
import struct
import sys

_CLONE_NEWUSER = 0x10000000
_CLONE_NEWNET = 0x40000000
_PR_SET_PDEATHSIG = 1
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 1


def cut_network() -> str:
    """Enter a network namespace of our own with only a loopback device.

    Returns how: ``namespace``, ``user namespace``, or ``none: REASON`` where the system allows
    neither; then only ``golfreg.score.guard`` stands between the code and the network.
    """
    if not sys.platform.startswith("linux"):
        return f"none: {sys.platform} has no network namespaces"
    uid, gid = os.getuid(), os.getgid()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET) == 0:
        how = "namespace"
    elif libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) == 0:
        how = "user namespace"
        _map_user(uid, gid)
    else:
        return f"none: {os.strerror(ctypes.get_errno())}"
    _loopback_up()
    return how


def die_with_parent(parent: int) -> None:
    """Be killed when the process ``parent`` ends, however it ends."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit(143)


def _map_user(uid: int, gid: int) -> None:
    """Keep the user's own number inside a user namespace, so that look-ups of the user still work."""
    for name, line in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        try:
            with open(f"/proc/self/{name}", "w") as file:
                file.write(line)
        except OSError:
            return


def _loopback_up() -> None:
    """Some libraries talk to themselves through 127.0.0.1; a new namespace has it switched off."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sH14s", b"lo", 0, b"")
        try:
            flags = struct.unpack("16sH14s", fcntl.ioctl(control, _SIOCGIFFLAGS, request))[1]
            fcntl.ioctl(control, _SIOCSIFFLAGS, struct.pack("16sH14s", b"lo", flags | _IFF_UP, b""))
        except OSError:
            return
