"""Mutated artifacts: every one must be refused with InputError or be read without harm.

    python tests/fuzz_artifacts.py --count 10000 [--seed 0] [--artifact FILE]

Runs in a process whose address space is limited. Half of the mutants get fresh checksums, so that
what lies behind them is tested too. One that is accepted is decoded: codes, layouts and code paths
must be within what the header says. Any other exception, a mutant that takes over ten seconds, or
memory beyond the limit ends the run with the mutant's number.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import resource
import signal
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from golfreg.api import GolfregError, InputError, Layout, Section
from golfreg.builtin.codecs import golf, standard
from golfreg.config.plan import Chosen
from golfreg.pack import archive, container
from golfreg.pack.archive import extract_code
from golfreg.pack.container import read_container, write_container
from golfreg.pack.header import Header
from golfreg.pack.sections import decoded

MEMORY_BYTES = 1_500_000_000
DECODED_BYTES = 100_000_000
SECONDS = 10
PREFIX = container._PREFIX
CODECS = {
    "golfreg.builtin.codecs.golf:golf": golf.golf,
    **{
        f"golfreg.builtin.codecs.standard:{c}_codec": getattr(standard, f"{c}_codec")
        for c in ("lzma", "zlib", "bz2", "none")
    },
}
"""By target."""


def seed_artifacts() -> list[bytes]:
    """One small artifact for each codec."""
    draw = np.random.default_rng(0)
    sections = [
        Section(Layout("w", "codes", "qkv", (8, 16), "int8", "q", (-31, 31)), draw.integers(-31, 32, (8, 16), np.int8)),
        Section(Layout("w", "scale", "qkv", (8,), "float16", "q"), draw.random(8).astype(np.float16)),
        Section(Layout("w", "codes", "qkv", (4, 16), "int8", "k", (-31, 31)), draw.integers(-31, 32, (4, 16), np.int8)),
        Section(Layout("w", "scale", "qkv", (4,), "float16", "k"), draw.random(4).astype(np.float16)),
        Section(Layout("b", "raw", "scalar", (9,), "bfloat16"), draw.integers(0, 65536, 9).astype(np.uint16)),
        Section(Layout("gain", "raw", "scalar", (), "float32"), np.array(2.5, np.float32)),
    ]
    mixed = draw.normal(0, 4, (256, 4)) @ draw.normal(0, 1, (4, 64)) + draw.normal(0, 2, (256, 64))
    table = np.clip(np.rint(mixed), -127, 127).astype(np.int8)
    made = []
    for target, codec in CODECS.items():
        header = Header(
            architecture=Chosen("architecture", "net", "net:net", "", "", "", {"width": 16, "rates": [0.5]}),
            quantizer=Chosen("quantizer", "int6", "net.q:q", "", "", "", {"overrides": {"qkv": 5}}),
            codec=Chosen("codec", "seed", target, "", "", ""),
            vocab_size=256,
            sequence_length=64,
            bos_id=1,
        )
        code = {"net.py": "x = 1\n" * 20, "pack/__init__.py": "", "pack/a.py": "import os\n"}
        held = sections
        if codec is golf.golf:
            # Enough for its models; of less it makes LZMA.
            held = [*sections, Section(Layout("e", "codes", "embedding", table.shape, "int8", "", (-127, 127)), table)]
        streams = codec.encode(held, codec.Config())
        assert codec is not golf.golf or any(s.data[0] == golf.MODELLED for s in streams)
        made.append(write_container(header, [s.layout for s in held], streams, code))
    return made


def split(data: bytes) -> tuple[bytes, bytes, bytes]:
    """Header JSON, code archive and streams of a valid artifact."""
    _, _, head, head_size, _, code, code_size, _, _, _ = PREFIX.unpack_from(data)
    body = data[PREFIX.size :]
    return (
        archive.decompress_text(body[:head], head_size, "header"),
        archive.decompress_text(body[head : head + code], code_size, "code"),
        body[head + code :],
    )


def join(head: bytes, code: bytes, streams: bytes, fix_streams: bool = True) -> bytes:
    """An artifact whose checksums and lengths are right; the stream table's too if it still can be."""
    if fix_streams:
        try:
            value, at = json.loads(head), 0
            for row in value["streams"]:
                row[2] = zlib.crc32(streams[at : at + row[1]])
                at += row[1]
            head = json.dumps(value).encode()
        except (ValueError, TypeError, KeyError, IndexError, RecursionError, AttributeError):
            pass
    coded = [archive.compress_text(head), archive.compress_text(code)]
    prefix = PREFIX.pack(
        container.MAGIC, container.FORMAT,
        len(coded[0]), len(head), zlib.crc32(coded[0]), len(coded[1]), len(code), zlib.crc32(coded[1]),
        len(streams), bytes(32),
    )[: PREFIX.size - 32]  # fmt: skip
    body = coded[0] + coded[1] + streams
    return prefix + hashlib.sha256(prefix + body).digest() + body


