"""Checks of an observer: it takes a whole run, a stopped one and any content, and keeps its troubles to itself."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from pathlib import Path
from typing import Any

from golfreg.api.observer import ObservedRun
from golfreg.config.record import to_table
from golfreg.testing.kit import Subject, Unchecked, check, check_all, expect
from golfreg.testing.network import refused_network
from golfreg.testing.records import example_record

PATIENCE_SECONDS = 60.0
"""Of one run of a check, the imports of a library included; an observer that takes longer hangs."""
CLOSE_SECONDS = 10.0
"""What the end of a run waits for its observers."""

Event = dict[str, Any]


def check_observer(target: Any, config: Any) -> None:
    """Run every check over an observer that need not be installed."""
    check_all("observer", Subject(target, config))


def event(kind: str, **values: Any) -> Event:
    return {"event": kind, "time": 1_770_000_000.0, **values}


def steps(first: int, last: int) -> Event:
    """A ``metrics`` event as training makes them."""
    lines = [
        {"loss": 6.0 - 0.1 * n, "gradient_norm": 1.5, "step": n, "rate": 1.0, "tokens": 4096 * n,
         "train_seconds": 0.25 * n, "tokens_per_second": 16384.0}
        for n in range(first, last + 1)
    ]  # fmt: skip
    return event("metrics", steps=lines)


def stage(name: str, **result: Any) -> Event:
    return event("stage", stage=name, seconds=1.5, result=result)


def record() -> Event:
    return event("record", record=to_table(example_record()))


def finished_run() -> list[Event]:
    """The events of a run from start to record, in order."""
    return [
        stage("data", corpus="docstrings", vocab_size=1024),
        steps(1, 5),
        event("note", stage="train", text="warning: no checkpoint at step 5: No space left on device"),
        steps(6, 6),
        stage("train", steps=6, final_loss=5.4),
        stage("calibrate", calibrate_seconds=0.5),
        stage("quantize", sections=59),
        stage("pack", total_bytes=925_000, by_role={"embedding": 300_000}),
        stage("score", bits_per_byte=2.4, isolation="namespace"),
        record(),
    ]


def observed_run(subject: Subject, name: str, **changes: Any) -> ObservedRun:
    """A run in the check's directory. ``directory`` and ``shared`` are there for the observer to make."""
    facts: dict[str, Any] = {
        "name": name,
        "directory": subject.directory / "runs" / name / "observers" / "checked",
        "shared": subject.directory / "runs" / "observers" / "checked",
        "seed": 1337,
        "track": "cpu-smoke",
        "ruleset": "cpu-smoke",
        "spec_digest": "0123456789abcdef",
        "settings": {"seed": 1337, "components": {"codec": "lzma"}, "architecture": {"layers": [2, 5]}, "mixer": {}},
    }
    return ObservedRun(**{**facts, **changes})


def observe(subject: Subject, run: ObservedRun, events: list[Event]) -> tuple[BaseException | None, float]:
    """Tell an observer of a run in a thread of its own, as the launcher does: what it raised, and seconds of ``close``.

    AssertionError if it hangs.
    """
    raised: list[BaseException] = []
    closing = [0.0]

    def watch() -> None:
        observation = None
        try:
            observation = subject.target.open(run, subject.config)
            for one in events:
                observation.tell(one)
        except BaseException as error:
            raised.append(error)
        began = time.monotonic()
        try:
            if observation is not None:
                observation.close()
        except BaseException as error:
            raised.append(error)
        closing[0] = time.monotonic() - began

    thread = threading.Thread(target=watch, daemon=True)
    with contextlib.redirect_stdout(sys.stderr):
        thread.start()
        thread.join(PATIENCE_SECONDS)
    expect(not thread.is_alive(), f"it was not done with a run of {len(events)} events in {PATIENCE_SECONDS:g} s")
    return (raised[0] if raised else None), closing[0]


def takes(subject: Subject, run: ObservedRun, events: list[Event], what: str) -> float:
    """Seconds of ``close``; AssertionError if anything was raised."""
    error, seconds = observe(subject, run, events)
    if error is not None:
        raise AssertionError(f"{what}: raised {type(error).__name__}: {error}") from error
    return seconds


@check("observer", "`open(run, config)` returns an object with `tell(event)` and `close()`; see golfreg.api.observer")
def the_events_of_a_run_are_taken_in_order(subject: Subject) -> None:
    takes(subject, observed_run(subject, "whole"), finished_run(), "a run from start to record")


@check("observer", "take `stopped` as an end that a resumed run may follow, and go on where `run.resumed` says so")
def a_run_that_was_stopped_goes_on(subject: Subject) -> None:
    ended = {
        "interrupted": event("stopped", reason="interrupted", message="stopped by SIGINT", exit_code=130),
        "failed": event("stopped", reason="failed", message="training diverged at step 6", exit_code=1),
    }
    for reason, stopped in ended.items():
        takes(subject, observed_run(subject, reason), [stage("data"), steps(1, 5), stopped], f"a run that {reason}")
        resumed = observed_run(subject, reason, resumed=True, told_step=5)
        takes(subject, resumed, [steps(6, 9), stage("train"), record()], f"a run that {reason} and was resumed")


