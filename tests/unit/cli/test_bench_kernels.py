"""``golfreg bench kernels``: errors before times, and no kernel ends the bench."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from golfreg.api.errors import ConfigError
from golfreg.cli.bench_kernels import show
from golfreg.cli.out import Out
from golfreg.kernels.bench import in_its_own_process, parse_sizes, smaller
from golfreg.kernels.measure import Request

MINIATURE = Path(__file__).parents[2] / "plugins" / "kernels"


def golfreg(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "golfreg", *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(MINIATURE), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=250,
        check=False,
    )


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The document of one bench over three kernels, with the exit code and the drawing."""
    plot = tmp_path_factory.mktemp("plot") / "roofline.svg"
    done = golfreg(
        "bench", "kernels", "cube", "--device=cpu", "--shape=rows=100,kind=odd", "--seconds=0", "--json",
        "--plot", plot, "--kernel=reference", "--kernel=wrong", "--kernel=crashes",
    )  # fmt: skip
    return {**json.loads(done.stdout), "code": done.returncode, "said": done.stderr, "plot": plot.read_text()}


def of(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {k["kernel"]: k for k in document["ops"][0]["kernels"]}


def test_a_right_kernel_has_errors_times_and_its_fraction_of_what_the_machine_can_do(measured: dict[str, Any]) -> None:
    found, machine = of(measured)["reference"], measured["machine"]
    assert found["right"] is True
    assert set(found["errors"]) == {"0", "d x"}
    assert 0 < found["errors"]["d x"] < 1e-6
    assert found["cases"] == 2
    for part, moved in (("forward", 2), ("both", 5)):
        times = found[part]
        assert 0 < times["quarter_ms"] <= times["median_ms"] <= times["three_quarters_ms"]
        least = moved * 100 * 32 * 4 / machine["copy_bytes_per_second"] * 1e3
        assert times["least_ms"] == pytest.approx(least)
        assert times["fraction"] == pytest.approx(least / times["median_ms"])
    assert machine["product_operations_per_second"] > 1e8


def test_a_kernel_that_is_wrong_has_errors_and_no_time(measured: dict[str, Any]) -> None:
    found = of(measured)["wrong"]
    assert found["right"] is False
    assert found["errors"]["0"] == pytest.approx(1e-3, rel=1e-2)
    assert found["wrong"][0].startswith("case `small`: ")
    assert "forward" not in found
    assert "both" not in found


def test_a_kernel_that_crashes_ends_its_own_process_only(measured: dict[str, Any]) -> None:
    assert list(of(measured)) == ["reference", "wrong", "crashes"]
    assert of(measured)["crashes"]["error"] == "its process was ended by SIGSEGV"


def test_the_answer_is_no_when_a_kernel_is_not_right(measured: dict[str, Any]) -> None:
    assert measured["code"] == 1
    assert "2 of 3 kernels are not right: `wrong` of `cube`" in measured["said"]


def test_sizes_that_are_not_named_keep_their_defaults_and_errors_are_taken_where_float64_fits(
    measured: dict[str, Any],
) -> None:
    (op,) = measured["ops"]
    assert op["sizes"] == {"rows": 100, "columns": 32, "kind": "odd"}
    assert op["exact_sizes"] == {"rows": 16, "columns": 32, "kind": "odd"}
    assert op["work"] == {
        "forward_bytes": 25_600, "forward_operations": 6_400, "backward_bytes": 38_400, "backward_operations": 9_600,
    }  # fmt: skip


def test_the_roofline_is_a_drawing_that_stands_alone(measured: dict[str, Any]) -> None:
    root = ElementTree.fromstring(measured["plot"])
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    text = measured["plot"]
    assert "cube: reference" in text
    assert "wrong" not in text
    assert ".f-series0{fill:" in text
    assert "NaN" not in text
    assert "mathdefault" not in text, "labels are plain text"
    assert "operations a byte" in text


def test_the_table_shows_errors_and_times_beside_each_other(
    measured: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    one = measured["ops"][0]
    choosy = {"kernel": "choosy", "error": None, "refusal": "it runs on no machine", "right": None}
    show(Out(), {**one, "kernels": [*one["kernels"], choosy]})
    shown = capsys.readouterr().out
    rows = {line.split()[0]: line for line in shown.splitlines() if line.strip()}
    assert rows["reference"].split()[-1] == "right"
    assert f"{of(measured)['reference']['forward']['median_ms']:.3f} (" in rows["reference"]
    assert "wrong: case `small`" in rows["wrong"]
    assert "ended by SIGSEGV" in rows["crashes"]
    assert "cannot run here: it runs on no machine" in rows["choosy"]
    assert "d x" in shown


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("cubed",), "did you mean `cube`?"),
        (("cube", "--kernel=wrng"), "did you mean `wrong`?"),
        (("--shape=rows=3",), "are of one op"),
    ],
)
def test_what_is_not_there_is_one_clear_error(arguments: tuple[str, ...], says: str) -> None:
    done = golfreg("bench", "kernels", "--device=cpu", *arguments)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("lenth=3", "did you mean `length`?"),
        ("length", "NAME=NUMBER"),
        ("length=3.5", "no int"),
        ("length=0", "from 1 to"),
        ("length=99999999999999", "from 1 to"),
        ("masked=maybe", "no bool"),
        ("=", "no size"),
    ],
)
def test_a_shape_that_means_nothing_is_refused(text: str, says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_sizes(text, {"length": 8, "masked": False, "fraction": 0.5}, "op")
    assert says in f"{caught.value.message} {caught.value.hint}"


def test_a_shape_changes_the_sizes_that_it_names() -> None:
    known = {"length": 8, "masked": False, "fraction": 0.5, "kind": "a"}
    changed = parse_sizes("length=16, masked=true,fraction=1,kind=b", known, "op")
    assert changed == {"length": 16, "masked": True, "fraction": 1.0, "kind": "b"}
    assert parse_sizes("", known, "op") == known
    assert smaller(changed, {"length": 4, "other": 1}) == {**changed, "length": 4}


def test_a_process_that_hangs_is_ended() -> None:
    assert in_its_own_process(Request("cube", "reference", "cpu", "float32"), 0.05) == {
        "error": "not done after 0.05 s"
    }