def damage(draw: random.Random, data: bytes) -> bytes:
    """Flip, cut, splice, repeat or overwrite bytes."""
    changed = bytearray(data)
    for _ in range(draw.choice((1, 1, 1, 2, 5, 20))):
        at = draw.randrange(len(changed) + 1)
        match draw.randrange(6):
            case 0 if at < len(changed):
                changed[at] ^= 1 << draw.randrange(8)
            case 1:
                del changed[at : at + draw.choice((1, 2, 8, 1000))]
            case 2:
                changed[at:at] = draw.randbytes(draw.choice((1, 4, 64)))
            case 3:
                other = draw.randrange(len(changed) + 1)
                changed[at : at + 16] = changed[other : other + 16]
            case 4:
                changed[at : at + 4] = draw.choice((b"\xff" * 4, bytes(4), b"\xff\xff\xff\x7f", b"\x80\0\0\0"))
            case _:
                del changed[at:]
    return bytes(changed)


ODD = [
    -1, 0, 1, 2**31, 2**53, 2**64, 10**30, True, None, 0.5, "", "x", "../x", "\x00", "é", [], [[]], {},
    {"a": 1}, [0] * 9, "int16", "float16", "raw", "codes", [2**20, 2**20], [0, 2**40], "a.b:c", *CODECS,
]  # fmt: skip


def edit_json(draw: random.Random, value: object) -> object:
    """Replace, remove or repeat one random node of a JSON value."""
    nodes: list[tuple[list | dict, object]] = []

    def visit(node: object) -> None:
        if isinstance(node, dict):
            nodes.extend((node, key) for key in node)
            for child in node.values():
                visit(child)
        elif isinstance(node, list):
            nodes.extend((node, i) for i in range(len(node)))
            for child in node:
                visit(child)

    visit(value)
    for _ in range(draw.choice((1, 1, 2, 4))):
        holder, key = draw.choice(nodes)
        try:
            match draw.randrange(5):
                case 0:
                    del holder[key]
                case 1 if isinstance(holder, list):
                    holder.append(draw.choice(holder))
                case 2 if isinstance(holder[key], int):
                    holder[key] += draw.choice((-1, 1, 7, 1000))
                case _:
                    holder[key] = draw.choice(ODD)
        except (IndexError, KeyError):
            continue
    return value


def resealed(draw: random.Random, data: bytes) -> bytes:
    """A mutant with right checksums: of the header's JSON, its bytes, the code archive, or the streams."""
    head, code, streams = split(data)
    match draw.randrange(6):
        case 0 | 1 | 2:
            head = json.dumps(edit_json(draw, json.loads(head))).encode()
        case 3:
            head = damage(draw, head)
        case 4:
            code = damage(draw, code)
        case _:
            streams = damage(draw, streams)
            if draw.random() < 0.7:
                value = json.loads(head)
                last = value["streams"][-1]
                last[1] = max(0, len(streams) - sum(row[1] for row in value["streams"][:-1]))
                head = json.dumps(value).encode()
    return join(head, code, streams, draw.random() < 0.9)


def use(data: bytes, directory: Path | None) -> bool:
    """Read a mutant and do with it what the scorer's harness does; whether it was accepted."""
    try:
        read = read_container(data, DECODED_BYTES)
        if sum(y.nbytes for y in read.layouts) > DECODED_BYTES:
            raise AssertionError("more was accepted than the limit")
        codec = CODECS.get(read.header.codec.target)
        if codec is None:
            return True
        try:
            config = codec.Config(**read.header.codec.config)
        except (GolfregError, TypeError):
            return False
        arrays = decoded(codec, read.streams, read.layouts, config)
        for layout, array in zip(read.layouts, arrays, strict=True):
            assert array.nbytes == layout.nbytes
        if directory is not None:
            for path in extract_code(read.code, directory):
                assert path.resolve().is_relative_to(directory.resolve())
        return True
    except InputError as error:
        if not error.message.isprintable() or len(error.message) > 2000:
            raise AssertionError("a message that is too long or not safe to print") from error
        return False


def fuzz(count: int, seed: int, originals: list[bytes], scratch: Path | None = None) -> dict[str, float]:
    """Try ``count`` mutants; counts of what became of them. Raises at the first that is not handled."""
    draw = random.Random(seed)
    found: dict[str, float] = {"refused": 0, "accepted": 0, "same": 0, "slowest_seconds": 0.0}
    change: list[Callable[[random.Random, bytes], bytes]] = [damage, resealed]
    for number in range(count):
        original = draw.choice(originals)
        mutant = change[number % 2](draw, original)
        directory = scratch / str(number) if scratch else None
        started = time.monotonic()
        signal.alarm(SECONDS)
        try:
            accepted = use(mutant, directory)
        except BaseException as error:
            raise RuntimeError(f"mutant {number} of seed {seed}: {type(error).__name__}: {error}") from error
        finally:
            signal.alarm(0)
        if number % 2 == 0 and accepted and mutant != original:
            raise RuntimeError(f"mutant {number} of seed {seed}: damage without new checksums was accepted")
        found["same" if mutant == original else "accepted" if accepted else "refused"] += 1
        found["slowest_seconds"] = max(found["slowest_seconds"], time.monotonic() - started)
    return found


def peak_bytes() -> int:
    """Most memory that this program held. The resource module would count what held it before ``exec``, too."""
    status = Path("/proc/self/status").read_text("ascii")
    return 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--artifact", type=Path)
    parser.add_argument("--scratch", type=Path, help="extract the code of accepted mutants here")
    given = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(TimeoutError(f"over {SECONDS} s")))
    originals = [given.artifact.read_bytes()] if given.artifact else seed_artifacts()
    found = fuzz(given.count, given.seed, originals, given.scratch)
    found["peak_bytes"] = peak_bytes()
    json.dump(found, sys.stdout)
    print()


if __name__ == "__main__":
    main()
