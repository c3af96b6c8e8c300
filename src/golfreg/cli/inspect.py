"""``golfreg inspect``: what is in an artifact and where its bytes are. Runs no code of the artifact."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from golfreg.cli.out import Out

if TYPE_CHECKING:
    import numpy as np

    from golfreg.pack.container import Container

_MOST_DECODED_BYTES = 1 << 28
"""Beyond this the streams are not decoded, and shared bytes are split by size instead of entropy."""


def inspect(
    artifact: Annotated[Path, typer.Argument(help="The artifact, as in RUN_DIR/artifact.golfreg.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """List the sections, roles, code and bytes of an artifact.

    Sections that share a coded stream are marked `~`: their bytes are the stream's, split by
    the entropy of each. No code of the artifact is run.

    Example: golfreg inspect runs/NAME/artifact.golfreg
    """
    from golfreg.pack.container import read_container

    out = Out(as_json)
    facts, warning = describe(read_container(artifact))
    if warning:
        out.warn(warning)
    if as_json:
        out.json({"artifact": str(artifact), **facts})
    else:
        _show(out, artifact, facts)


def describe(container: Container) -> tuple[dict[str, Any], str]:
    """Everything that is shown, and a warning or nothing."""
    from golfreg.pack.attribution import section_bytes, totals

    header, layouts = container.header, container.layouts
    arrays, warning = _decode(container)
    sizes = section_bytes(layouts, container.streams, arrays)
    stream_of = {i: n for n, stream in enumerate(container.streams) for i in stream.sections}
    only = [size for size, _ in sizes]
    parameters = sum(y.count for y in layouts if y.part != "scale")
    facts = {
        "sha256": container.sha256,
        "total_bytes": container.total_bytes,
        "header_bytes": container.header_bytes,
        "code_bytes": container.code_bytes,
        "weight_bytes": sum(only),
        "parameters": parameters,
        "bits_per_parameter": _bits(sum(only), parameters),
        "vocab_size": header.vocab_size,
        "sequence_length": header.sequence_length,
        "bos_id": header.bos_id,
        "dtype": header.dtype,
        "components": {
            kind: {"name": c.name, "target": c.target, "config": c.config} for kind, c in header.components().items()
        },
        "attribution": "size" if arrays is None else "entropy",
        "sections": [
            {
                "tensor": y.tensor, "role": y.role, "group": y.group, "part": y.part, "shape": list(y.shape),
                "dtype": y.dtype, "alphabet": y.alphabet, "stream": stream_of[i], "bytes": size,
                "bits_per_element": _bits(size, y.count), "attributed": shared,
            }
            for i, (y, (size, shared)) in enumerate(zip(layouts, sizes, strict=True))
        ],
        "by_role": totals(layouts, only, lambda y: y.role),
        "by_part": totals(layouts, only, lambda y: y.part),
        "code": _code(container),
    }  # fmt: skip
    return facts, warning


def _decode(container: Container) -> tuple[list[np.ndarray] | None, str]:
    """The sections' data by a built-in codec, or None and why not. A stranger's target is never imported."""
    from golfreg.api.errors import GolfregError
    from golfreg.builtin.plugin import golfreg_codecs
    from golfreg.pack.sections import decoded

    codec = container.header.codec
    if not codec.targets() <= {c.target for c in golfreg_codecs()}:
        return None, f"codec `{codec.name}` is not built in: bytes of shared streams are split by size"
    size = sum(y.nbytes for y in container.layouts)
    if size > _MOST_DECODED_BYTES:
        return None, f"the weights take {size:,} bytes decoded: bytes of shared streams are split by size"
    try:
        return decoded(codec.load(), container.streams, container.layouts, codec.make_config()), ""
    except (GolfregError, TypeError) as error:
        return None, f"the weights do not decode ({error}): bytes of shared streams are split by size"


def _code(container: Container) -> list[dict[str, Any]]:
    """Modules with the bytes of their source, and their share of the compressed archive by compressed size."""
    import zlib

    from golfreg.pack.attribution import apportion

    sources = {path: text.encode() for path, text in container.code.items()}
    shares = apportion(container.code_bytes, [float(len(zlib.compress(s, 6))) for s in sources.values()])
    return [
        {"path": path, "source_bytes": len(source), "bytes": share}
        for (path, source), share in zip(sources.items(), shares, strict=True)
    ]


def _bits(size: int, count: int) -> float:
    return 8 * size / count if count else 0.0


def _show(out: Out, artifact: Path, facts: dict[str, Any]) -> None:
    total = facts["total_bytes"]
    out.table(
        ["tensor", "role", "group", "part", "shape", "dtype", "codes", "bits", "bytes", ""],
        [
            (
                s["tensor"], s["role"], s["group"], s["part"], "x".join(map(str, s["shape"])) or "scalar", s["dtype"],
                "{}..{}".format(*s["alphabet"]) if s["alphabet"] else "", f"{s['bits_per_element']:.2f}",
                f"{s['bytes']:,}", "~" if s["attributed"] else "",
            )
            for s in facts["sections"]
        ],
        title=f"{artifact.name}: sections",
        right=["shape", "codes", "bits", "bytes"],
    )  # fmt: skip
    for title, key in (("weights by role", "by_role"), ("weights by part", "by_part")):
        rows = [(name, f"{size:,}", _percent(size, total)) for name, size in facts[key].items()]
        out.table([title, "bytes", "of all"], rows, right=["bytes", "of all"])
    rows = [(c["path"], f"{c['source_bytes']:,}", f"{c['bytes']:,}") for c in facts["code"]]
    out.table(["code", "source bytes", "bytes ~"], rows, right=["source bytes", "bytes ~"])
    chosen = [(kind, c["name"], c["target"], _settings(c["config"])) for kind, c in facts["components"].items()]
    out.table(["component", "name", "target", "settings"], chosen)
    parts = [(part, facts[f"{part}_bytes"]) for part in ("weight", "code", "header", "total")]
    out.table(
        ["all", "bytes", "of all"], [(n, f"{size:,}", _percent(size, total)) for n, size in parts],
        right=["bytes", "of all"],
    )  # fmt: skip
    out.line(f"{facts['parameters']:,} parameters at {facts['bits_per_parameter']:.3f} bits; sha256 {facts['sha256']}")


def _settings(config: dict[str, Any]) -> str:
    return ", ".join(f"{k}={v}" for k, v in config.items())


def _percent(size: int, total: int) -> str:
    return f"{100 * size / total:.1f} %"
