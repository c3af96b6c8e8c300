"""Codecs side by side on the same sections, each in a process of its own: ``python -m golfreg.runner.codec_bench``."""

from __future__ import annotations

import json
import lzma
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from golfreg.api.codec import ByteCodec, NoConfig
from golfreg.api.errors import AnswerIsNo, EnvironmentFault, GolfregError, InputError
from golfreg.api.values import Layout, Section, Stream
from golfreg.config.plan import Chosen
from golfreg.pack.attribution import entropy_bits, section_bytes
from golfreg.pack.header import Header
from golfreg.pack.sections import decoded, load_sections, save_sections

_HEADER = Header(
    Chosen("architecture", "none", "none:none", "", "", ""), Chosen("quantizer", "none", "none:none", "", "", ""),
    Chosen("codec", "none", "none:none", "", "", ""), vocab_size=1, sequence_length=1,
)  # fmt: skip


def measured(sections: Sequence[Section], names: Sequence[str], scratch: Path | None = None) -> list[dict[str, Any]]:
    """Bytes, bits by role, seconds and memory of each codec by name; a codec that fails has ``error`` instead."""
    with tempfile.TemporaryDirectory(prefix="golfreg-bench-", dir=scratch) as place:
        path, answer = Path(place, "sections.bin"), Path(place, "answer.json")
        save_sections(path, _HEADER, sections)
        found = []
        for name in names:
            answer.unlink(missing_ok=True)
            command = [sys.executable, "-m", "golfreg.runner.codec_bench", str(path), name, str(answer)]
            code = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=2, check=False).returncode
            try:
                found.append(json.loads(answer.read_text("utf-8")))
            except (OSError, ValueError):
                fault = EnvironmentFault(f"the process of codec `{name}` ended with {code} and no answer")
                found.append({"codec": name, "bytes": None, "error": fault.message, "hint": "was it out of memory?"})
    return found


def references(sections: Sequence[Section]) -> dict[str, Any]:
    """Bytes of ``xz -9e``, of Brotli 11 (None without the library), of order-0 entropy, and of the ideal models."""
    roles: dict[str, dict[str, float]] = {}
    totals = {"order_0": 0.0, "ideal": 0.0}
    by_role: dict[str, list[Section]] = {}
    for section in sections:
        bits = entropy_bits(section.data)
        totals["order_0"] += bits / 8
        if section.layout.part != "codes":
            totals["ideal"] += bits / 8
        else:
            by_role.setdefault(section.layout.role, []).append(section)
    for role, members in by_role.items():
        ideal = ideal_bits(members)
        totals["ideal"] += ideal / 8
        codes = sum(s.layout.count for s in members)
        order_0 = sum(entropy_bits(s.data) for s in members)
        roles[role] = {"codes": codes, "order_0": order_0 / max(codes, 1), "row_x_column": ideal / max(codes, 1)}
    xz = sum(len(s.data) for s in _Xz().encode(sections, None))
    brotli = None
    try:
        import brotli as library
    except ImportError:
        pass
    else:
        brotli = sum(len(library.compress(s.data, quality=11, lgwin=24)) for s in _Plain().encode(sections, None))
    return {"xz": xz, "brotli": brotli, **{k: round(v) for k, v in totals.items()}, "roles": roles}


def ideal_bits(sections: Sequence[Section]) -> float:
    """Bits of the codes of one role under a table for each scale, with scales, classes and tables for nothing.

    The scale of a code is its row's times its column's: mean absolute values, each relative to the other, three
    rounds. Codes of all the sections whose scales are in the same eighth of an octave share a table: their entropy.
    """
    counts = np.zeros((256, 65536 if any(s.data.dtype.itemsize > 1 for s in sections) else 256), np.int64)
    for section in sections:
        if not section.data.size:
            continue
        codes_RC = section.data.reshape(len(section.data) if section.data.ndim > 1 else 1, -1)
        size_RC = np.abs(codes_RC.astype(np.float32))
        row_R, column_C = np.ones(len(size_RC), np.float32), np.ones(size_RC.shape[1], np.float32)
        for _ in range(3):
            column_C = np.maximum((1 / row_R) @ size_RC / len(row_R), 1e-2)
            row_R = np.maximum(size_RC @ (1 / column_C) / len(column_C), 1e-2)
        class_R, class_C = 8 * np.log2(row_R) + 128, 8 * np.log2(column_C)
        symbols_RC = codes_RC.astype(np.int64) & (counts.shape[1] - 1)
        for start in range(0, len(codes_RC), 256):
            kinds = np.clip(np.rint(class_R[start : start + 256, None] + class_C), 0, 255).astype(np.int64)
            pairs = kinds * counts.shape[1] + symbols_RC[start : start + 256]
            counts += np.bincount(pairs.reshape(-1), minlength=counts.size).reshape(counts.shape)
    each = counts[counts.any(1)].astype(np.float64)
    totals = each.sum(1)
    return float((totals * np.log2(totals)).sum() - (each * np.log2(np.maximum(each, 1))).sum())


