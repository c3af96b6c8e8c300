"""What was measured is kept by the digest of its inputs; a killed study goes on."""

import json

import pytest

from golfreg.studies.workplace import Workplace, digest_of


def place(tmp_path):
    return Workplace(tmp_path, (), lambda *_: None, jobs=2)


def test_a_cell_is_measured_once_and_again_by_nobody(tmp_path):
    calls = []
    for _ in range(2):
        found = place(tmp_path).cell("it", {"a": 1}, lambda: calls.append(1) or {"x": 0.1})
    assert (found, len(calls)) == ({"x": 0.1}, 1)


def test_another_input_is_another_cell(tmp_path):
    at = place(tmp_path)
    assert at.cell("it", {"a": 1}, lambda: {"x": 1}) != at.cell("it", {"a": 2}, lambda: {"x": 2})
    assert digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})


def test_a_study_that_was_killed_keeps_the_cells_before(tmp_path):
    at = place(tmp_path)

    def killed():
        raise KeyboardInterrupt

    wanted = [("one", {"n": 1}, lambda: {"x": 1}), ("two", {"n": 2}, killed)]
    with pytest.raises(KeyboardInterrupt):
        at.cells(wanted)
    again = [("one", {"n": 1}, killed), ("two", {"n": 2}, lambda: {"x": 2})]
    assert place(tmp_path).cells(again) == [{"x": 1}, {"x": 2}]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"found": 3}', b"\xff\xfe", b'{"other": {}}'])
def test_a_damaged_cell_is_measured_again(tmp_path, content):
    at = place(tmp_path)
    path = at.cell_path({"a": 1})
    path.parent.mkdir()
    path.write_bytes(content)
    assert at.cell("it", {"a": 1}, lambda: {"x": 1}) == {"x": 1}
    assert json.loads(path.read_text())["inputs"] == {"a": 1}


def test_progress_counts_cells_of_those_expected(tmp_path):
    said = []
    at = Workplace(tmp_path, (), lambda *told: said.append(told))
    at.expect(2)
    at.cell("one", {"n": 1}, dict)
    at.cell("two", {"n": 2}, dict)
    assert said[0] == (0, 2, "")
    assert said[-1] == (2, 2, "two")
