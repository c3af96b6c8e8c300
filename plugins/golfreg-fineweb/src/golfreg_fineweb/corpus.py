"""The corpus ``fineweb:VARIANT``: loads what ``golfreg data get fineweb:VARIANT`` fetched, without the network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from golfreg.api import GolfregError, InputError, Shards, Stock
from golfreg_fineweb.here import BYTES, is_here, parts_here, read_state, stock_of
from golfreg_fineweb.names import VARIANTS, argument_of, parse, shard

LICENCE = "ODC-By 1.0 (FineWeb), Common Crawl terms of use"
SHARD_BYTES = 1024 + 2 * 100_000_000
"""Of a full shard of the challenge: 100 million tokens."""


class FineWeb:
    """Token shards as the challenge publishes them, with their tokenizer; the full validation split."""

    def load(self, argument: str | None, cache_dir: Path) -> Shards:
        source = parse(argument)
        directory = source.directory(cache_dir)
        command = f"golfreg data get fineweb:{source.argument}"
        state = read_state(directory)
        parts = parts_here(directory, state) if state is not None else 0
        if state is None or not parts:
            raise InputError(
                f"the corpus `fineweb:{source.argument}` is not on this machine", hint=f"fetch it: `{command}`"
            )
        for name in state.needed(parts):
            if not is_here(directory, state, name):
                raise InputError(f"the file `{directory / name}` is missing or was changed", f"fetch it: `{command}`")
        stock = stock_of(source.argument, directory, state)
        return Shards(
            tuple(str(directory / shard("train", i)) for i in range(parts)),
            tuple(str(directory / shard("val", i)) for i in range(state.validation_shards)),
            BYTES if state.tokenizer == BYTES else str(directory / state.tokenizer),
            stock.fingerprint,
            LICENCE,
            {
                "repository": state.repository,
                "commit": state.commit,
                "training_shards": f"{parts} of {state.train_shards}",
            },
        )

    def stocks(self, cache_dir: Path) -> list[Stock]:
        """The challenge's variants, and whatever else was fetched."""
        place = cache_dir / "fineweb"
        names = [argument_of(p.name) for p in sorted(place.iterdir()) if p.is_dir()] if place.is_dir() else []
        found = []
        for argument in dict.fromkeys((*VARIANTS, *names)):
            try:
                directory = parse(argument).directory(cache_dir)
                state = read_state(directory)
            except GolfregError:
                state = None
                if argument not in VARIANTS:
                    continue
            empty = Stock(argument, part_bytes=SHARD_BYTES)
            found.append(empty if state is None else stock_of(argument, directory, state))
        return found

    def fetch(
        self, argument: str | None, cache_dir: Path, parts: int | None, tell: Callable[[int, int, str], None]
    ) -> Stock:
        """Fetch the first ``parts`` training shards (None: ten), all of validation and the tokenizer."""
        source = parse(argument)
        from golfreg_fineweb.fetch import fetch

        return fetch(source, source.directory(cache_dir), parts, tell)


fineweb = FineWeb()
