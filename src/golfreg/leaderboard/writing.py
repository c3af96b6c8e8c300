"""A directory that appears whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from golfreg.api.errors import EnvironmentFault, InputError


def write_directory(target: Path, files: Mapping[str, str]) -> None:
    """Write texts by their path inside ``target``.

    InputError if the target is there: nothing is overwritten.
    """
    if target.exists() or target.is_symlink():
        raise InputError(f"`{target}` is there already", "nothing is overwritten: choose another name")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=target.parent, prefix=f".{target.name}.", suffix=".tmp"))
    except OSError as error:
        raise EnvironmentFault(
            f"cannot write under `{target.parent}`: {error.strerror}", "check the path and the disk"
        ) from error
    try:
        for name, text in files.items():
            (temporary / name).parent.mkdir(exist_ok=True)
            _write_synced(temporary / name, text.encode())
        temporary.chmod(0o755)
        os.rename(temporary, target)
    except OSError as error:
        raise EnvironmentFault(f"cannot write `{target}`: {error.strerror}", "check the path and the disk") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write_synced(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
