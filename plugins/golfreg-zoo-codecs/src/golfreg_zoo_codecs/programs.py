"""lrzip and zpaq, run as programs: bounded in time, memory and written bytes.

golfreg runs no program while a submission is scored, so these two compare and do not compete.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from golfreg.api.codec import ByteCodec
from golfreg.api.errors import ConfigError, EnvironmentFault, InputError
from golfreg_zoo_codecs.ranges import in_range

MEMORY_BYTES = 6 << 30
"""Address space of a program: both map more than they use."""

_LRZIP_MAGIC = b"LRZI"
_LRZIP_SIZE = slice(6, 14)
"""Where a header has the size of the data, little-endian (lrzip 0.6, doc/magic.header.txt)."""
_SLACK_BYTES = 1 << 16
_DATE = 946_684_800
_DATE_TEXT = "20000101000000"
"""zpaq stores dates. This one makes two archives of the same data the same."""
_LIMITED = 'ulimit -f "$1" && ulimit -v "$2" && shift 2 && exec "$@"'
_SHELL_BLOCK = 512


@dataclass(frozen=True)
class LrzipConfig:
    """Settings of lrzip."""

    method: str = "zpaq"
    """``zpaq``, ``lzma`` or ``bzip2``."""
    level: int = 9
    """1 to 9."""
    seconds: int = 1800
    """Most that one stream may take."""

    def __post_init__(self) -> None:
        in_range("lrzip", "level", self.level, 1, 9)
        in_range("lrzip", "seconds", self.seconds, 1, 86_400)
        if self.method not in _LRZIP_METHODS:
            raise ConfigError(f"codec `lrzip`: method is {self.method!r}", hint=f"one of {', '.join(_LRZIP_METHODS)}")


_LRZIP_METHODS = {"zpaq": "--zpaq", "lzma": "--lzma", "bzip2": "--bzip2"}


@dataclass(frozen=True)
class ZpaqConfig:
    """Settings of zpaq."""

    method: int = 5
    """1 to 5."""
    seconds: int = 1800
    """Most that one stream may take."""

    def __post_init__(self) -> None:
        in_range("zpaq", "method", self.method, 1, 5)
        in_range("zpaq", "seconds", self.seconds, 1, 86_400)


class LrzipCodec(ByteCodec):
    """The program lrzip."""

    Config = LrzipConfig

    def compress(self, data: bytes, config: LrzipConfig) -> bytes:
        if not data:
            return b""
        with _scratch() as name:
            place = Path(name)
            (place / "data").write_bytes(data)
            options = [_LRZIP_METHODS[config.method], "-L", str(config.level), "-p", "1", "-T", "-Q"]
            _run(["lrzip", *options, "-o", "coded", "data"], place, config.seconds, 2 * len(data))
            return _output(place / "coded", "lrzip")

    def decompress(self, data: bytes, size: int, config: LrzipConfig) -> bytes:
        if not data or not size:
            return _nothing(data, size)
        declared = int.from_bytes(data[_LRZIP_SIZE], "little")
        if data[:4] != _LRZIP_MAGIC or declared != size:
            raise InputError(f"the stream is not lrzip's of {size:,} bytes: it starts with {data[:14].hex()}")
        with _scratch() as name:
            place = Path(name)
            (place / "coded").write_bytes(data)
            _run(["lrzip", "-d", "-p", "1", "-Q", "-o", "data", "coded"], place, config.seconds, size, damaged=True)
            return _exactly(place / "data", size)


class ZpaqCodec(ByteCodec):
    """The program zpaq."""

    Config = ZpaqConfig

    def compress(self, data: bytes, config: ZpaqConfig) -> bytes:
        if not data:
            return b""
        with _scratch() as name:
            place = Path(name)
            (place / "data").write_bytes(data)
            os.utime(place / "data", (_DATE, _DATE))
            options = [f"-m{config.method}", "-t1", "-noattributes", "-until", _DATE_TEXT]
            _run(["zpaq", "add", "coded.zpaq", "data", *options], place, config.seconds, 2 * len(data))
            return _output(place / "coded.zpaq", "zpaq")

    def decompress(self, data: bytes, size: int, config: ZpaqConfig) -> bytes:
        if not data or not size:
            return _nothing(data, size)
        with _scratch() as name:
            place = Path(name)
            (place / "coded.zpaq").write_bytes(data)
            command = ["zpaq", "extract", "coded.zpaq", "data", "-to", "data", "-t1"]
            _run(command, place, config.seconds, size, damaged=True)
            return _exactly(place / "data", size)


def _run(command: Sequence[str], place: Path, seconds: int, write_bytes: int, damaged: bool = False) -> None:
    """Run a program in ``place``. ``damaged``: a failure is the data's, not the machine's."""
    program = shutil.which(command[0])
    if program is None:
        raise EnvironmentFault(
            f"the program `{command[0]}` is not on the PATH", f"`apt-get install {command[0]}`, or another codec"
        )
    blocks = (write_bytes + _SLACK_BYTES) // _SHELL_BLOCK + 1
    limited = ["/bin/sh", "-c", _LIMITED, "sh", str(blocks), str(MEMORY_BYTES >> 10), program, *command[1:]]
    environment = {"PATH": os.environ.get("PATH", ""), "HOME": str(place), "TMPDIR": str(place), "TMP": str(place),
                   "LRZIP": "NOCONFIG", "LC_ALL": "C"}  # fmt: skip
    said = place / "said"
    try:
        with said.open("wb") as log:
            code = _wait(limited, place, environment, log, seconds)
    except OSError as error:
        raise EnvironmentFault(f"cannot run `{program}`: {error.strerror}", "is the disk full?") from error
    if code is None:
        raise EnvironmentFault(
            f"the program `{command[0]}` took over {seconds} s", "allow it more: `seconds` of the codec's settings"
        )
    if code:
        text = " ".join(said.read_bytes()[-2000:].decode(errors="replace").split())[-300:] or "nothing"
        if damaged:
            raise InputError(f"`{command[0]}` cannot decode the stream; it says: {text}")
        raise EnvironmentFault(f"the program `{command[0]}` ended with {code}", f"it said: {text}")


def _wait(command: Sequence[str], place: Path, environment: dict[str, str], log: Any, seconds: int) -> int | None:
    """The exit status; None if it was killed, with all that it had started, after ``seconds``."""
    process = subprocess.Popen(
        command, cwd=place, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
    )
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _scratch() -> Any:
    try:
        return tempfile.TemporaryDirectory(prefix="golfreg-codec-")
    except OSError as error:
        raise EnvironmentFault(
            f"cannot make a temporary directory: {error.strerror}", "free the disk, or set TMPDIR"
        ) from error


def _output(path: Path, program: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise EnvironmentFault(f"the program `{program}` wrote no file", "is it the program of that name?") from error


def _exactly(path: Path, size: int) -> bytes:
    found = path.stat().st_size if path.is_file() and not path.is_symlink() else -1
    if found != size:
        raise InputError(f"the stream holds {max(found, 0):,} bytes where its layout says {size:,}")
    return path.read_bytes()


def _nothing(data: bytes, size: int) -> bytes:
    if size or data:
        raise InputError(f"the compressed data has {len(data):,} bytes for {size:,}")
    return b""


lrzip_codec = LrzipCodec()
zpaq_codec = ZpaqCodec()
