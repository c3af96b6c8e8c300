"""The log holds each step, stage and record once, in order, however the run ended before."""

from __future__ import annotations

import errno
import json
from pathlib import Path
from typing import Any

import pytest

from golfreg.api import ConfigError
from golfreg.api.observer import ObservedRun
from golfreg.builtin.observers.jsonl import JsonlConfig, jsonl
from golfreg.testing.observers import event, finished_run, record, stage, steps


def run(directory: Path, **changes: Any) -> ObservedRun:
    return ObservedRun(
        name="some", directory=directory / "own", shared=directory / "shared", seed=1, track="t", ruleset="r",
        spec_digest="00", settings={"train": {"steps": 9}}, **changes,
    )  # fmt: skip


def log(directory: Path, events: list[dict[str, Any]], config: JsonlConfig | None = None, **changes: Any) -> None:
    observation = jsonl.open(run(directory, **changes), config or JsonlConfig())
    for one in events:
        observation.tell(one)
    observation.close()


def logged(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / "own" / "events.jsonl").read_text().splitlines()]


def test_a_run_is_logged_from_start_to_record(tmp_path: Path) -> None:
    log(tmp_path, finished_run())
    lines = logged(tmp_path)
    assert [line["event"] for line in lines][:3] == ["start", "stage", "step"]
    assert lines[0]["settings"] == {"train": {"steps": 9}}
    assert [line["step"] for line in lines if line["event"] == "step"] == [1, 2, 3, 4, 5, 6]
    assert [line["stage"] for line in lines if line["event"] == "stage"] == [
        "data", "train", "calibrate", "quantize", "pack", "score",
    ]  # fmt: skip
    assert lines[-1]["record"]["run"]["seed"] == 1


def test_a_run_that_was_killed_goes_on_where_its_file_ends(tmp_path: Path) -> None:
    log(tmp_path, [stage("data"), steps(1, 5)])
    with (tmp_path / "own" / "events.jsonl").open("a") as file:
        file.write('{"event": "step", "st')
    log(tmp_path, [stage("data"), steps(3, 8), stage("train"), record()], resumed=True, told_step=2)
    log(tmp_path, [record()], resumed=True, told_step=8)
    lines = logged(tmp_path)
    assert [line["step"] for line in lines if line["event"] == "step"] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert [line["stage"] for line in lines if line["event"] == "stage"] == ["data", "train"]
    assert [line["event"] for line in lines].count("record") == 1
    assert [line["resumed"] for line in lines if line["event"] == "start"] == [False, True, True]


def test_a_damaged_log_is_gone_on_with(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "events.jsonl").write_bytes(b'\xff\xfe\n[]\n{"event": "step"}\n{"event": "step", "step": 4}\n')
    log(tmp_path, [steps(1, 5)], resumed=True)
    last = (tmp_path / "own" / "events.jsonl").read_bytes().splitlines()[-1]
    assert json.loads(last)["step"] == 5


@pytest.mark.parametrize(("every", "kept"), [(3, [3, 6, 9]), (0, []), (1, list(range(1, 11)))])
def test_steps_are_thinned_on_request(tmp_path: Path, every: int, kept: list[int]) -> None:
    log(tmp_path, [steps(1, 4), steps(5, 10)], JsonlConfig(every_steps=every))
    assert [line["step"] for line in logged(tmp_path) if line["event"] == "step"] == kept


def test_a_negative_interval_is_refused() -> None:
    with pytest.raises(ConfigError):
        JsonlConfig(every_steps=-1)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_a_full_disk_is_an_error_of_the_log(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "events.jsonl").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left") as caught:
        log(tmp_path, [event("note", stage="train", text="x")])
    assert caught.value.errno == errno.ENOSPC
