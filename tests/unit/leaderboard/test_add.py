import os
import re
import tomllib
from dataclasses import replace

import pytest

import golfreg.leaderboard.writing as writing
from golfreg.api import AnswerIsNo, ConfigError, EnvironmentFault, InputError
from golfreg.config.record import read_record
from golfreg.leaderboard.add import add
from golfreg.leaderboard.reading import read_entry
from golfreg.rules.findings import Level
from golfreg.testing.records import changed, example_record


def test_finished_runs_become_an_entry_that_reads_back(tmp_path, make_run, now):
    runs = [make_run(2, bits_per_byte=1.3), make_run(10, bits_per_byte=1.2), make_run(1, bits_per_byte=1.4)]
    added = add(runs, tmp_path / "board", author="A. Uthor", now=now, techniques=["ema"])
    assert added.directory == tmp_path / "board" / "cpu-smoke" / "2026-05-02_mamba3-int6-lzma"
    entry = read_entry(added.directory)
    assert entry == added.entry
    assert list(entry.records) == ["runs/seed_1.toml", "runs/seed_2.toml", "runs/seed_10.toml"]
    assert entry.records["runs/seed_2.toml"] == read_record(runs[0] / "record.toml")
    assert entry.facts.status == "claimed"
    assert entry.facts.declared.bits_per_byte_mean == pytest.approx(1.3)
    assert entry.facts.declared.bits_per_byte_std == pytest.approx(0.1)
    assert entry.facts.declared.seeds == (1, 2, 10)
    assert {f.level for f in entry.findings(now)} == {Level.PASS}


def test_the_entry_file_says_one_fact_a_line_in_a_fixed_order(make_entry):
    text = (make_entry("mine", 1.25) / "entry.toml").read_text("utf-8")
    keys = re.findall(r"^\[?(\w+)", text, re.MULTILINE)
    assert keys == [
        "schema", "name", "author", "track", "ruleset", "date", "status", "reason", "based_on", "techniques",
        "declared", "bits_per_byte_mean", "nats_per_token_mean", "bytes_max", "seeds",
    ]  # fmt: skip
    assert tomllib.loads(text)["declared"]["seeds"] == [1]


def test_the_readme_names_every_seed_and_is_no_markup(make_run, tmp_path, now):
    added = add([make_run(1), make_run(2)], tmp_path / "board", author="<b>*A*</b> [x](y)", now=now)
    text = (added.directory / "README.md").read_text("utf-8")
    assert "&lt;b&gt;\\*A\\*&lt;/b&gt; \\[x\\]\\(y\\)" in text
    assert re.findall(r"^\| (\d+) \|", text, re.MULTILINE) == ["1", "2"]


def test_nothing_is_overwritten(make_entry):
    before = make_entry("mine", 1.25)
    text = (before / "entry.toml").read_bytes()
    with pytest.raises(InputError, match="is there already"):
        make_entry("mine", 1.20)
    assert (before / "entry.toml").read_bytes() == text


def test_an_unfinished_run_is_refused_with_the_command_that_finishes_it(tmp_path, make_run):
    run = make_run()
    (run / "record.toml").unlink()
    (run / "plan.toml").write_text("", "utf-8")
    with pytest.raises(InputError, match="is not finished") as caught:
        add([run], tmp_path / "board", author="a")
    assert caught.value.hint == f"finish it: golfreg run --resume {run}"
    with pytest.raises(InputError, match="is no run directory"):
        add([tmp_path], tmp_path / "board", author="a")


def test_an_artifact_that_is_gone_or_another_is_refused(tmp_path, make_run):
    run = make_run()
    data = (run / "artifact.golfreg").read_bytes()
    for other in (data[:-1], data[:-1] + b"\1"):
        (run / "artifact.golfreg").write_bytes(other)
        with pytest.raises(InputError, match="is not the artifact"):
            add([run], tmp_path / "board", author="a")
    (run / "artifact.golfreg").unlink()
    with pytest.raises(InputError, match="No such file"):
        add([run], tmp_path / "board", author="a")
    assert not (tmp_path / "board").exists()


def test_a_damaged_record_is_refused(tmp_path, make_run):
    run = make_run()
    (run / "record.toml").write_bytes(b"\xff")
    with pytest.raises(InputError, match="is not UTF-8"):
        add([run], tmp_path / "board", author="a")


def test_runs_that_do_not_belong_together_are_refused(tmp_path, make_run):
    with pytest.raises(InputError, match="are both of seed 1"):
        add([make_run(1), make_run(1, "again")], tmp_path / "board", author="a")
    other = changed(example_record(2), "run", ruleset="h100-150s")
    with pytest.raises(InputError, match="of ruleset `cpu-smoke` and of `h100-150s`"):
        add([tmp_path / "run_1", make_run(2, record=other)], tmp_path / "board", author="a")
    record = example_record(3)
    mixed = replace(record, settings={**record.settings, "train": {"steps": 7}})
    with pytest.raises(AnswerIsNo, match=r"GR402 runs/seed_3\.toml: settings differ from runs/seed_1\.toml"):
        add([tmp_path / "run_1", make_run(3, record=mixed)], tmp_path / "board", author="a")
    with pytest.raises(ConfigError, match="1 to 100 runs"):
        add([], tmp_path / "board", author="a")


def test_a_broken_rule_is_refused_unless_allowed(tmp_path, make_run, now):
    run = make_run(record=changed(example_record(), "times", train_seconds=46.0))
    with pytest.raises(AnswerIsNo, match="GR201"):
        add([run], tmp_path / "board", author="a", now=now)
    assert not (tmp_path / "board").exists()
    added = add([run], tmp_path / "board", author="a", now=now, allow_findings=True)
    assert [f.code for f in read_entry(added.directory).findings(now) if f.level is Level.FAIL] == ["GR201"]


@pytest.mark.parametrize("name", ["", "../up", "A", "a/b", "-a", "a" * 61, "a\n", "."])
def test_a_name_that_could_leave_its_place_is_refused(tmp_path, make_run, name):
    with pytest.raises(ConfigError, match="is no name"):
        add([make_run()], tmp_path / "board", author="a", name=name)


@pytest.mark.parametrize(
    "facts", [{"author": " "}, {"author": "\x1b[2J"}, {"based_on": ["../x"]}, {"techniques": ["\x07"]}]
)
def test_facts_that_could_not_be_read_back_are_refused(tmp_path, make_run, facts, now):
    with pytest.raises(InputError):
        add([make_run()], tmp_path / "board", now=now, **{"author": "a"} | facts)
    assert not list(tmp_path.glob("board/*/*"))


def test_the_directory_appears_whole_or_not_at_all(tmp_path, make_run, monkeypatch, now):
    write, written = writing._write_synced, []

    def full_disk(path, data):
        if len(written) == 2:
            raise OSError(28, "No space left on device")
        assert list((tmp_path / "board" / "cpu-smoke").glob("2026*")) == []
        write(path, data)
        written.append(path.name)

    monkeypatch.setattr(writing, "_write_synced", full_disk)
    with pytest.raises(EnvironmentFault, match="No space left on device"):
        add([make_run()], tmp_path / "board", author="a", now=now)
    assert len(written) == 2
    assert os.listdir(tmp_path / "board" / "cpu-smoke") == []


def test_a_place_that_cannot_be_written_is_said(tmp_path, make_run):
    (tmp_path / "board").write_text("a file", "utf-8")
    with pytest.raises(EnvironmentFault, match="cannot write under"):
        add([make_run()], tmp_path / "board", author="a")
