"""A directory that appears whole or not at all, made by one of several processes.

Everything is written to ``.NAME.partial`` beside the target and renamed at the end. The builder
holds a lock on that directory, so that of several runs one builds and the others take its result;
a killed builder's lock is gone with it, and the next one clears what it left.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def building(target: Path, on_wait: Callable[[], None]) -> Iterator[Path]:
    """An empty directory beside ``target`` that nobody else builds in; gone at the end."""
    partial = target.parent / f".{target.name}.partial"
    while True:
        partial.mkdir(exist_ok=True)
        try:
            handle = os.open(partial, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            continue  # Renamed between the two lines.
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                on_wait()
                fcntl.flock(handle, fcntl.LOCK_EX)
            if _same(partial, handle):
                break
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)  # Another run finished and renamed it while this one waited.
    try:
        _clear(partial)
        yield partial
    finally:
        if _same(partial, handle):
            shutil.rmtree(partial, ignore_errors=True)
        os.close(handle)


def _same(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(handle))
    except FileNotFoundError:
        return False


def _clear(directory: Path) -> None:
    for path in directory.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def rename_whole(partial: Path, target: Path) -> None:
    """Rename onto ``target``. A dataset there failed its check, or it would have been used: it goes."""
    if target.exists() and any(target.iterdir()):
        broken = partial.with_suffix(".broken")
        shutil.rmtree(broken, ignore_errors=True)
        os.rename(target, broken)
        os.rename(partial, target)
        shutil.rmtree(broken, ignore_errors=True)
    else:
        os.rename(partial, target)
