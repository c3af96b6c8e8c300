"""Loaded by every Python process of a run under test: kills it, and its launcher, at one chosen moment.

``KILL_AT`` is ``before:NAME`` or ``after:NAME``: the moment around the rename that makes a file of
that name appear. ``KILL_ONCE`` is a file that is made first, so that the resumed run is left alone.
"""

import os
import signal
import sys

_moment, _, _name = os.environ.get("KILL_AT", "").partition(":")
_flag = os.environ.get("KILL_ONCE", "")


def _kill() -> None:
    try:
        os.close(os.open(_flag, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return
    if "golfreg.runner.worker" in " ".join(sys.orig_argv):
        os.kill(os.getppid(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)


def _killing(move):
    def killing(source, target, **options):
        hit = os.path.basename(os.fspath(target)).startswith(_name)
        if hit and _moment == "before":
            _kill()
        move(source, target, **options)
        if hit and _moment == "after":
            _kill()

    return killing


if _name:
    os.replace, os.rename = _killing(os.replace), _killing(os.rename)
