import hashlib
import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from golfreg.api import AnswerIsNo, ConfigError, InputError
from golfreg.cli.leaderboard import app
from golfreg.config.record import record_to_toml
from golfreg.rules.board_rules import all_board_rules
from golfreg.rules.findings import all_rules
from golfreg.testing.records import changed, example_record

RULES = len(all_rules()) + len(all_board_rules())


@pytest.fixture
def call(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def call(*arguments, error=None):
        result = CliRunner().invoke(app, list(arguments))
        if error is None:
            assert result.exception is None, (result.exception, result.output)
        else:
            assert isinstance(result.exception, error), result.exception
            return f"{result.exception.message} / {result.exception.hint}", result.stdout, result.stderr
        return result.stdout, result.stderr

    return call


@pytest.fixture
def make_run(tmp_path):
    def make(seed, **facts):
        run_dir = tmp_path / f"run_{seed}"
        run_dir.mkdir()
        record = example_record(seed)
        for section, values in facts.items():
            record = changed(record, section, **values)
        data = bytes([seed]) * record.sizes.total_bytes
        (run_dir / "artifact.golfreg").write_bytes(data)
        record = changed(record, "artifact", sha256=hashlib.sha256(data).hexdigest())
        (run_dir / "record.toml").write_text(record_to_toml(record), "utf-8")
        return str(run_dir)

    return make


def test_add_then_show_then_check(call, make_run, tmp_path):
    said, _ = call("add", make_run(1), make_run(2), "--name", "mine", "--author", "A. Uthor")
    assert "2.4050 ± 0.0000 bits per byte, 925,000 bytes, 2 seeds" in said
    (directory,) = (tmp_path / "leaderboard" / "cpu-smoke").iterdir()
    table, _ = call("show")
    assert "track cpu-smoke" in table
    assert [word in table for word in ("mine", "mamba3", "int6", "lzma", "15,075,000", "claimed", "none")] == [True] * 7
    assert call("check")[0] == ""
    findings, said = call("check", "--all")
    assert findings.count("PASS") == RULES
    assert f"1 entries: {RULES} PASS, 0 WARN, 0 FAIL" in said
    values = json.loads(call("check", str(directory), "--json")[0])
    assert values["counts"] == {"PASS": RULES, "WARN": 0, "FAIL": 0}


def test_show_as_json_and_as_markdown(call, make_run):
    call("add", make_run(1), "--name", "mine")
    values = json.loads(call("show", "--json", "--track", "cpu-smoke")[0])
    assert values["tracks"]["cpu-smoke"][0]["author"] == "anonymous"
    assert "| 1 | mine |" in call("show", "--markdown")[0]
    call("show", "--json", "--markdown", error=ConfigError)


def test_check_fails_on_a_dishonest_entry_and_says_where(call, make_run, tmp_path):
    call("add", make_run(1), "--name", "mine")
    path = next(tmp_path.glob("leaderboard/*/*/runs/seed_1.toml"))
    path.write_text(path.read_text("utf-8").replace("score_seconds = 12.5", "score_seconds = 99.0"), "utf-8")
    said, findings, _ = call("check", error=AnswerIsNo)
    assert f"{RULES - 1} PASS, 0 WARN, 1 FAIL" in said
    (line,) = [line for line in findings.splitlines() if "FAIL" in line]
    assert "GR202" in line
    assert "99.0 s of scoring > 60 s" in line
    assert "runs/seed_1.toml" in line


def test_add_shows_the_findings_that_were_allowed(call, make_run):
    run = make_run(1, times={"train_seconds": 50.0})
    assert "GR201" in call("add", run, error=AnswerIsNo)[0]
    assert "GR201 FAIL" in call("add", run, "--allow-findings")[1]
    assert "1 FAIL" in call("show")[0]


def test_a_broken_entry_is_an_error_line_beside_the_others(call, make_run, tmp_path):
    call("add", make_run(1), "--name", "mine")
    bad = tmp_path / "leaderboard" / "cpu-smoke" / "2026-01-01_bad"
    bad.mkdir()
    (bad / "entry.toml").write_text("not toml", "utf-8")
    table, said = call("show")
    assert "mine" in table
    assert "error: cpu-smoke/2026-01-01_bad: entry" in said
    assert json.loads(call("show", "--json")[0])["broken"][0]["entry"] == "cpu-smoke/2026-01-01_bad"
    assert "1 broken" in call("check", error=AnswerIsNo)[0]


def test_a_missing_or_empty_leaderboard_is_said(call, tmp_path):
    assert "there is no leaderboard at `leaderboard`" in call("show", error=InputError)[0]
    assert "no leaderboard, track or entry" in call("check", error=InputError)[0]
    (tmp_path / "leaderboard").mkdir()
    assert "has no entries yet: `golfreg leaderboard add RUNDIR`" in call("show")[0]
    assert json.loads(call("show", "--json")[0]) == {"tracks": {}, "broken": []}


def test_text_of_an_entry_steers_neither_terminal_nor_markup(call, make_run, tmp_path):
    call("add", make_run(1, components={}), "--name", "mine", "--author", "[red]x[/red]")
    path = next(tmp_path.glob("leaderboard/*/*/runs/seed_1.toml"))
    text = path.read_text("utf-8")
    path.write_text(text.replace('name = "mamba3"', 'name = "[bold]<b>|:smile:"'), "utf-8")
    assert "[bold]<b>|:smile:" in call("show")[0]
    assert "\\[bold\\]&lt;b&gt;\\|\\:smile\\:" in call("show", "--markdown")[0]
    path.write_text(text.replace('cpu = "a CPU"', 'cpu = "\\u001b[2J"'), "utf-8")
    (tmp_path / "leaderboard" / "cpu-smoke" / "\x1b[31mred").mkdir()
    for arguments in (("show",), ("show", "--markdown"), ("show", "--json")):
        assert "\x1b" not in "".join(call(*arguments))


def test_show_and_check_import_no_torch(tmp_path):
    (tmp_path / "leaderboard").mkdir()
    program = (
        "import sys; from golfreg.cli.leaderboard import app; app([sys.argv[1]], standalone_mode=False);"
        "heavy = {'torch', 'numpy', 'scipy', 'triton'} & set(sys.modules); assert not heavy, heavy"
    )
    for command in ("show", "check"):
        subprocess.run([sys.executable, "-c", program, command], cwd=tmp_path, check=True, timeout=60)
