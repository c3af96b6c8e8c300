"""Observers are told everything once and in order, and nothing that they do reaches the run."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from golfreg.api.errors import AnswerIsNo
from golfreg.config.observing import write_observers
from golfreg.config.plan import Chosen, Limits, Plan
from golfreg.config.spec import RunSpec
from golfreg.runner import observers as module
from golfreg.runner.launch import Interrupted
from golfreg.runner.observers import Observers
from golfreg.testing.records import example_record

MINIATURE = Path(__file__).parents[2] / "plugins" / "observers"


@pytest.fixture(autouse=True)
def _miniature(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(MINIATURE)


def observer(name: str, **config: Any) -> Chosen:
    target = f"golfreg_observers.observer:{name}"
    return Chosen("observer", name, target, "golfreg-observers", "1.14", "golfreg_observers.plugin", config)


JSONL = Chosen("observer", "jsonl", "golfreg.builtin.observers.jsonl:jsonl", "golfreg", "0.1.0", "golfreg.builtin")


def plan() -> Plan:
    def chosen(kind: str) -> Chosen:
        return Chosen(kind, "some", "golfreg.absent:some", "golfreg", "0.1.0", "golfreg.builtin.plugin")

    return Plan(
        spec=RunSpec(),
        spec_digest="0123456789abcdef",
        architecture=chosen("architecture"),
        mixers={},
        quantizer=chosen("quantizer"),
        quantizer_needs=(),
        codec=chosen("codec"),
        corpus=chosen("corpus"),
        ops={},
        kernels={},
        limits=Limits(),
        track="cpu-smoke",
        device="cpu",
        dtype="float32",
        compile=False,
        threads=1,
        dataset="nowhere",
    )


class Run:
    """A run directory, and what the user was shown. A ``with`` of ``observed`` is one session of the launcher."""

    def __init__(self, root: Path, *observers: Chosen) -> None:
        self.directory = root / "runs" / "20260501-some"
        self.directory.mkdir(parents=True)
        self.shown: list[tuple[str, dict[str, Any]]] = []
        write_observers(self.directory, list(observers))

    def observed(self) -> Observers:
        return Observers(self.directory, plan(), lambda stage, event: self.shown.append((stage, event)))

    def write_steps(self, first: int, last: int, mode: str = "a") -> None:
        with (self.directory / "metrics.jsonl").open(mode) as file:
            file.writelines(json.dumps({"step": n, "loss": 6 - n / 10}) + "\n" for n in range(first, last + 1))

    def told(self, name: str = "keeps") -> list[dict[str, Any]]:
        lines = (self.directory / "observers" / name / "told.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def steps(self, name: str = "keeps") -> list[int]:
        return [step["step"] for event in self.told(name) if event["event"] == "metrics" for step in event["steps"]]

    def warnings(self) -> list[str]:
        return [event["text"] for _, event in self.shown if event["event"] == "note"]


def done(stage: str) -> tuple[str, dict[str, Any]]:
    return stage, {"event": "done", "seconds": 1.5, "result": {"of": stage, "table": {"a": [1]}}}


PROGRESS = "train", {"event": "progress", "done": 1, "total": 2, "text": ""}


def test_a_run_is_told_in_order_and_what_is_shown_stays_the_same(tmp_path: Path) -> None:
    run = Run(tmp_path, observer("keeps"))
    with run.observed() as observers:
        for event in (("data", {"event": "start"}), done("data"), ("train", {"event": "start"})):
            observers.listen(*event)
        run.write_steps(1, 3)
        observers.listen(*PROGRESS)
        run.write_steps(4, 4)
        observers.listen("train", {"event": "note", "text": "a note"})
        observers.listen(*done("train"))
        observers.record(example_record())
    kinds = [event["event"] for event in run.told()]
    assert [kind for kind in kinds if kind != "metrics"] == ["open", "stage", "note", "stage", "record"]
    assert run.steps() == [1, 2, 3, 4]
    assert kinds.index("metrics") < len(kinds) - 1 - kinds[::-1].index("stage"), "steps come before the stage's end"
    stage = next(event for event in run.told() if event["event"] == "stage")
    assert (stage["stage"], stage["seconds"], stage["result"]["table"]) == ("data", 1.5, {"a": [1]})
    assert run.told()[-1]["record"]["score"]["bits_per_byte"] > 0
    assert [event["event"] for _, event in run.shown] == ["start", "done", "start", "progress", "note", "done"]
    if sys.platform == "linux":
        assert run.told()[0]["priority"] >= 10


@pytest.mark.parametrize("name", ["raises", "exits"])
def test_a_fault_is_one_warning_with_the_name_and_the_others_are_told_on(tmp_path: Path, name: str) -> None:
    run = Run(tmp_path, observer(name, at="stage"), observer("keeps"), JSONL)
    with run.observed() as observers:
        for stage in ("data", "train", "pack"):
            observers.listen(*done(stage))
            time.sleep(0.05)
        observers.record(example_record())
    (warning,) = run.warnings()
    assert f"observer `{name}` of golfreg-observers 1.14" in warning
    assert ("LookupError: no bell was found" if name == "raises" else "SystemExit") in warning
    assert [event["event"] for event in run.told(name)] == ["open"]
    assert [event["event"] for event in run.told()] == ["open", "stage", "stage", "stage", "record"]


def test_one_that_cannot_be_imported_or_opened_is_one_warning(tmp_path: Path) -> None:
    gone = Chosen("observer", "gone", "golfreg_gone.observer:gone", "golfreg-gone", "2.0", "golfreg_gone")
    run = Run(tmp_path, gone, observer("keeps", no_such_setting=1), JSONL)
    (run.directory / "observers").mkdir()
    (run.directory / "observers" / "jsonl").write_text("a file stands where the directory should be made")
    with run.observed() as observers:
        observers.listen(*done("data"))
    assert len(run.warnings()) == 3
    assert "golfreg_gone" in " ".join(run.warnings())


def test_one_that_hangs_is_left_behind_and_nothing_waits_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 2.0)
    run = Run(tmp_path, observer("hangs", at="stage"), observer("keeps"))
    begun = time.monotonic()
    with run.observed() as observers:
        for number in range(300):
            observers.listen("train", {"event": "note", "text": str(number)})
            observers.listen(*done("train"))
        told_in = time.monotonic() - begun
        observers.record(example_record())
    assert told_in < 1.5, "telling waits for nobody"
    assert "`hangs`" in run.warnings()[-1]
    assert "has not ended" in run.warnings()[-1]
    assert run.told()[-1]["event"] == "record"


def test_what_one_prints_stays_off_standard_output(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = Run(tmp_path, observer("prints", at="stage"))
    with run.observed() as observers:
        observers.listen(*done("data"))
    print("{}")
    printed = capsys.readouterr()
    assert printed.out == "{}\n"
    assert "this is not JSON" in printed.err


@pytest.mark.parametrize(
    ("error", "reason", "code"),
    [
        (Interrupted(2, Path("here")), "interrupted", 130),
        (KeyboardInterrupt(), "interrupted", 130),
        (AnswerIsNo("over the cap"), "failed", 1),
        (ZeroDivisionError("x"), "failed", 70),
    ],
)
def test_a_run_that_ends_without_a_record_says_why(
    tmp_path: Path, error: BaseException, reason: str, code: int
) -> None:
    run = Run(tmp_path, observer("keeps"))

    def fail(observers: Observers) -> None:
        run.write_steps(1, 2)
        raise error

    with pytest.raises(type(error)), run.observed() as observers:
        fail(observers)
    last = run.told()[-1]
    assert (last["event"], last["reason"], last["exit_code"]) == ("stopped", reason, code)
    assert run.steps() == [1, 2], "steps that were written before a failure are told"


def test_a_resumed_run_tells_no_step_stage_or_record_twice(tmp_path: Path) -> None:
    run = Run(tmp_path, observer("keeps"))
    with run.observed() as observers:
        observers.listen(*done("data"))
        run.write_steps(1, 5)
        observers.listen(*PROGRESS)
    # Training cuts the file back to its checkpoint at step 3, in a new file, and makes the steps after it again.
    with run.observed() as observers:
        observers.listen("data", {**done("data")[1], "event": "skipped"})
        (run.directory / "metrics.jsonl").rename(tmp_path / "old.jsonl")
        run.write_steps(1, 8)
        observers.listen(*PROGRESS)
        observers.listen(*done("train"))
        observers.record(example_record())
    with run.observed() as observers:
        observers.listen(*done("train"))
        observers.record(example_record())
    opened = [event for event in run.told() if event["event"] == "open"]
    assert [(event["resumed"], event["told_step"]) for event in opened] == [(False, 0), (True, 5)]
    assert run.steps() == [1, 2, 3, 4, 5, 6, 7, 8]
    assert [e["stage"] for e in run.told() if e["event"] == "stage"] == ["data", "train"]
    assert [e["event"] for e in run.told()].count("record") == 1


def test_lines_from_before_a_resumed_run_cut_its_file_are_not_told(tmp_path: Path) -> None:
    run = Run(tmp_path, observer("keeps"))
    run.write_steps(1, 9)
    with run.observed() as observers:
        observers.listen(*done("data"))
        observers.listen("train", {"event": "start"})
        time.sleep(0.05)
        run.write_steps(1, 4, "w")
        observers.listen(*PROGRESS)
        run.write_steps(5, 6)
        observers.listen(*done("train"))
    assert run.steps() == [1, 2, 3, 4, 5, 6]


def test_one_that_failed_is_told_the_rest_when_the_run_is_resumed(tmp_path: Path) -> None:
    run = Run(tmp_path, observer("raises", at="metrics"))
    run.write_steps(1, 3)
    with run.observed() as observers:
        observers.listen(*done("data"))
        observers.listen(*done("train"))
        observers.record(example_record())
    assert [e["event"] for e in run.told("raises")] == ["open", "stage"]
    write_observers(run.directory, [observer("raises", at="never")])
    with run.observed() as observers:
        for stage in ("data", "train"):
            observers.stage(stage, 1.5, {})
        observers.record(example_record())
    assert [e["event"] for e in run.told("raises")][2:] == ["open", "metrics", "stage", "record"]


def test_one_that_lost_steps_at_a_kill_is_told_them_again(tmp_path: Path) -> None:
    run = Run(tmp_path, observer("keeps"))
    run.write_steps(1, 6)
    with run.observed() as observers:
        observers.listen(*done("train"))
    write_observers(run.directory, [observer("keeps", holds=4)])
    with run.observed() as observers:
        observers.listen(*done("train"))
    assert run.steps() == [1, 2, 3, 4, 5, 6, 5, 6]


@pytest.mark.parametrize(
    "damage", [b"", b"\xff\xfe", b"schema = 2\n", b"[observers]\nx = 3\n", b"schema = 1\n[observers.x]\nkind = 1\n"]
)
def test_a_damaged_list_of_observers_is_a_warning_and_the_run_goes_on(tmp_path: Path, damage: bytes) -> None:
    run = Run(tmp_path)
    (run.directory / "observers.toml").write_bytes(damage)
    with run.observed() as observers:
        observers.listen(*done("data"))
    assert "nobody is told of this run" in run.warnings()[0]


@pytest.mark.parametrize("damage", [b"", b"[]", b"{", b'{"step": "x"}', b'{"stages": 3}', b'{"more": 1}', b"\xff"])
def test_a_damaged_memory_of_what_was_told_tells_everything(tmp_path: Path, damage: bytes) -> None:
    run = Run(tmp_path, observer("keeps"))
    (run.directory / "observers").mkdir()
    (run.directory / "observers" / ".told-keeps.json").write_bytes(damage)
    run.write_steps(1, 2)
    with run.observed() as observers:
        observers.listen(*done("train"))
    assert run.steps() == [1, 2]


@pytest.fixture
def _no_threads_left() -> Iterator[None]:
    import threading

    before = threading.active_count()
    yield
    assert threading.active_count() == before


@pytest.mark.usefixtures("_no_threads_left")
def test_nobody_to_tell_starts_no_thread(tmp_path: Path) -> None:
    run = Run(tmp_path)
    (run.directory / "observers.toml").unlink()
    with run.observed() as observers:
        observers.listen(*done("data"))
    assert not (run.directory / "observers").exists()
