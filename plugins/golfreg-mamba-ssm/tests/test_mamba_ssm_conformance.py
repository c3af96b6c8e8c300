"""The mixer, its op and the reference keep the contracts of their kinds. mamba-ssm is not needed for it."""

from __future__ import annotations

import pytest

pytest.importorskip("golfreg_mamba_ssm", reason="install it: pip install -e plugins/golfreg-mamba-ssm")

from golfreg.testing import conformance, iter_components

NAME = "golfreg-mamba-ssm"

test_mamba1 = conformance("mixer", "mamba1", distribution=NAME)
test_mamba2 = conformance("mixer", "mamba2", distribution=NAME)
test_op = pytest.mark.slow(conformance("op", distribution=NAME))
test_architecture = pytest.mark.slow(conformance("architecture", distribution=NAME))
test_reference = pytest.mark.slow(conformance("kernel", "reference", distribution=NAME))


def test_the_distribution_registers_these_components_and_nothing_else() -> None:
    assert {c.label for c in iter_components(distribution=NAME)} == {
        "architecture `mamba1`", "mixer `mamba1`", "op `mamba1_scan`",
        "kernel `reference` of `mamba1_scan`", "kernel `mamba-ssm` of `mamba1_scan`",
        "architecture `mamba2`", "mixer `mamba2`", "op `mamba2_ssd`", "kernel `mamba-ssm` of `mamba3_siso`",
        "kernel `reference` of `mamba2_ssd`", "kernel `mamba-ssm` of `mamba2_ssd`",
    }  # fmt: skip
