"""The artifact: one file with a header, the code and the coded weights. Described in ``docs/container.md``.

Reading is done by the scorer on files that may be damaged or hostile, so every claim is checked
before anything of its size is allocated. What no checksum can tell is whether the code is safe
to run: reading never runs it.
"""

from __future__ import annotations

import hashlib
import stat
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from pathlib import Path

from golfreg.api.errors import InputError
from golfreg.api.values import Layout, Stream
from golfreg.pack import archive
from golfreg.pack.header import Header, StreamEntry, header_json, parse_header

MAGIC = b"\x89GOLFREG"
FORMAT = 1
MAX_DECODED_BYTES = 1 << 32
MAX_HEADER_DECODED_BYTES = 1 << 22

_PREFIX = struct.Struct("<8sI6IQ32s")
"""magic, format, then header: coded bytes, decoded bytes, CRC-32; code: the same; bytes of all streams; SHA-256."""
_DIGEST_AT = _PREFIX.size - 32
# Nothing real compresses better than this, so a small file that claims to be large is refused at once.
_PLAUSIBLE_RATIO = 1 << 14
_ALWAYS_PLAUSIBLE_BYTES = 1 << 26


@dataclass(frozen=True)
class Container:
    """An artifact, read and checked. ``code``: path to source. ``sha256``: of the whole file, hex.

    ``header_bytes`` is the fixed prefix and the coded header; it, ``code_bytes`` and the streams
    add up to ``total_bytes``. ``script``: the code section where it is a packed script, else empty.
    """

    header: Header
    layouts: tuple[Layout, ...]
    streams: tuple[Stream, ...]
    code: dict[str, str]
    sha256: str
    header_bytes: int
    code_bytes: int
    total_bytes: int
    script: bytes = b""


def write_container(
    header: Header, layouts: Sequence[Layout], streams: Sequence[Stream], code: Mapping[str, str] | bytes
) -> bytes:
    """The file's bytes; equal values give equal bytes. Anything that could not be read back is an InputError.

    ``code``: path to source; or a packed script (``golfreg.pack.script``), stored as it is; or no bytes, for a
    file whose code lies beside it.
    """
    entries = [StreamEntry(s.sections, len(s.data), zlib.crc32(s.data)) for s in streams]
    head = header_json(header, layouts, entries)
    parse_header(head)
    coded_source, source_size = _coded(code)
    for part, size, limit in (
        ("header", len(head), MAX_HEADER_DECODED_BYTES),
        ("code", source_size, archive.MAX_DECODED_BYTES),
        ("weights", sum(y.nbytes for y in layouts), MAX_DECODED_BYTES),
    ):
        if size > limit:
            raise InputError(
                f"the {part} of the artifact would take {size:,} bytes; at most {limit:,} can be read back"
            )
    coded_head = archive.compress_text(head)
    prefix = _PREFIX.pack(
        MAGIC, FORMAT,
        len(coded_head), len(head), zlib.crc32(coded_head),
        len(coded_source), source_size, zlib.crc32(coded_source),
        sum(len(s.data) for s in streams), bytes(32),
    )[:_DIGEST_AT]  # fmt: skip
    body = b"".join([coded_head, coded_source, *(s.data for s in streams)])
    return prefix + hashlib.sha256(prefix + body).digest() + body


def read_container(
    source: bytes | Path | str, max_decoded_bytes: int = MAX_DECODED_BYTES, *, with_code: bool = True
) -> Container:
    """Read and check an artifact. InputError says what is wrong with it and where.

    ``max_decoded_bytes``: what the decoded weights may take; a claim above it is refused before
    anything is allocated for it. Without ``with_code`` the code is left out and not decoded.
    """
    if isinstance(source, bytes):
        return _read(memoryview(source), max_decoded_bytes, with_code)
    path = Path(source)
    try:
        return _read(memoryview(_file_bytes(path, max_decoded_bytes)), max_decoded_bytes, with_code)
    except InputError as error:
        raise InputError(f"`{path}`: {error.message}", error.hint) from None


def _file_bytes(path: Path, limit: int) -> bytes:
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise InputError("it is not a file", "name the artifact, for example RUN_DIR/artifact.golfreg")
        if status.st_size > limit:
            raise InputError(f"the file has {status.st_size:,} bytes; at most {limit:,} are read")
        return path.read_bytes()
    except (OSError, ValueError) as error:
        raise InputError(f"it cannot be read: {getattr(error, 'strerror', None) or error}", "check the path") from None


