"""What trackio holds after a run, a resumed run, and a run with variables that would send it elsewhere."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trackio", reason="trackio is not installed: pip install golfreg-trackio")
pytest.importorskip("golfreg_trackio", reason="install it: pip install -e plugins/golfreg-trackio")

from golfreg.api import ConfigError
from golfreg.testing.observers import event, record, stage, steps
from golfreg_trackio.observer import TrackioConfig

TELL = """
import json, sys
from pathlib import Path
from golfreg.api.observer import ObservedRun
from golfreg.testing.network import refused_network
from golfreg_trackio.observer import TrackioConfig, trackio_observer
given = json.load(sys.stdin)
place = Path(given["place"])
with refused_network() as attempts:
    for session in given["sessions"]:
        run = ObservedRun(
            name="20260501-mamba3", directory=place / "run", shared=place / "shared", seed=1337, track="cpu-smoke",
            ruleset="cpu-smoke", spec_digest="0123456789abcdef", settings={"train": {"steps": 9}}, **session["run"],
        )
        observation = trackio_observer.open(run, TrackioConfig(**given["config"]))
        print("holds", observation.told_step, file=sys.stderr)
        for event in session["events"]:
            observation.tell(event)
        observation.close()
print("attempts", attempts, file=sys.stderr)
"""


def told(place: Path, *sessions: dict[str, Any], config: dict[str, Any] | None = None, **variables: str) -> str:
    """Tell trackio of one run, opened once for each session, in a fresh process: it reads its directory once."""
    given = {"place": str(place), "config": config or {}, "sessions": sessions}
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TRACKIO_")}
    done = subprocess.run(
        [sys.executable, "-c", TELL],
        input=json.dumps(given),
        env={**environment, "HOME": str(place / "home"), **variables},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stderr


def logged(directory: Path) -> list[tuple[int, dict[str, float]]]:
    """(step, values) of every line that trackio holds, in order."""
    (database,) = directory.glob("golfreg*.db")
    with sqlite3.connect(database) as connection:
        rows = connection.execute("select step, metrics from metrics order by id").fetchall()
    return [(step, json.loads(metrics)) for step, metrics in rows]


def test_losses_stages_and_scores_are_in_trackio(tmp_path: Path) -> None:
    events = [stage("data"), steps(1, 4), stage("train"), record()]
    said = told(tmp_path, {"run": {}, "events": events})
    rows = logged(tmp_path / "shared")
    assert [step for step, values in rows if "loss" in values] == [1, 2, 3, 4]
    assert next(values for step, values in rows if step == 3)["loss"] == pytest.approx(5.7)
    found = {key: value for _, values in rows for key, value in values.items()}
    assert found["seconds/train"] == 1.5
    assert found["sizes/total_bytes"] == 925_000
    assert "score/bits_per_byte" in found
    assert "attempts []" in said


def test_a_resumed_run_goes_on_as_the_same_run(tmp_path: Path) -> None:
    stopped = event("stopped", reason="interrupted", message="stopped by SIGINT", exit_code=130)
    first = {"run": {}, "events": [steps(1, 5), stopped]}
    second = {"run": {"resumed": True, "told_step": 5}, "events": [steps(6, 8), record()]}
    said = told(tmp_path, first, second)
    assert [line for line in said.splitlines() if line.startswith("holds")] == ["holds 0", "holds 5"]
    assert [step for step, values in logged(tmp_path / "shared") if "loss" in values] == [1, 2, 3, 4, 5, 6, 7, 8]
    (database,) = (tmp_path / "shared").glob("golfreg*.db")
    with sqlite3.connect(database) as connection:
        assert connection.execute("select count(distinct run_id) from metrics").fetchone() == (1,)
        assert connection.execute("select title, text from alerts").fetchall() == [
            ("golfreg run interrupted", "stopped by SIGINT")
        ]


def test_variables_and_a_token_send_nothing_anywhere(tmp_path: Path) -> None:
    said = told(
        tmp_path,
        {"run": {}, "events": [steps(1, 2), event("stopped", reason="failed", message="no", exit_code=1)]},
        HF_TOKEN="hf_abcdefghijklmnop",
        TRACKIO_SPACE_ID="someone/space",
        TRACKIO_SERVER_URL="http://192.0.2.1/",
        TRACKIO_WEBHOOK_URL="http://192.0.2.1/hook",
    )
    assert "attempts []" in said
    assert [step for step, _ in logged(tmp_path / "shared")] == [1, 2]


def test_the_directory_is_the_settings_then_the_variables_then_its_own(tmp_path: Path) -> None:
    session = {"run": {}, "events": [steps(1, 2)]}
    told(tmp_path, session, config={"directory": str(tmp_path / "set")}, TRACKIO_DIR=str(tmp_path / "variable"))
    told(tmp_path, session, config={"every_steps": 2}, TRACKIO_DIR=str(tmp_path / "variable"))
    assert [step for step, _ in logged(tmp_path / "set")] == [1, 2]
    assert [step for step, _ in logged(tmp_path / "variable")] == [2]


@pytest.mark.parametrize("wrong", [{"project": " "}, {"every_steps": 0}, {"space": "a/b", "server": "http://x"}])
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        TrackioConfig(**wrong)
