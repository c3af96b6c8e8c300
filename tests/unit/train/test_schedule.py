import pytest

from golfreg.config.spec import TrainSettings
from golfreg.train.schedule import Schedule

SETTINGS = TrainSettings(
    warmup_steps=10, warmdown_fraction=0.4, muon_momentum_start=0.85, muon_momentum=0.95, muon_momentum_steps=100
)


def test_the_rate_rises_by_steps_from_one_part_to_one():
    schedule = Schedule(SETTINGS, 0, 100.0)
    assert schedule.rate(0, 0.1) == pytest.approx(0.1)
    assert schedule.rate(9, 1.0) == 1.0


def test_a_timed_rate_falls_from_the_warmdowns_start_to_zero_at_the_limit():
    schedule = Schedule(SETTINGS, 0, 50.0)
    assert schedule.rate(500, 29.9) == 1.0
    assert schedule.rate(500, 40.0) == pytest.approx(0.5)
    assert schedule.rate(500, 49.9) == pytest.approx(0.005)
    assert schedule.rate(500, 50.0) == 0.0
    assert schedule.rate(500, 51.0) == 0.0


def test_a_rate_by_steps_ignores_the_clock():
    schedule = Schedule(SETTINGS, 200, 1.0)
    assert schedule.rate(100, 1e6) == 1.0
    assert schedule.rate(160, 0.0) == pytest.approx(0.5)
    assert schedule.rate(199, 0.0) == pytest.approx(1 / 80)


def test_without_warmup_and_warmdown_the_rate_is_constant():
    schedule = Schedule(TrainSettings(warmup_steps=0, warmdown_fraction=0.0), 0, 10.0)
    assert {schedule.rate(step, step / 10) for step in range(100)} == {1.0}


def test_a_resumed_clock_past_the_warmdowns_start_never_raises_the_rate_again():
    schedule = Schedule(SETTINGS, 0, 100.0)
    rates = [schedule.rate(step, 70.0 + step) for step in range(10, 30)]
    assert rates == sorted(rates, reverse=True)


def test_momentum_rises_linearly_and_stays():
    schedule = Schedule(SETTINGS, 0, 100.0)
    assert [schedule.momentum(s) for s in (0, 50, 100, 1000)] == pytest.approx([0.85, 0.9, 0.95, 0.95])
    assert Schedule(TrainSettings(muon_momentum_steps=0), 0, 1.0).momentum(0) == TrainSettings().muon_momentum