def _read(data: memoryview, max_decoded_bytes: int, with_code: bool) -> Container:
    if len(data) < _PREFIX.size:
        known = bytes(data[:8]) == MAGIC[: len(data)]
        raise InputError(
            f"the artifact is truncated: {len(data)} bytes" if known and len(data) else "no golfreg artifact"
        )
    magic, version, *numbers, streams_bytes, digest = _PREFIX.unpack_from(data)
    head_bytes, head_size, head_crc, code_bytes, code_size, code_crc = numbers
    if magic != MAGIC:
        raise InputError("no golfreg artifact: the first bytes are others", "artifacts are made by `golfreg run`")
    if version != FORMAT:
        raise InputError(
            f"the artifact has format {version}; this golfreg reads format {FORMAT}",
            "install a newer golfreg" if version > FORMAT else None,
        )
    expected = _PREFIX.size + head_bytes + code_bytes + streams_bytes
    if len(data) != expected:
        what = "truncated" if len(data) < expected else "followed by other bytes"
        raise InputError(f"the artifact is {what}: it has {len(data):,} bytes and says {expected:,}")
    if head_size > MAX_HEADER_DECODED_BYTES or code_size > archive.MAX_DECODED_BYTES:
        raise InputError(f"the artifact claims {head_size:,} bytes of header and {code_size:,} of code: too many")

    head, code = data[_PREFIX.size :][:head_bytes], data[_PREFIX.size + head_bytes :][:code_bytes]
    body = data[_PREFIX.size + head_bytes + code_bytes :]
    whole = hashlib.sha256(data[:_DIGEST_AT])
    whole.update(data[_PREFIX.size :])
    intact = whole.digest() == digest
    for part, piece, crc in (("header", head, head_crc), ("code", code, code_crc)):
        if zlib.crc32(piece) != crc:
            raise _damaged(part)
    header, layouts, entries = parse_header(archive.decompress_text(bytes(head), head_size, "header"))
    if sum(e.nbytes for e in entries) != streams_bytes:
        raise InputError(f"the artifact's streams do not add up to the {streams_bytes:,} bytes that there are")
    ends = list(accumulate((e.nbytes for e in entries), initial=0))
    for i, (entry, (start, end)) in enumerate(zip(entries, pairwise(ends), strict=True)):
        if zlib.crc32(body[start:end]) != entry.crc:
            raise _damaged(f"stream {i} (`{layouts[entry.sections[0]].tensor}` and what is coded with it)")
    if not intact:
        raise _damaged("prefix or a checksum")

    decoded = sum(y.nbytes for y in layouts)
    limit = min(max_decoded_bytes, _ALWAYS_PLAUSIBLE_BYTES + _PLAUSIBLE_RATIO * streams_bytes)
    if decoded > limit:
        raise InputError(
            f"the artifact claims {decoded:,} bytes of weights in {streams_bytes:,} coded bytes; at most {limit:,} "
            "are decoded"
        )
    return Container(
        header=header,
        layouts=layouts,
        streams=tuple(
            Stream(e.sections, bytes(body[start:end])) for e, (start, end) in zip(entries, pairwise(ends), strict=True)
        ),
        code=_decoded(bytes(code), code_size) if with_code else {},
        sha256=hashlib.sha256(data).hexdigest(),
        header_bytes=_PREFIX.size + head_bytes,
        code_bytes=code_bytes,
        total_bytes=len(data),
        script=bytes(code) if _is_script(code) else b"",
    )


def _is_script(code: memoryview | bytes) -> bool:
    # LZMA's first byte is 0, and no Python text has one.
    return len(code) > 0 and code[0] != 0


def _coded(code: Mapping[str, str] | bytes) -> tuple[bytes, int]:
    """The code section and its decoded size, proven to be readable."""
    if not isinstance(code, bytes):
        source = archive.encode_archive(code)
        archive.decode_archive(source)
        return archive.compress_text(source), len(source)
    if not code:
        return code, 0
    from golfreg.pack.script import script_size

    return code, script_size(code)


def _decoded(code: bytes, size: int) -> dict[str, str]:
    if not _is_script(code):
        return archive.decode_archive(archive.decompress_text(code, size, "code")) if code or size else {}
    # Here, so that a script, which never reads its own code, need not hold the module.
    from golfreg.pack.script import script_sources, unpacked_script

    return script_sources(unpacked_script(code, size))


def _damaged(part: str) -> InputError:
    return InputError(
        f"the artifact is damaged: the checksum of its {part} does not match", "copy it again, or make it again"
    )
