"""Lines of metrics.jsonl are read once each, whole, and in order."""

from __future__ import annotations

import json
from pathlib import Path

from golfreg.runner.new_steps import NewSteps


def read(steps: NewSteps) -> list[int]:
    return [step["step"] for some in steps.read() for step in some]


def lines(*numbers: int) -> str:
    return "".join(json.dumps({"step": n, "loss": 1.5}) + "\n" for n in numbers)


def test_a_line_is_read_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    steps = NewSteps(path)
    assert read(steps) == []
    path.write_text(lines(1, 2) + '{"step": 3, "lo')
    assert read(steps) == [1, 2]
    with path.open("a") as file:
        file.write('ss": 1}\n' + lines(4))
    assert read(steps) == [3, 4]
    assert read(steps) == []


def test_a_file_that_was_begun_anew_gives_only_later_steps(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    steps = NewSteps(path)
    path.write_text(lines(*range(1, 10)))
    assert read(steps)[-1] == 9
    (tmp_path / "new").write_text(lines(*range(1, 12)))
    (tmp_path / "new").replace(path)
    assert read(steps) == [10, 11]
    path.write_text(lines(1))
    assert read(steps) == []


def test_what_is_no_step_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'\xff\n[]\n{}\n{"step": "1"}\n{"step": true}\n3\n\n' + b"[" * 5000 + b"\n" + lines(7).encode())
    assert read(NewSteps(path, 6)) == [7]


def test_a_long_file_comes_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(lines(*range(1, 20_001)))
    pieces = list(NewSteps(path).read())
    assert len(pieces) > 1
    assert [step["step"] for piece in pieces for step in piece] == list(range(1, 20_001))
