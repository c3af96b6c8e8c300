"""The kit passes a right observer and names the check that a wrong one breaks."""

from __future__ import annotations

import contextlib
import itertools
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from golfreg.testing import Subject, checks
from golfreg.testing import observers as module
from golfreg.testing.network import refused_network
from golfreg.testing.observers import check_observer


class Observer:
    """Right, but for one fault. It keeps its events, and writes each as it comes."""

    opened = itertools.count()

    def __init__(self, fault: str = "") -> None:
        self.fault = fault

    def open(self, run: Any, config: Any) -> Any:
        if self.fault == "opens nothing":
            return None
        if self.fault == "opens once" and next(self.opened):
            raise RuntimeError("already open")
        if self.fault == "refuses to go on" and run.resumed:
            raise FileExistsError(run.name)
        if self.fault == "ends the program":
            try:
                run.directory.mkdir(parents=True, exist_ok=True)
            except OSError:
                sys.exit(1)
        if self.fault == "calls home":
            with contextlib.suppress(OSError):
                socket.create_connection(("192.0.2.1", 80), timeout=1)
        if self.fault == "looks up a name":
            socket.getaddrinfo("golfreg.invalid", 80)
        if self.fault == "leaves a thread":
            threading.Thread(target=time.sleep, args=(2,), daemon=False, name="left").start()
        run.directory.mkdir(parents=True, exist_ok=True)
        return Observation(self.fault, run)


class Observation:
    def __init__(self, fault: str, run: Any) -> None:
        self.fault, self.run, self.step = fault, run, 0

    def tell(self, event: dict[str, Any]) -> None:
        if self.fault == "knows every event":
            getattr(self, event["event"])
        if event["event"] == "metrics":
            for step in event["steps"]:
                if self.fault == "wants every key":
                    step["loss"]
        if event["event"] == "record" and self.fault == "wants a score":
            event["record"]["score"]["bits_per_byte"]
        if event["event"] == "record" and self.fault == "takes one record":
            if self.step:
                raise ValueError("a second record")
            self.step = 1
        if event["event"] == "stopped" and self.fault == "ends at a stop":
            raise EOFError(event["message"])
        if self.fault == "hangs" and event["event"] == "note":
            time.sleep(3)
        (self.run.directory / "log").open("a").close()
        if self.fault == "writes where it stands":
            Path("left_behind.txt").write_text("x")

    def metrics(self) -> None:
        """Known, as are the following."""

    stage = note = record = stopped = metrics

    def close(self) -> None:
        if self.fault == "closes slowly":
            time.sleep(0.4)
        if self.fault == "cannot close":
            raise ValueError("closed already")


def test_a_right_observer_passes_every_check() -> None:
    check_observer(Observer(), None)


@pytest.mark.parametrize(
    ("fault", "claim"),
    [
        ("opens nothing", "the_events_of_a_run_are_taken_in_order"),
        ("cannot close", "the_events_of_a_run_are_taken_in_order"),
        ("hangs", "the_events_of_a_run_are_taken_in_order"),
        ("opens once", "a_run_that_was_stopped_goes_on"),
        ("refuses to go on", "a_run_that_was_stopped_goes_on"),
        ("ends at a stop", "a_run_that_was_stopped_goes_on"),
        ("takes one record", "steps_that_come_again_are_no_error"),
        ("wants every key", "any_content_is_taken"),
        ("wants a score", "any_content_is_taken"),
        ("knows every event", "an_unknown_event_is_passed_over"),
        ("ends the program", "a_full_disk_is_its_own_trouble"),
        ("writes where it stands", "only_its_own_directories_are_written"),
        ("calls home", "no_network_is_used_by_default"),
        ("looks up a name", "no_network_is_used_by_default"),
        ("closes slowly", "closing_is_quick_and_leaves_no_thread_behind"),
        ("leaves a thread", "closing_is_quick_and_leaves_no_thread_behind"),
    ],
)
def test_a_wrong_observer_breaks_the_check_of_its_fault(
    fault: str, claim: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if fault == "hangs":
        monkeypatch.setattr(module, "PATIENCE_SECONDS", 0.5)
    monkeypatch.setattr(module, "CLOSE_SECONDS", 0.3)
    (each,) = (c for c in checks("observer") if c.name == claim)
    with pytest.raises(AssertionError):
        each.run(Subject(Observer(fault), directory=tmp_path))


def test_an_observer_that_brings_torch_is_told_in_a_fresh_process(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("")
    code = f"""
import sys
sys.path[:0] = [{str(tmp_path)!r}, {str(Path(__file__).parent)!r}]
from pathlib import Path
from golfreg.testing import Subject, Unchecked, checks
from golfreg.builtin.observers.jsonl import JsonlConfig, jsonl
class Heavy:
    Config = JsonlConfig
    def open(self, run, config):
        import torch
        return jsonl.open(run, config)
(each,) = (c for c in checks("observer") if c.name == "torch_is_not_imported")
each.run(Subject(jsonl, JsonlConfig(), directory=Path({str(tmp_path)!r}) / "right"))
for expected in (AssertionError, Unchecked):
    try:
        each.run(Subject(Heavy(), JsonlConfig(), directory=Path({str(tmp_path)!r}) / "wrong"))
    except expected:
        continue
    sys.exit("it passed")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def test_the_watched_network_lets_local_sockets_through_and_ends_with_the_check() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, refused_network() as attempts:
        with socket.create_connection(server.getsockname(), timeout=5):
            pass
        with pytest.raises(ConnectionRefusedError):
            socket.getaddrinfo("golfreg.invalid", 80)
    assert attempts == ["getaddrinfo golfreg.invalid"]
    with pytest.raises(socket.gaierror):
        socket.getaddrinfo("golfreg.invalid", 80, flags=socket.AI_NUMERICHOST)
