"""``golfreg bench``: components side by side on the same data."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from golfreg.api.errors import AnswerIsNo, ConfigError, GolfregError, InputError
from golfreg.cli.bench_kernels import kernels
from golfreg.cli.out import Out, plain

if TYPE_CHECKING:
    from golfreg.api import Section
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
    artifact: Annotated[Path, typer.Argument(help="The artifact, as in RUN_DIR/artifact.golfreg.")],
    codec: Annotated[
        list[str] | None, typer.Option("--codec", help="Only this one; may be given several times.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Code an artifact's weights again with every installed codec: bytes, bits a parameter, seconds.

    Each codec has its default settings, and what it codes is decoded again and compared. Codecs that run
    a program are here too. No code of the artifact is run.

    Example: golfreg bench codecs runs/NAME/artifact.golfreg --codec lzma --codec zstd
    """
    from golfreg.pack.container import read_container
    from golfreg.registry.host import get_host
    from golfreg.registry.resolve import resolve

    out = Out(as_json)
    names = list(dict.fromkeys(codec or [c.name for c in get_host().of_kind("codec") if not _missing(c)]))
    chosen = [resolve("codec", name) for name in names]
    sections = _sections(read_container(artifact))
    parameters = sum(s.layout.count for s in sections if s.layout.part != "scale")
    found = []
    with out.console(stderr=True).status("coding") as status:
        for component in chosen:
            status.update(f"coding with {plain(component.name)}")
            try:
                found.append({"codec": component.name, **measure(component, sections, parameters), "error": None})
            except GolfregError as error:
                if len(chosen) == 1:
                    raise
                out.warn(f"codec `{component.name}`: {error.message}")
                found.append({"codec": component.name, "bytes": None, "error": error.message})
    found.sort(key=lambda f: (f["bytes"] is None, f["bytes"]))
    if as_json:
        out.json({"artifact": str(artifact), "parameters": parameters, "codecs": found})
    else:
        numbers = ("bytes", "bits a parameter", "encode s", "decode s")
        out.table(
            ("codec", *numbers),
            [
                (f["codec"], f"{f['bytes']:,}", f"{f['bits_per_parameter']:.4f}",
                 f"{f['encode_seconds']:.2f}", f"{f['decode_seconds']:.2f}")
                for f in found if f["error"] is None
            ],
            f"weights of {plain(artifact)}, {parameters:,} parameters",
            right=numbers,
        )  # fmt: skip


def measure(component: Registered, sections: list[Section], parameters: int) -> dict[str, Any]:
    """Bytes and seconds of one codec with its default settings. AnswerIsNo if it loses anything."""
    from golfreg.pack.sections import decoded
    from golfreg.registry.settings import configure

    target, config = configure(component, {})
    started = time.perf_counter()
    streams = target.encode(sections, config)
    coded = time.perf_counter()
    arrays = decoded(target, streams, [s.layout for s in sections], config)
    ended = time.perf_counter()
    if any(s.data.tobytes() != a.tobytes() for s, a in zip(sections, arrays, strict=True)):
        raise AnswerIsNo(f"codec `{component.name}` changed a section", "a codec must be lossless")
    size = sum(len(stream.data) for stream in streams)
    return {
        "bytes": size,
        "bits_per_parameter": 8 * size / max(parameters, 1),
        "encode_seconds": coded - started,
        "decode_seconds": ended - coded,
    }


def _sections(container: Any) -> list[Section]:
    """The artifact's sections by the installed codec that it names; code in the artifact is not run."""
    from golfreg.api import Section
    from golfreg.pack.sections import decoded
    from golfreg.registry.host import get_host
    from golfreg.registry.resolve import load
    from golfreg.registry.settings import make_config

    used = container.header.codec
    component = next((c for c in get_host().named("codec", used.name) if c.target == used.target), None)
    if component is None:
        raise ConfigError(f"the artifact was coded with `{used.name}` ({used.target}), which is not installed")
    target = load(component)
    config = make_config(target, used.config, f"codec `{used.name}`")
    try:
        arrays = decoded(target, container.streams, container.layouts, config)
    except InputError as error:
        raise InputError(f"the weights do not decode: {error.message}", error.hint) from error
    return [Section(layout, array) for layout, array in zip(container.layouts, arrays, strict=True)]


def _missing(component: Registered) -> bool:
    return bool(component.missing or component.missing_programs)
