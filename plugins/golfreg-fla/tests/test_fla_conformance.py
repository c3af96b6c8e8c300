"""Mixers, architectures, ops and kernels keep the contracts of their kinds. fla is not needed for it."""

from __future__ import annotations

import importlib.util

import pytest

pytest.importorskip("golfreg_fla", reason="install it: pip install -e plugins/golfreg-fla")

from golfreg.testing import conformance, iter_components

NAME = "golfreg-fla"

test_gated_deltanet = conformance("mixer", "gated-deltanet", distribution=NAME)
test_gla = conformance("mixer", "gla", distribution=NAME)
test_rwkv7 = conformance("mixer", "rwkv7", distribution=NAME)
test_ops = pytest.mark.slow(conformance("op", distribution=NAME))
test_architectures = pytest.mark.slow(conformance("architecture", distribution=NAME))
test_references = pytest.mark.slow(conformance("kernel", "reference", distribution=NAME))
if importlib.util.find_spec("fla"):
    test_fla = pytest.mark.gpu(conformance("kernel", "fla", distribution=NAME))


def test_the_distribution_registers_these_components_and_nothing_else() -> None:
    assert {c.label for c in iter_components(distribution=NAME)} == {
        "architecture `gated-deltanet`", "architecture `gla`", "architecture `rwkv7`",
        "mixer `gated-deltanet`", "mixer `gla`", "mixer `rwkv7`",
        "op `gated_delta_rule`", "op `gated_linear_attention`", "op `rwkv7_wkv`",
        "kernel `reference` of `rwkv7_wkv`", "kernel `fla` of `rwkv7_wkv`",
        "kernel `reference` of `gated_delta_rule`", "kernel `fla` of `gated_delta_rule`",
        "kernel `reference` of `gated_linear_attention`", "kernel `fla` of `gated_linear_attention`",
    }  # fmt: skip
