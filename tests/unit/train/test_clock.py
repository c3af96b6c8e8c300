import pytest

from golfreg.train.clock import Clock, read_heartbeat


class Now:
    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def now():
    return Now()


def test_paused_time_is_not_counted(tmp_path, now):
    clock = Clock(tmp_path / "heartbeat", now)
    now.seconds += 2
    with clock.paused():
        now.seconds += 50
    now.seconds += 3
    assert clock.elapsed() == pytest.approx(5)


def test_a_killed_run_is_charged_up_to_its_last_heartbeat(tmp_path, now):
    clock = Clock(tmp_path / "heartbeat", now)
    now.seconds += 7.25
    assert clock.beat()
    now.seconds += 0.5
    assert not clock.beat()
    now.seconds += 1000  # killed here, resumed much later
    again = Clock(tmp_path / "heartbeat", now)
    assert again.elapsed() == pytest.approx(7.25)
    assert (clock.resumed, again.resumed) == (0, 1)
    now.seconds += 1
    assert again.elapsed() == pytest.approx(8.25)


def test_many_kills_add_up(tmp_path, now):
    for _ in range(5):
        clock = Clock(tmp_path / "heartbeat", now)
        now.seconds += 2
        clock.beat()
    assert clock.elapsed() == pytest.approx(10)
    assert clock.resumed == 4


def test_a_stopped_clock_stands_still_and_is_written(tmp_path, now):
    clock = Clock(tmp_path / "heartbeat", now)
    now.seconds += 4
    assert clock.stop() == pytest.approx(4)
    now.seconds += 4
    assert clock.elapsed() == pytest.approx(4)
    assert read_heartbeat(tmp_path / "heartbeat")[0] == pytest.approx(4)


def test_a_lost_heartbeat_is_made_up_by_the_checkpoint(tmp_path, now):
    clock = Clock(tmp_path / "heartbeat", now)
    clock.charge_at_least(30.0)
    assert clock.elapsed() == pytest.approx(30)
    clock.charge_at_least(10.0)
    assert clock.elapsed() == pytest.approx(30)


@pytest.mark.parametrize("content", [b"", b"nan 1", b"1e400 0", b"-5 0", b"x", b"\xff\xfe", b"1.5", b"5 -1", b"9" * 99])
def test_a_damaged_heartbeat_counts_as_none(tmp_path, content):
    (tmp_path / "heartbeat").write_bytes(content)
    assert read_heartbeat(tmp_path / "heartbeat") == (0.0, 0)
