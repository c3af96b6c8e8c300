"""Code that unpacks itself, unpacked without being run.

A packed script is a few lines around one long literal: base85 or base64 of LZMA, zlib, bz2 or
brotli. The literal is found by parsing, decoded here, and every output is bounded.
"""

from __future__ import annotations

import ast
import base64
import binascii
import bz2
import lzma
import re
import sys
import warnings
import zlib
from collections.abc import Callable, Iterator

MAX_SOURCE_BYTES = 8 << 20
"""Of what packed code may hold."""
MAX_LAYERS = 4
LEAST_LITERAL = 200
"""A shorter literal is not packed code."""
LZMA_MEMORY = 256 << 20


class TooLarge(ValueError):
    """What is packed has over ``MAX_SOURCE_BYTES``."""


class NewerSyntax(ValueError):
    """Whether it compiles is for a newer Python to say."""


def layers(script: bytes) -> list[tuple[str, bytes]]:
    """What a script holds, outermost first: ``("base85 + lzma", source)``. Empty for a plain one. TooLarge."""
    found: list[tuple[str, bytes]] = []
    source = script
    while len(found) < MAX_LAYERS:
        inner = _inner(source)
        if inner is None:
            break
        found.append(inner)
        source = inner[1]
    return found


def parse(source: bytes) -> ast.Module:
    """The syntax tree. ValueError with the reason where it does not compile; nothing is run."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
            compile(source, "<script>", "exec", dont_inherit=True)
    except SyntaxError as error:
        reason = f"{error.msg} at line {error.lineno or 0}"
        if sys.version_info < (3, 12) and error.msg.startswith("f-string"):
            # Python 3.12 allows quotes and backslashes there that this one does not.
            raise NewerSyntax(reason) from error
        raise ValueError(reason) from error
    except (RecursionError, MemoryError) as error:
        raise ValueError("it is nested too deeply") from error
    return tree


def _inner(source: bytes) -> tuple[str, bytes] | None:
    """The code in the longest literal, if that is most of the source."""
    if len(source) < LEAST_LITERAL:
        return None
    try:
        tree = parse(source)
    except ValueError:
        return None
    literals = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    longest = max((one for one in literals if isinstance(one, str | bytes)), key=len, default="")
    if len(longest) < LEAST_LITERAL or 2 * len(longest) < len(source):
        return None
    data = longest.encode("utf-8", "replace") if isinstance(longest, str) else longest
    for coding, packed in _decoded(data):
        for method, unpack in _METHODS.items():
            plain = _attempt(unpack, packed)
            if plain is not None and _is_code(plain):
                return f"{coding} + {method}" if coding else method, plain
    return None


def _decoded(data: bytes) -> Iterator[tuple[str, bytes]]:
    for name, decode in (("base85", base64.b85decode), ("base64", _base64), ("ascii85", base64.a85decode)):
        try:
            yield name, decode(data)
        except (ValueError, binascii.Error):
            continue
    yield "", data


def _base64(data: bytes) -> bytes:
    return base64.b64decode(data, validate=True)


def _attempt(unpack: Callable[[bytes], bytes], packed: bytes) -> bytes | None:
    try:
        plain = unpack(packed)
    except TooLarge:
        raise
    except Exception:
        # Each library has its own error for data of another format; brotli's is not even exported.
        return None
    return plain


def _is_code(plain: bytes) -> bool:
    if not plain.strip():
        return False
    try:
        parse(plain)
    except ValueError:
        # Broken code, or code for another Python, is still code; what was decoded by mistake is not even text.
        return b"\0" not in plain and re.search(rb"^(?:import|from) \w", plain, re.MULTILINE) is not None
    return True


def _bounded(plain: bytes, ended: bool) -> bytes:
    if len(plain) > MAX_SOURCE_BYTES:
        raise TooLarge(f"packed code holds over {MAX_SOURCE_BYTES:,} bytes")
    if not ended:
        raise ValueError("the data ends early")
    return plain


def _lzma(packed: bytes) -> bytes:
    decoder = lzma.LZMADecompressor(memlimit=LZMA_MEMORY)
    return _bounded(decoder.decompress(packed, MAX_SOURCE_BYTES + 1), decoder.eof)


def _raw_lzma(packed: bytes) -> bytes:
    for kind in (lzma.FILTER_LZMA2, lzma.FILTER_LZMA1):
        filters = [{"id": kind, "dict_size": MAX_SOURCE_BYTES}]
        decoder = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=filters)
        try:
            plain = decoder.decompress(packed, MAX_SOURCE_BYTES + 1)
        except lzma.LZMAError:
            continue
        return _bounded(plain, decoder.eof or kind == lzma.FILTER_LZMA1)
    raise ValueError("neither LZMA2 nor LZMA1")


def _zlib(bits: int) -> Callable[[bytes], bytes]:
    def unpack(packed: bytes) -> bytes:
        decoder = zlib.decompressobj(bits)
        return _bounded(decoder.decompress(packed, MAX_SOURCE_BYTES + 1), decoder.eof)

    return unpack


def _bz2(packed: bytes) -> bytes:
    decoder = bz2.BZ2Decompressor()
    return _bounded(decoder.decompress(packed, MAX_SOURCE_BYTES + 1), decoder.eof)


def _brotli(packed: bytes) -> bytes:
    import brotli

    decoder = brotli.Decompressor()
    plain: bytes = decoder.process(packed, output_buffer_limit=MAX_SOURCE_BYTES + 1)
    while not decoder.is_finished() and len(plain) <= MAX_SOURCE_BYTES:
        more = decoder.process(b"", output_buffer_limit=MAX_SOURCE_BYTES + 1 - len(plain))
        if not more:
            break
        plain += more
    return _bounded(plain, decoder.is_finished())


_METHODS: dict[str, Callable[[bytes], bytes]] = {
    "lzma": _lzma,
    "zlib": _zlib(47),
    "bz2": _bz2,
    "raw lzma": _raw_lzma,
    "brotli": _brotli,
    "deflate": _zlib(-15),
}
"""Those with a checked header come first: a raw stream can be taken for another."""
