"""Every codec keeps the contract of its kind; those whose program is missing are not checked here."""

from __future__ import annotations

import shutil

import pytest

pytest.importorskip("golfreg_zoo_codecs", reason="install it: pip install -e plugins/golfreg-zoo-codecs")

from golfreg.testing import conformance, iter_components

NAME = "golfreg-zoo-codecs"

test_zstd = conformance("codec", "zstd", distribution=NAME)
test_brotli = conformance("codec", "brotli", distribution=NAME)
test_ppmd = conformance("codec", "ppmd", distribution=NAME)
if shutil.which("lrzip"):
    test_lrzip = pytest.mark.slow(conformance("codec", "lrzip", distribution=NAME))
if shutil.which("zpaq"):
    test_zpaq = pytest.mark.slow(conformance("codec", "zpaq", distribution=NAME))


def test_the_distribution_registers_these_codecs_and_nothing_else() -> None:
    assert [c.label for c in iter_components(distribution=NAME)] == [
        f"codec `{name}`" for name in ("zstd", "brotli", "ppmd", "lrzip", "zpaq")
    ]
