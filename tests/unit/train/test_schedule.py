import pytest

from golfreg.api import ConfigError
from golfreg.config.spec import TrainSettings
from golfreg.train.schedule import Schedule, check_shapes, micro_batch, step_shapes

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


SHAPED = TrainSettings(
    sequence_length=64, batch_tokens=1024, sequence_length_schedule="16:0.25, 32:0.5", batch_tokens_schedule="512:0.5"
)


def test_windows_and_steps_grow_with_the_run_and_every_shape_is_known_before():
    schedule = Schedule(SHAPED, 0, 100.0)
    assert [schedule.shape(0, t) for t in (0, 24.9, 25, 49.9, 50, 120)] == [
        (512, 16), (512, 16), (512, 32), (512, 32), (1024, 64), (1024, 64)
    ]  # fmt: skip
    assert step_shapes(SHAPED) == [(512, 16), (512, 32), (1024, 64)]
    assert step_shapes(TrainSettings(sequence_length=64, batch_tokens=1024)) == [(1024, 64)]
    check_shapes(SHAPED)


def test_processes_share_a_step_in_micro_batches_no_larger_than_their_share():
    settings = TrainSettings(sequence_length=64, batch_tokens=1024, nproc=4, micro_batch_tokens=512)
    assert micro_batch(settings, 1024) == (256, 256)
    assert micro_batch(TrainSettings(nproc=1, micro_batch_tokens=512), 1024) == (1024, 512)
    check_shapes(settings)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"nproc": 3}, "a step of 1024 tokens among 3 processes in micro-batches of 341 has no whole windows of 64"),
        ({"nproc": 2, "batch_tokens": 64}, "among 2 processes"),
        ({"micro_batch_tokens": 96}, "in micro-batches of 96"),
        ({"micro_batch_tokens": 384}, "in micro-batches of 384"),
        ({"batch_tokens_schedule": "96:0.5"}, "a step of 96 tokens"),
        ({"sequence_length_schedule": "48:0.5"}, "windows of 48 tokens do not divide"),
        ({"sequence_length_schedule": "128:0.5"}, "windows of 128 tokens do not divide"),
        ({"sequence_length_schedule": "0:0.5"}, "windows of 0 tokens"),
        ({"sequence_length_schedule": "32"}, "has the part `32`"),
        ({"sequence_length_schedule": "32:0.5 16:0.5"}, "has the part `16:0.5`"),
        ({"batch_tokens_schedule": "512:nan"}, "has the part `512:nan`"),
        ({"batch_tokens_schedule": "512:1.0"}, "has the part `512:1.0`"),
    ],
)
def test_shapes_that_do_not_fit_are_refused_before_anything_runs(settings, says):
    with pytest.raises(ConfigError) as caught:
        check_shapes(TrainSettings(**{"sequence_length": 64, "batch_tokens": 1024, **settings}))
    assert says in caught.value.message
