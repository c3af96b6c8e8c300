"""Registers the corpus."""

from __future__ import annotations

from collections.abc import Iterator

from golfreg.api import Corpus, hookimpl

GOLFREG_API = 1


@hookimpl
def golfreg_corpora() -> Iterator[Corpus]:
    yield Corpus(
        name="fineweb",
        summary="the challenge's FineWeb shards: sp1024, sp4096, sp8192, byte260; `golfreg data get`",
        target="golfreg_fineweb.corpus:fineweb",
        argument="VARIANT[@OWNER/REPOSITORY[/ROOT]]",
        requires=("huggingface_hub",),
        shards=True,
    )
