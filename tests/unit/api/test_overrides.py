"""Settings by role and row group: every way to write them, and every way to write them wrong."""

import pytest

from golfreg.api import ConfigError, Role
from golfreg.api.overrides import check_overrides, flat_overrides, override

SETTINGS = ("bits", "clip_std")
ROLES = [Role("qkv"), Role("in_proj", (("z", 4), ("dt", 1))), Role("in_proj", (("A", 1),))]


@pytest.mark.parametrize(
    "written",
    [
        {"in_proj": {"bits": 5, "dt": {"bits": 8}}},
        {"in_proj": {"bits": 5, "dt": 8}},
        {"in_proj": 5, "in_proj.dt": 8},
        {"in_proj": {"bits": 5}, "in_proj.dt": {"bits": 8}},
    ],
)
def test_all_ways_to_write_it_mean_the_same(written):
    flat = flat_overrides(written, SETTINGS)
    assert flat == {"in_proj": {"bits": 5}, "in_proj.dt": {"bits": 8}}


def test_a_row_groups_setting_goes_over_its_roles_and_that_over_the_rest():
    flat = flat_overrides({"in_proj": {"bits": 5, "clip_std": 3.0, "dt": {"bits": 8}}}, SETTINGS)
    assert override(flat, "in_proj", "dt", "bits", 6) == 8
    assert override(flat, "in_proj", "dt", "clip_std", 0.0) == 3.0
    assert override(flat, "in_proj", "z", "bits", 6) == 5
    assert override(flat, "qkv", "", "bits", 6) == 6


@pytest.mark.parametrize(
    "written", [5, ["in_proj"], {"in_proj": {"dt": {"bit": 8}}}, {"in_proj.dt": {"x": {"bits": 8}}}]
)
def test_what_has_not_the_shape_is_refused(written):
    with pytest.raises(ConfigError) as caught:
        flat_overrides(written, SETTINGS)
    assert "bits" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("written", "near"),
    [
        ({"in_prj": 5}, "in_proj"),
        ({"qvk": {"bits": 5}}, "qkv"),
        ({"in_proj": {"bit": 5}}, "bits"),
        ({"in_proj": {"clipstd": 5}}, "clip_std"),
        ({"in_proj.d": 8}, "dt"),
    ],
)
def test_a_name_that_the_model_does_not_have_shows_the_nearest(written, near):
    with pytest.raises(ConfigError) as caught:
        check_overrides(flat_overrides(written, SETTINGS), SETTINGS, ROLES)
    assert caught.value.hint == f"did you mean `{near}`?"


def test_names_that_the_model_has_are_taken_from_all_its_parameters():
    check_overrides(flat_overrides({"in_proj": {"dt": 8, "A": 8}, "qkv": 4}, SETTINGS), SETTINGS, ROLES)