@check("observer", "do not count on the order of steps between two openings: after a kill some may come again")
def steps_that_come_again_are_no_error(subject: Subject) -> None:
    takes(subject, observed_run(subject, "killed"), [stage("data"), steps(1, 5)], "a run that was killed")
    again = observed_run(subject, "killed", resumed=True, told_step=3)
    takes(subject, again, [stage("data"), steps(4, 8), record(), record()], "steps and a record that come again")


@check("observer", "look only at the keys that are needed, with `.get`; other keys and values may be there, or missing")
def any_content_is_taken(subject: Subject) -> None:
    nested: Any = "bottom"
    for _ in range(20):
        nested = {"in": [nested, {}]}
    odd = {
        "": "empty key", "a.b/c d": 1, "\u00e9\U0001f600": "\x00\x1b[31m\r\n", "long": "x" * 100_000, "none": None,
        "big": 2**63 - 1, "tiny": 5e-324, "huge": 1e308, "minus_zero": -0.0, "true": True, "list": [1, "two", [3.0]],
        "nested": nested, "_step": 7, "step": "not a number", "__class__": "x", "%s": "%d", "{}": "{0}",
    }  # fmt: skip
    events = [
        stage("data", **odd),
        event("metrics", steps=[]),
        event("metrics", steps=[{"step": 1}, {"step": 10**12, "loss": 1e308, "more": "text", "nested": nested}]),
        event("note", stage="\x1b", text=""),
        event("stage", stage="a stage that nobody knows", seconds=0.0, result={}),
        event("record", record={}),
        event("record", record=odd),
        event("stopped", reason="failed", message="\n" * 1000, exit_code=70),
    ]
    takes(subject, observed_run(subject, "odd", settings=odd, track="", ruleset=""), events, "odd content")


@check("observer", "let `tell` pass over an event that it does not know: later versions of golfreg have more")
def an_unknown_event_is_passed_over(subject: Subject) -> None:
    events = [event("weather", temperature=21.5), *finished_run()]
    takes(subject, observed_run(subject, "unknown"), events, "an event `weather`")


@check("observer", "raise an `Exception` where nothing can be written, or go on; never end the process or wait")
def a_full_disk_is_its_own_trouble(subject: Subject) -> None:
    """A file where its directories should be stands for every disk that refuses; a run after that is told as ever."""
    (subject.directory / "refuses").write_text("no directory can be made here")
    places = {name: subject.directory / "refuses" / name for name in ("directory", "shared")}
    error, _ = observe(subject, observed_run(subject, "refused", **places), finished_run())
    ended = error is not None and not isinstance(error, Exception)
    expect(not ended, f"where nothing can be written it raises {type(error).__name__}, which would end the program")
    takes(subject, observed_run(subject, "after"), finished_run(), "a run after one that could not be written")


@check("observer", "write below `run.directory` and `run.shared` only, unless a setting names another place")
def only_its_own_directories_are_written(subject: Subject) -> None:
    """Watched: the check's directory, which is the working directory too."""
    work = subject.directory / "work"
    work.mkdir(parents=True, exist_ok=True)
    run = observed_run(subject, "written")
    with contextlib.chdir(work):
        before = _files_elsewhere(subject.directory, run)
        takes(subject, run, finished_run(), "a run")
        changed = {name for name, _ in before ^ _files_elsewhere(subject.directory, run)}
    expect(not changed, f"it wrote outside its directories: {sorted(changed)}")


@check("observer", "stay offline unless a setting says otherwise: no upload, no look for a newer version, no telemetry")
def no_network_is_used_by_default(subject: Subject) -> None:
    """Seen: connections and look-ups of this process that leave the machine. Programs that it starts are not seen."""
    with refused_network() as attempts:
        takes(subject, observed_run(subject, "offline"), finished_run(), "a run without network")
    expect(not attempts, f"with its default settings it used the network: {', '.join(attempts)}")


@check(
    "observer", "end threads in `close`, make those that may wait `daemon`, and write as the run goes, not at its end"
)
def closing_is_quick_and_leaves_no_thread_behind(subject: Subject) -> None:
    before = set(threading.enumerate())
    seconds = takes(subject, observed_run(subject, "closed"), finished_run(), "a run")
    expect(seconds < CLOSE_SECONDS, f"close took {seconds:.1f} s; the run's end waits {CLOSE_SECONDS:g} s")
    left = [t.name for t in set(threading.enumerate()) - before if not t.daemon and t.is_alive()]
    expect(not left, f"threads that keep the program from ending are left behind: {', '.join(left)}")


@check("observer", "import no torch, neither directly nor through a library: it takes seconds and memory of training")
def torch_is_not_imported(subject: Subject) -> None:
    if "torch" in sys.modules:
        raise Unchecked("torch was imported before; `golfreg plugins check` looks in a process of its own")
    takes(subject, observed_run(subject, "light"), finished_run(), "a run")
    expect("torch" not in sys.modules, "torch was imported")


def _files_elsewhere(directory: Path, run: ObservedRun) -> set[tuple[str, int]]:
    own = (run.directory, run.shared)
    return {
        (str(path), path.stat().st_mtime_ns)
        for path in directory.rglob("*")
        if path.is_file() and not any(path.is_relative_to(place) for place in own)
    }


__all__ = ["check_observer", "event", "finished_run", "observe", "observed_run", "record", "stage", "steps"]
