"""Writes the files of a new distribution: all of them or none, and never over anything."""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from string import Template

from golfreg.api.errors import ConfigError, EnvironmentFault
from golfreg.scaffold.kinds import Kind
from golfreg.scaffold.names import Names


@dataclass(frozen=True)
class Written:
    """``files``: relative to ``directory``. ``commands``: what to do next, from the current directory."""

    directory: Path
    files: tuple[str, ...]
    commands: tuple[str, ...]


def write_plugin(names: Names, kind: Kind, into: Path) -> Written:
    """Write ``into/golfreg-NAME``.

    Raises ``ConfigError`` if it exists or there is no directory ``into``, ``EnvironmentFault`` if it
    cannot be written; then nothing of it is left.
    """
    directory = into / names.distribution
    if not into.is_dir():
        raise ConfigError(f"there is no directory `{into}`", hint=f"mkdir -p {shlex.quote(str(into))}")
    if os.path.lexists(directory):
        raise ConfigError(f"`{directory}` exists already", hint="move it away, or give another name or `--into`")
    values = {
        "name": names.component,
        "distribution": names.distribution,
        "package": names.package,
        "entry_point": f'"{names.component}"' if "." in names.component else names.component,
        "kind": kind.name,
        "a_kind": f"{'an' if kind.name[0] in 'aeiou' else 'a'} {kind.name}",
        "op": kind.op or names.component,
        "golfreg_version": version("golfreg"),
        "uninstall": f"`pip uninstall {names.distribution}`",
    }
    install, check, run = commands(kind, values, ".")
    values |= {"install": install, "check": check, "run": run}
    values |= {part: _filled(getattr(kind, part), values) for part in ("about", "guide", "counted")}
    try:
        temporary = Path(tempfile.mkdtemp(dir=into, prefix=f".{names.distribution}.", suffix=".tmp"))
        try:
            files = []
            for target, text in kind.render(values):
                path = temporary / target
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
                files.append(target)
            temporary.chmod(0o755)
            os.rename(temporary, directory)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
    except OSError as error:
        raise EnvironmentFault(
            f"cannot write `{directory}`: {error.strerror or error}",
            hint="is the disk full, or the directory not yours to write in?",
        ) from error
    return Written(directory, tuple(sorted(files)), commands(kind, values, str(directory)))


def commands(kind: Kind, values: dict[str, str], directory: str) -> tuple[str, str, str]:
    """Install, check and run the plugin that lies in ``directory``."""
    values = {**values, "directory": shlex.quote(directory)}
    return (
        f"pip install --editable {values['directory']}",
        _filled(kind.check, values),
        _filled(kind.run, values),
    )


def _filled(text: str, values: dict[str, str]) -> str:
    return Template(text).substitute(values)
