"""``golfreg bench``: components side by side on the same data."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from golfreg.api.errors import AnswerIsNo, GolfregError
from golfreg.cli.bench_kernels import kernels
from golfreg.cli.out import Out, plain

if TYPE_CHECKING:
    from golfreg.registry.records import Registered

app = typer.Typer(
    help="Compare components.\n\nExample: golfreg bench codecs runs/NAME/artifact.golfreg",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.callback()
def _group() -> None:
    pass


app.command()(kernels)


@app.command()
def codecs(
    weights: Annotated[Path, typer.Argument(help="An artifact, a checkpoint (.safetensors), or an .npz file.")],
    codec: Annotated[
        list[str] | None, typer.Option("--codec", help="Only this one; may be given several times.")
    ] = None,
    bits: Annotated[int | None, typer.Option("--bits", help="Bits of a checkpoint's matrices.  [default: 6]")] = None,
    clip_std: Annotated[
        float, typer.Option("--clip-std", help="Standard deviations at which their codes end; 0: the quantizer's.")
    ] = 0.0,
    embedding_clip_std: Annotated[
        float, typer.Option("--embedding-clip-std", help="The same of int8 embeddings; 0: the quantizer's.")
    ] = 0.0,
    plot: Annotated[Path | None, typer.Option("--plot", help="Draw bits by role: FILE.svg or FILE.png.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Code weights with every installed codec: bytes, ratios, bits by role, seconds, memory.

    An artifact's codes are coded again as they are; no code of the artifact is run. A checkpoint is quantized by
    row: matrices at int6, embeddings at int8. Each codec has its default settings, its strongest on weights, and a
    process of its own; what it codes is decoded again and compared. Codecs that run a program are here too.
    Seconds are processor time. `order-0` is the entropy of each section's bytes; `row x column` that of codes with
    a table for each product of row and column scale, scales and tables for nothing: ideals, for comparison.

    Example: golfreg bench codecs runs/NAME/artifact.golfreg --codec lzma --codec zstd
    """
    from golfreg.plots.file import check_format, save_plot
    from golfreg.registry.host import get_host
    from golfreg.registry.resolve import resolve
    from golfreg.runner.codec_bench import measured, references
    from golfreg.runner.codec_weights import sections_of

    out = Out(as_json)
    if plot is not None:
        check_format(plot)
    usable = [c.name for c in get_host().of_kind("codec") if not _missing(c) and c.name != "auto"]
    names = list(dict.fromkeys(codec or usable))
    for name in names:
        resolve("codec", name)
    sections = sections_of(weights, bits, clip_std, embedding_clip_std)
    parameters = sum(s.layout.count for s in sections if s.layout.part != "scale")
    with out.console(stderr=True).status("coding"):
        against = references(sections)
        found = measured(sections, names)
    for row in found:
        if row["error"] is not None:
            if len(found) == 1:
                raise (AnswerIsNo if row.get("exit_code") == 1 else GolfregError)(row["error"], row.get("hint"))
            out.warn(f"codec `{row['codec']}`: {row['error']}")
            continue
        for name in ("xz", "brotli", "order_0"):
            row[f"to_{name}"] = row["bytes"] / against[name] if against[name] else None
    found.sort(key=lambda row: (row["bytes"] is None, row["bytes"]))
    result = {"weights": str(weights), "parameters": parameters, "references": against, "codecs": found}
    if plot is not None:
        from golfreg.cli.bench_plot import codecs_plot

        save_plot(plot, codecs_plot(result))
    if as_json:
        out.json(result)
    else:
        _show(out, result)


def _show(out: Out, result: dict[str, Any]) -> None:
    against, parameters = result["references"], result["parameters"]
    found = [row for row in result["codecs"] if row["error"] is None]
    numbers = ("bytes", "to xz -9e", "to brotli", "to order-0", "bits a parameter", "encode s", "decode s", "decode MB")
    ideals = [("xz -9e", "xz"), ("brotli 11", "brotli"), ("order-0", "order_0"), ("row x column", "ideal")]
    rows: list[tuple[int, tuple[str, ...]]] = [
        (row["bytes"], (row["codec"], *_sizes(row["bytes"], against, parameters), f"{row['encode_seconds']:.2f}",
         f"{row['decode_seconds']:.2f}", _megabytes(row)))
        for row in found
    ]  # fmt: skip
    rows += [
        (against[key], (f"({name})", *_sizes(against[key], against, parameters), "", "", ""))
        for name, key in ideals
        if against[key] is not None
    ]
    title = f"weights of {plain(result['weights'])}, {parameters:,} parameters; in brackets: for comparison"
    out.table(("codec", *numbers), [row for _, row in sorted(rows, key=lambda r: r[0])], title, right=numbers)
    roles = list(against["roles"])
    by_role = [(row["codec"], *(f"{row['by_role'][r]:.4f}" for r in roles)) for row in found]
    for name, key in (("(order-0)", "order_0"), ("(row x column)", "row_x_column")):
        by_role.append((name, *(f"{against['roles'][r][key]:.4f}" for r in roles)))
    out.table(("bits a code", *roles), by_role, "by role, without scales", right=roles)


def _sizes(size: int, against: dict[str, Any], parameters: int) -> tuple[str, ...]:
    ratios = (f"{size / against[key]:.4f}" if against[key] else "" for key in ("xz", "brotli", "order_0"))
    return (f"{size:,}", *ratios, f"{8 * size / max(parameters, 1):.4f}")


def _megabytes(row: dict[str, Any]) -> str:
    if row["programs"] or row["decode_peak_bytes"] is None:
        return ""
    return f"{row['decode_peak_bytes'] / 1e6:.0f}"


def _missing(component: Registered) -> bool:
    return bool(component.missing or component.missing_programs)