class _Plain(ByteCodec):
    Config = NoConfig

    def compress(self, data: bytes, config: Any) -> bytes:
        return data


class _Xz(ByteCodec):
    def compress(self, data: bytes, config: Any) -> bytes:
        return lzma.compress(data, preset=9 | lzma.PRESET_EXTREME)


def one(path: Path, name: str) -> dict[str, Any]:
    """What one codec makes of the sections of a file. AnswerIsNo if it loses anything."""
    from golfreg.registry.resolve import resolve
    from golfreg.registry.settings import configure

    _, sections = load_sections(path)
    component = resolve("codec", name)
    target, config = configure(component, {})
    layouts = [s.layout for s in sections]
    before = _peak(restart=True)
    started = _seconds()
    streams = target.encode(sections, config)
    encode_seconds = _seconds() - started
    encode_bytes = _more(before, _peak())
    before = _peak(restart=True)
    started = _seconds()
    arrays = decoded(target, streams, layouts, config)
    decode_seconds = _seconds() - started
    decode_bytes = _more(before, _peak())
    if any(s.data.tobytes() != a.tobytes() for s, a in zip(sections, arrays, strict=True)):
        raise AnswerIsNo(f"codec `{name}` changed a section", "a codec must be lossless")
    size = sum(len(stream.data) for stream in streams)
    parameters = sum(y.count for y in layouts if y.part != "scale")
    return {
        "codec": name,
        "bytes": size,
        "bits_per_parameter": 8 * size / max(parameters, 1),
        "by_role": _by_role(layouts, streams, [s.data for s in sections]),
        "encode_seconds": encode_seconds,
        "decode_seconds": decode_seconds,
        "encode_peak_bytes": encode_bytes,
        "decode_peak_bytes": decode_bytes,
        "programs": list(component.descriptor.programs),
        "error": None,
    }


def _by_role(layouts: Sequence[Layout], streams: Sequence[Stream], arrays: Sequence[np.ndarray]) -> dict[str, float]:
    """Bits a code of each role, scales not included."""
    sizes: dict[str, int] = {}
    counts: dict[str, int] = {}
    for y, (size, _) in zip(layouts, section_bytes(layouts, streams, arrays), strict=True):
        if y.part == "codes":
            sizes[y.role] = sizes.get(y.role, 0) + size
            counts[y.role] = counts.get(y.role, 0) + y.count
    return {role: 8 * size / max(counts[role], 1) for role, size in sizes.items()}


def _seconds() -> float:
    """Processor time of this process and of the programs that it ran: what else the machine does is not in it."""
    return sum(os.times()[:4])


def _peak(restart: bool = False) -> int | None:
    """Most memory that this process held since the last restart; None where the system does not tell."""
    try:
        if restart:
            Path("/proc/self/clear_refs").write_text("5")
        status = Path("/proc/self/status").read_text("ascii")
        return 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
    except (OSError, StopIteration, ValueError):
        return None


def _more(before: int | None, after: int | None) -> int | None:
    return None if before is None or after is None else max(after - before, 0)


def main() -> None:
    path, name, answer = sys.argv[1:]
    try:
        found = one(Path(path), name)
    except GolfregError as error:
        found = {
            "codec": name, "bytes": None, "error": error.message, "hint": error.hint, "exit_code": error.exit_code,
            "damaged": isinstance(error, InputError),
        }  # fmt: skip
    Path(answer).write_text(json.dumps(found), "utf-8")


if __name__ == "__main__":
    main()
