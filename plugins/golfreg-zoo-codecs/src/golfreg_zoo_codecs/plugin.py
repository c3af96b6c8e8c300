"""Registers the codecs. A library or program that is missing disables the one codec that needs it."""

from __future__ import annotations

from collections.abc import Iterator

from golfreg.api import Codec, hookimpl

GOLFREG_API = 1


@hookimpl
def golfreg_codecs() -> Iterator[Codec]:
    yield Codec(
        name="zstd",
        summary="Zstandard at level 22 or without matches, whichever is smaller",
        target="golfreg_zoo_codecs.zstd:zstd_codec",
        requires=("zstandard",),
    )
    yield Codec(
        name="brotli",
        summary="Brotli at quality 11",
        target="golfreg_zoo_codecs.brotli_codec:brotli_codec",
        requires=("brotli",),
    )
    yield Codec(
        name="ppmd",
        summary="PPMd variant H of order 2",
        target="golfreg_zoo_codecs.ppmd:ppmd_codec",
        requires=("pyppmd",),
    )
    yield Codec(
        name="lrzip",
        summary="the program lrzip with its ZPAQ backend, for comparisons",
        target="golfreg_zoo_codecs.programs:lrzip_codec",
        programs=("lrzip",),
    )
    yield Codec(
        name="zpaq",
        summary="the program zpaq with method 5, for comparisons",
        target="golfreg_zoo_codecs.programs:zpaq_codec",
        programs=("zpaq",),
    )
