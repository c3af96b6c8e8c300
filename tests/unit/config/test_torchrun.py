import pytest

from golfreg.api import ConfigError
from golfreg.config.torchrun import is_extra, under_torchrun


def test_the_first_process_of_torchrun_is_golfreg_and_the_others_leave():
    of_eight = {"WORLD_SIZE": "8", "LOCAL_WORLD_SIZE": "8"}
    assert [is_extra({**of_eight, "RANK": str(rank)}) for rank in range(3)] == [False, True, True]
    assert under_torchrun({**of_eight, "RANK": "0"}) == ("torchrun", 8)
    assert under_torchrun(of_eight, 8) == ("torchrun", 8)


def test_without_torchrun_the_flag_decides():
    assert under_torchrun({}, 2) == ("--nproc", 2)
    assert under_torchrun({"WORLD_SIZE": "1", "RANK": "0"}) == ("--nproc", None)
    assert not is_extra({"WORLD_SIZE": "1", "RANK": "0"})


@pytest.mark.parametrize(
    ("environment", "nproc", "says"),
    [
        ({"WORLD_SIZE": "16", "LOCAL_WORLD_SIZE": "8"}, None, "several hosts"),
        ({"WORLD_SIZE": "8"}, 2, "`--nproc 2` under a torchrun of 8"),
        ({"WORLD_SIZE": "many"}, None, "WORLD_SIZE is `many`"),
    ],
)
def test_what_golfreg_cannot_do_under_torchrun_is_said(environment, nproc, says):
    with pytest.raises(ConfigError) as caught:
        under_torchrun(environment, nproc)
    assert says in caught.value.message
