"""``choose_kernel``: the highest priority that can run, or the one asked for, with a reason."""

import pytest

from golfreg.api.errors import EnvironmentFault, PluginError, UnknownComponentError
from golfreg.kernels.choose import choose_kernel


class Kernel:
    def __init__(self, needs_device=None, least_state=0):
        self.needs_device, self.least_state = needs_device, least_state

    def supports(self, device, dtype, **static):
        if self.needs_device not in (None, device):
            return f"needs {self.needs_device}"
        if static.get("d_state", self.least_state) < self.least_state:
            return f"d_state is below {self.least_state}"
        return None


def broken():
    raise ImportError("no module named tilelang")


REFERENCE = ("reference", 0, Kernel)
FAST = ("triton", 10, lambda: Kernel("cuda", 32))


def test_the_highest_priority_that_can_run_is_chosen():
    assert choose_kernel("op", [REFERENCE, FAST], "cuda", "bfloat16")[0] == "triton"


def test_a_kernel_that_cannot_run_is_passed_over_with_its_reason():
    name, reason = choose_kernel("op", [REFERENCE, FAST], "cpu", "float32")
    assert name == "reference"
    assert "`triton` cannot: needs cuda" in reason


def test_every_mixers_static_arguments_have_to_be_supported():
    offers = [REFERENCE, FAST]
    assert choose_kernel("op", offers, "cuda", "bfloat16", static=[{"d_state": 64}])[0] == "triton"
    name, reason = choose_kernel("op", offers, "cuda", "bfloat16", static=[{"d_state": 64}, {"d_state": 16}])
    assert name == "reference"
    assert "d_state is below 32" in reason


def test_a_kernel_that_does_not_load_costs_only_itself():
    name, reason = choose_kernel("op", [("broken", 20, broken), REFERENCE], "cpu", "float32")
    assert name == "reference"
    assert "tilelang" in reason


def test_the_kernel_that_was_asked_for_is_chosen_over_a_faster_one():
    assert choose_kernel("op", [REFERENCE, FAST], "cuda", "bfloat16", "reference") == ("reference", "as asked")


def test_a_named_kernel_that_cannot_run_is_an_error():
    with pytest.raises(EnvironmentFault, match="needs cuda"):
        choose_kernel("op", [REFERENCE, FAST], "cpu", "float32", "triton")


def test_a_named_kernel_that_does_not_load_is_an_error():
    with pytest.raises(PluginError, match="tilelang"):
        choose_kernel("op", [("broken", 20, broken), REFERENCE], "cpu", "float32", "broken")


def test_an_unknown_kernel_gets_a_near_match():
    with pytest.raises(UnknownComponentError) as error:
        choose_kernel("op", [REFERENCE, FAST], "cuda", "bfloat16", "trition")
    assert "did you mean `triton`?" in error.value.hint


def test_no_kernel_at_all_is_an_error_that_lists_why():
    with pytest.raises(EnvironmentFault, match="needs cuda"):
        choose_kernel("op", [FAST], "cpu", "float32")
    with pytest.raises(EnvironmentFault, match="no kernel of `op`"):
        choose_kernel("op", [], "cpu", "float32")
