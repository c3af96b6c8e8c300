"""Lets the kernel refuse files (Landlock, Linux 5.13 and newer). Standard library only.

Python's audit hook does not see files that compiled code opens by itself, as safetensors' reader
and memory maps of torch do. This does, but cannot say who asked.
Source: Documentation/userspace-api/landlock.rst of the Linux kernel.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from collections.abc import Iterable
from pathlib import Path

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION = 1
_RULE_PATH_BENEATH = 1
_PR_SET_NO_NEW_PRIVS = 38
_WRITE_FILE, _READ_FILE = 1 << 1, 1 << 2
_REMOVE_DIR, _REMOVE_FILE = 1 << 4, 1 << 5
_MAKE = sum(1 << bit for bit in range(6, 13))
_REFER, _TRUNCATE = 1 << 13, 1 << 14
_ON_FILES = _WRITE_FILE | _READ_FILE | _TRUNCATE


def available() -> bool:
    """Whether this kernel has Landlock switched on."""
    return _abi() > 0


def _abi() -> int:
    if not sys.platform.startswith("linux"):
        return 0
    return int(ctypes.CDLL(None, use_errno=True).syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION))


def restrict(readable: Iterable[Path], writable: Iterable[Path]) -> str:
    """From here on this thread, and every thread and process it starts, reads and writes only beneath these paths.

    Listing directories and running programs stay free. A second call can only take away more.
    Returns ``landlock`` or ``none: REASON``.
    """
    abi = _abi()
    if abi < 1:
        return "none: this kernel has no Landlock"
    handled = _WRITE_FILE | _READ_FILE | _REMOVE_DIR | _REMOVE_FILE | _MAKE
    handled |= (_REFER if abi >= 2 else 0) | (_TRUNCATE if abi >= 3 else 0)
    libc = ctypes.CDLL(None, use_errno=True)
    attributes = ctypes.create_string_buffer(struct.pack("=Q", handled), 8)
    ruleset = libc.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(8), 0)
    if ruleset < 0:
        return f"none: {os.strerror(ctypes.get_errno())}"
    try:
        for paths, rights in ((readable, _READ_FILE), (writable, handled)):
            for path in paths:
                _allow(libc, ruleset, path, rights & handled)
        if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) or libc.syscall(_RESTRICT_SELF, ruleset, 0):
            return f"none: {os.strerror(ctypes.get_errno())}"
    finally:
        os.close(ruleset)
    return "landlock"


def _allow(libc: ctypes.CDLL, ruleset: int, path: Path, rights: int) -> None:
    """Add one path; one that is not there, or that Landlock cannot tie a rule to, is left out."""
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not path.is_dir():
            rights &= _ON_FILES
        rule = ctypes.create_string_buffer(struct.pack("=Qi", rights, handle), 12)
        libc.syscall(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, rule, 0)
    finally:
        os.close(handle)
