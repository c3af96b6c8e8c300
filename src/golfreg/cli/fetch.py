"""``golfreg data get``: bring a published corpus here; and what of such corpora is here, for ``data list``."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from golfreg.api.errors import ConfigError, EnvironmentFault, GolfregError
from golfreg.cli import complete
from golfreg.cli.out import Out

if TYPE_CHECKING:
    from golfreg.api import Stock

_DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG)


def get(
    corpus: Annotated[
        str,
        typer.Argument(help="Corpus with its argument, as in `fineweb:sp1024`.", autocompletion=complete.fetchable),
    ],
    train_shards: Annotated[
        int | None, typer.Option(min=1, help="Training shards, from the first on; by default what the corpus says.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Fetch a published corpus into the cache, verified. What is there is kept, and what was cut off goes on.

    Examples:

    golfreg data get fineweb:sp1024 --train-shards 10

    golfreg data get fineweb:byte260 --train-shards 1 --json
    """
    from golfreg.cli.progress import StageProgress
    from golfreg.data.cache import corpora_dir
    from golfreg.registry.resolve import load, resolve

    out = Out(as_json)
    name, colon, argument = corpus.partition(":")
    component = resolve("corpus", name)
    target = load(component)
    if not hasattr(target, "fetch"):
        raise ConfigError(
            f"the corpus `{name}` is not one that can be fetched: its data is yours",
            f"use it at once: `golfreg run --corpus {corpus}`",
        )
    if not argument and component.descriptor.argument:  # type: ignore[attr-defined]
        known = ", ".join(f"{name}:{stock.argument}" for stock in target.stocks(corpora_dir()))
        raise ConfigError(f"corpus `{name}` needs an argument", f"write `golfreg data get` and one of: {known}")
    place = corpora_dir()
    with StageProgress(out.console(stderr=True)) as progress:

        def tell(done: int, total: int, text: str) -> None:
            progress.listen("get", {"event": "progress", "done": done, "total": total, "text": text})

        try:
            place.mkdir(parents=True, exist_ok=True)
            progress.listen("get", {"event": "start"})
            progress.listen("get", {"event": "note", "text": f"{free_bytes(place) / 1e9:,.1f} GB are free in {place}"})
            stock = target.fetch(argument if colon else None, place, train_shards, tell)
        except OSError as error:
            if error.errno not in _DISK_ERRORS:
                raise
            raise EnvironmentFault(
                f"cannot write to `{error.filename or place}`: {error.strerror}",
                "free some space, or set GOLFREG_CACHE to a directory of yours on another disk;"
                " the same command then goes on where it stopped",
            ) from error
    facts = stock_facts(name, stock, free_bytes(place))
    if as_json:
        out.json(facts)
        return
    out.table(("what", "value"), _rows(facts), corpus)
    out.talk(f"next: golfreg run --corpus {corpus}")


def stocks(out: Out, place: Path) -> Iterator[dict[str, Any]]:
    """Facts of every argument of every corpus that can be fetched. A corpus that cannot be loaded is warned of."""
    from golfreg.registry.host import get_host
    from golfreg.registry.resolve import load

    free = free_bytes(place)
    for component in get_host().of_kind("corpus"):
        if component.missing or component.missing_programs:
            continue
        try:
            target = load(component)
            found = target.stocks(place) if hasattr(target, "stocks") else ()
            yield from (stock_facts(component.name, stock, free) for stock in found)
        except GolfregError as error:
            out.warn(error.message)


def stock_facts(corpus: str, stock: Stock, free: int) -> dict[str, Any]:
    """A stock in plain values. ``fits_shards``: training shards that could be here with the disk as it is."""
    fits = None
    if stock.part_bytes:
        fits = stock.parts + free // stock.part_bytes
        fits = fits if stock.offered_parts is None else min(fits, stock.offered_parts)
    return {
        "corpus": corpus if stock.argument is None else f"{corpus}:{stock.argument}",
        "ready": bool(stock.fingerprint),
        "train_shards": stock.parts,
        "offered_train_shards": stock.offered_parts,
        "shard_bytes": stock.part_bytes,
        "present_bytes": stock.present_bytes,
        "fits_train_shards": fits,
        "free_bytes": free,
        "fingerprint": stock.fingerprint,
    }


def free_bytes(place: Path) -> int:
    """Free space of the disk on which ``place`` is or would be."""
    while not place.exists() and place != place.parent:
        place = place.parent
    return shutil.disk_usage(place).free


def _rows(facts: dict[str, Any]) -> list[tuple[str, str]]:
    offered = facts["offered_train_shards"]
    return [
        ("training shards", f"{facts['train_shards']:,}" + (f" of {offered:,}" if offered is not None else "")),
        ("here", f"{facts['present_bytes']:,} bytes"),
        ("free disk", f"{facts['free_bytes']:,} bytes"),
        *([] if facts["fits_train_shards"] is None else [("shards that fit", f"{facts['fits_train_shards']:,}")]),
        ("fingerprint", facts["fingerprint"]),
    ]
