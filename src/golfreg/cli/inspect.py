"""``golfreg inspect``: what is in an artifact and where its bytes are. Runs no code of the artifact."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from golfreg.cli.out import Out

_NUMBERS = ("tensors", "parameters", "codes", "scales", "raw", "bytes", "of all", "bits", "ideal", "over", "alone")


def inspect(
    artifact: Annotated[Path, typer.Argument(help="The artifact, as in RUN_DIR/artifact.golfreg.")],
    plot: Annotated[
        Path | None, typer.Option(help="Draw the bytes into this file too: `FILE.svg` or `FILE.png`.")
    ] = None,
    alone: Annotated[
        bool, typer.Option("--alone", help="Code each row group once more by itself: true bytes, no shares.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
) -> None:
    """List the sections, tensors, roles, row groups, code and bytes of an artifact.

    Each stands beside its order-0 entropy ("ideal"). Bytes marked `~` are a share of a stream that
    holds other sections too, split by the entropy of each. No code of the artifact is run.

    Example: golfreg inspect runs/NAME/artifact.golfreg --plot bytes.svg
    """
    from golfreg.pack.container import read_container
    from golfreg.sizes.artifact import describe

    out = Out(as_json)
    if plot is not None:
        from golfreg.plots.file import check_format

        check_format(plot)
    container = read_container(artifact)
    if alone:
        with out.console(stderr=True).status("coding each row group by itself"):
            facts, warning = describe(container, alone)
    else:
        facts, warning = describe(container)
    if warning:
        out.warn(warning)
    if as_json:
        out.json({"artifact": str(artifact), **facts})
    else:
        _show(out, artifact, facts)
    if plot is not None:
        from golfreg.plots.file import save_plot
        from golfreg.sizes.chart import bytes_plot

        save_plot(plot, bytes_plot(facts, artifact.name))
        out.talk(f"drawn into {plot}")


def _show(out: Out, artifact: Path, facts: dict[str, Any]) -> None:
    total = facts["total_bytes"]
    out.table(
        ["tensor", "role", "group", "part", "shape", "dtype", "codes", "bits", "ideal", "bytes", ""],
        [
            (
                s["tensor"], s["role"], s["group"], s["part"], "x".join(map(str, s["shape"])) or "scalar", s["dtype"],
                "{}..{}".format(*s["alphabet"]) if s["alphabet"] else "", f"{s['bits_per_element']:.2f}",
                _bits(s["ideal_bits_per_element"], 2), f"{s['bytes']:,}", _mark(s),
            )
            for s in facts["sections"]
        ],
        title=f"{artifact.name}: sections",
        right=["shape", "codes", "bits", "ideal", "bytes"],
    )  # fmt: skip
    for what in ("tensors", "groups", "roles"):
        _table(out, what, facts[what], total)
    rows = [(c["path"], f"{c['source_bytes']:,}", f"{c['bytes']:,}") for c in facts["code"]]
    out.table(["code", "source bytes", "bytes ~"], rows, right=["source bytes", "bytes ~"])
    chosen = [(kind, c["name"], c["target"], _settings(c["config"])) for kind, c in facts["components"].items()]
    out.table(["component", "name", "target", "settings"], chosen)
    names = {"codes": "weights: codes", "scale": "weights: scales", "raw": "weights: raw values"}
    parts = [(names[row["key"]], row["bytes"], row["ideal_bytes"]) for row in facts["parts"]]
    parts += [(part, facts[f"{part}_bytes"], None) for part in ("code", "header", "total")]
    out.table(
        ["all", "bytes", "of all", "ideal", "over"],
        [(n, f"{size:,}", _percent(size, total), _bytes(ideal), _over(size, ideal)) for n, size, ideal in parts],
        right=["bytes", "of all", "ideal", "over"],
    )  # fmt: skip
    out.line(f"{facts['parameters']:,} parameters at {facts['bits_per_parameter']:.3f} bits; sha256 {facts['sha256']}")


def _table(out: Out, what: str, rows: list[dict[str, Any]], total: int) -> None:
    """One row a tensor, row group or role; columns that are empty throughout are left out."""
    titles = {"tensors": "tensor", "groups": "role.group", "roles": "role"}
    columns = [titles[what], *_NUMBERS, ""]
    cells = [
        (
            row["key"], f"{row['tensors']}", f"{row['parameters']:,}", *(_count(row[f"{part}_bytes"]) for part in
            ("codes", "scale", "raw")), f"{row['bytes']:,}", _percent(row["bytes"], total),
            f"{row['bits_per_parameter']:.3f}", _bits(row["ideal_bits_per_parameter"], 3),
            _over(row["bytes"], row["ideal_bytes"]), _bits(row.get("alone_bits_per_parameter"), 3), _mark(row),
        )
        for row in rows
    ]  # fmt: skip
    kept = [i for i in range(len(columns)) if i == 0 or any(cell[i] for cell in cells)]
    if what == "tensors":
        kept.remove(1)
    out.table(
        [columns[i] for i in kept],
        [[cell[i] for i in kept] for cell in cells],
        f"by {titles[what]} (bits and ideal: a parameter, scales included)",
        right=_NUMBERS,
    )


def _settings(config: dict[str, Any]) -> str:
    return ", ".join(f"{k}={v}" for k, v in config.items())


def _mark(row: dict[str, Any]) -> str:
    return "~" if row["attributed"] else ""


def _count(size: int) -> str:
    return f"{size:,}" if size else ""


def _bytes(size: float | None) -> str:
    return "" if size is None else f"{size:,.0f}"


def _bits(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _over(size: int, ideal: float | None) -> str:
    return f"{100 * (size / ideal - 1):+.1f} %" if ideal else ""


def _percent(size: int, total: int) -> str:
    return f"{100 * size / total:.1f} %"
