import hashlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from golfreg.api import AnswerIsNo, ConfigError, InputError
from golfreg.cli.leaderboard import app
from golfreg.config.imported import Imported, ImportedRun, Measure, Source, imported_to_toml
from golfreg.config.record import record_to_toml
from golfreg.leaderboard.entries import EntryFacts, Reproduction, entry_to_toml
from golfreg.rules.figures import Figures, mean, recompute, sample_std
from golfreg.rules.ruleset import list_rulesets, load_ruleset
from golfreg.testing.records import changed, example_record

REPOSITORY = Path(__file__).parents[3]
PR_1493 = (1.08079, 1.08103, 1.08118)
PR_1514 = (1.07928348, 1.07996676, 1.08024795)
PR_1529 = (1.07506048, 1.07645101, 1.07585093)


@pytest.fixture
def call(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def call(*arguments, error=None):
        result = CliRunner().invoke(app, list(arguments))
        if error is None:
            assert result.exception is None, (result.exception, result.output)
            return result.stdout, result.stderr
        assert isinstance(result.exception, error), result.exception
        return f"{result.exception.message} / {result.exception.hint}", result.stdout, result.stderr

    return call


@pytest.fixture
def native(tmp_path):
    """Write an entry of golfreg's own records with these scores, on the CPU track."""

    def write(name, *scores, day="2026-05-02", status="claimed", **facts):
        directory = tmp_path / "leaderboard" / "cpu-smoke" / f"{day}_{name}"
        (directory / "runs").mkdir(parents=True)
        records = [example_record(seed, bits_per_byte=score) for seed, score in enumerate(scores, 1)]
        for record in records:
            digest = hashlib.sha256(f"{name} {record.run.seed}".encode()).hexdigest()
            record = changed(record, "artifact", sha256=digest)
            (directory / "runs" / f"seed_{record.run.seed}.toml").write_text(record_to_toml(record), "utf-8")
        facts = {"author": "A. Uthor", "track": "cpu-smoke", "ruleset": "cpu-smoke", "date": day} | facts
        entry = EntryFacts(name=name, status=status, declared=recompute(records), **facts)
        (directory / "entry.toml").write_text(entry_to_toml(entry), "utf-8")
        return directory

    return write


@pytest.fixture
def golf(tmp_path):
    """Write an imported entry of the challenge."""

    def write(number, day, scores, ratio=2.583, status="accepted", **facts):
        directory = tmp_path / "leaderboard" / "parameter-golf" / f"{day}_pr-{number}"
        (directory / "runs").mkdir(parents=True)
        url = f"https://github.com/openai/parameter-golf/pull/{number}"
        imported = Imported(source=Source(url=url, folder="records/x", pull_request=number))
        (directory / "imported.toml").write_text(imported_to_toml(imported), "utf-8")
        for seed, score in enumerate(scores):
            nats = Measure(recomputed=score * ratio) if ratio else Measure()
            run = ImportedRun(seed=seed, bits_per_byte=Measure(recomputed=score), nats_per_token=nats)
            (directory / "runs" / f"seed_{seed}.toml").write_text(imported_to_toml(run), "utf-8")
        figures = {"bits_per_byte_mean": mean(scores), "bits_per_byte_std": sample_std(scores)}
        entry = EntryFacts(
            name=f"pr-{number}", author="A", track="parameter-golf", ruleset="parameter-golf", date=day, status=status,
            declared=Figures(**figures, seeds=tuple(range(len(scores)))), **facts,
        )  # fmt: skip
        (directory / "entry.toml").write_text(entry_to_toml(entry), "utf-8")
        return directory

    return write


@pytest.fixture
def april(golf):
    golf(1514, "2026-04-09", PR_1514)
    golf(1493, "2026-04-09", PR_1493)
    golf(1529, "2026-04-11", PR_1529)


def test_compare_says_what_the_test_gives_and_the_verdict(call, april):
    said, _ = call("compare", "pr-1514", "pr-1493", "--ruleset", "parameter-golf-frontier")
    assert "t = -3.789, df = 2.61, p = 0.020" in said
    assert "pr-1514 beats the record: a gain of +0.00117 bits per byte (+0.0030 nats per token)" in said
    said, _ = call("compare", "pr-1514", "parameter-golf/2026-04-09_pr-1493")
    assert "margin 0.005 nats per token = 0.00194 bits per byte" in said
    assert "under parameter-golf, pr-1514 does not beat the record" in said


def test_compare_as_json_has_every_digit_and_no_nan(call, april, golf):
    rule = ("--ruleset", "parameter-golf-frontier", "--json")
    values = json.loads(call("compare", "pr-1529", "pr-1514", *rule)[0])
    assert values["p"] == pytest.approx(0.000929035, rel=1e-5)
    assert (values["significant"], values["test"], values["ruleset"]) == (True, "welch", "parameter-golf-frontier")
    assert values["record"]["scores"] == list(PR_1514)
    golf(1, "2026-04-12", (1.07,))
    values = json.loads(call("compare", "pr-1", "pr-1529", "--json")[0])
    assert (values["p"], values["t"], values["significant"]) == (None, None, None)
    assert "one score only" in values["why"]
    assert "not decided" in call("compare", "pr-1", "pr-1529")[0]


def test_compare_refuses_what_does_not_compare(call, april, native):
    native("mine", 2.4, 2.41)
    assert "scores compare within a track" in call("compare", "mine", "pr-1493", error=InputError)[0]
    said = call("compare", "pr-1514", "pr-1493", "--ruleset", "cpu-smoke", error=InputError)[0]
    assert "rulesets of this track: parameter-golf, parameter-golf-frontier" in said
    assert "did you mean `pr-1493`?" in call("compare", "pr-1514", "pr-149", error=InputError)[0]
    for hostile in ("../leaderboard", "\x1b[2J", "a\0b", ""):
        assert call("compare", hostile, "pr-1493", error=InputError)[0].isprintable()
    assert "no leaderboard" in call("compare", "a", "b", "--root", "nowhere", error=InputError)[0]


def test_an_entry_is_also_found_by_its_directory_and_an_unclear_name_is_refused(call, golf):
    golf(1, "2026-04-09", PR_1493)
    directory = golf(1, "2026-04-10", PR_1514)
    assert "could be parameter-golf/2026-04-09_pr-1" in call("compare", "pr-1", "pr-1", error=InputError)[0]
    assert "does not beat" in call("compare", str(directory), "2026-04-09_pr-1")[0]


def test_the_frontier_is_replayed_under_any_ruleset_of_the_track(call, april, golf):
    golf(2000, "2026-04-12", (1.07,))
    golf(2001, "2026-04-13", (1.06, 1.061), status="withdrawn")
    table, said = call("frontier", "--ruleset", "parameter-golf-frontier")
    lines = [line.split() for line in table.splitlines() if "pr-" in line]
    assert [line[1] for line in lines] == ["pr-1493", "pr-1514", "pr-1529", "pr-2000"]
    assert lines[1][-4:-1] == ["0.020", "record", "2026-04-11"]
    assert "cannot be computed" in table
    assert "no p value for pr-2000: the candidate has one score only" in said
    assert "left out: parameter-golf/2026-04-13_pr-2001: its status is withdrawn" in said
    values = json.loads(call("frontier", "--track", "parameter-golf", "--json")[0])["tracks"]["parameter-golf"]
    assert values["ruleset"] == "parameter-golf"
    assert [step["outcome"] for step in values["steps"]] == ["first", "not significant", "record", "not decided"]
    assert [step["superseded_by"] for step in values["steps"]] == ["parameter-golf/2026-04-11_pr-1529", *[None] * 3]


def test_the_frontier_leaves_out_what_fails_unless_it_was_accepted(call, native):
    native("first", 2.5, 2.51, 2.52)
    for name, status in (("bad", "claimed"), ("kept", "accepted")):
        path = native(name, 2.3, 2.31, 2.32, day="2026-05-03", status=status) / "runs" / "seed_1.toml"
        path.write_text(path.read_text("utf-8").replace("score_seconds = 12.5", "score_seconds = 99.0"), "utf-8")
    table, said = call("frontier")
    assert "bad" not in table
    assert "left out: cpu-smoke/2026-05-03_bad: fails GR202" in said
    assert "takes part, but fails GR202: cpu-smoke/2026-05-03_kept" in said
    assert "bad" in call("frontier", "--allow-findings")[0]


def test_the_frontier_asks_for_a_ruleset_of_the_track(call, april, tmp_path):
    assert "leave out `--track`" in call("frontier", "--ruleset", "cpu-smoke", "--track", "h", error=ConfigError)[0]
    assert "no track `cpu-smoke`" in call("frontier", "--ruleset", "cpu-smoke", error=InputError)[0]
    (tmp_path / "empty").mkdir()
    assert "has no entries yet" in call("frontier", "--root", "empty")[0]


def test_power_says_how_many_seeds(call):
    said, _ = call("power", "--gain", "0.003", "--std", "0.0005")
    assert "6 seeds show a gain of 0.003 with a chance of 0.92" in said
    assert "0.005 nats per token = 0.00194 bits per byte at 2.583" in said
    values = json.loads(call("power", "--gain", "0.003", "--std", "0.0005", "--json")[0])
    assert (values["seeds"], list(values["chances"])) == (6, ["3", "4", "5", "6"])
    said, _ = call("power", "--gain", "0.001", "--std", "0.0005")
    assert "not with any number of seeds: the gain of 0.001 is not above the margin" in said
    call("power", "--gain", "nan", "--std", "0.1", error=InputError)
    call("power", "--gain", "1", "--std", "0.1", "--nats-per-bit", "0", error=ConfigError)
    assert (
        "has no test"
        in call("power", "--gain", "1", "--std", "1", "--ruleset", "parameter-golf-non-record", error=InputError)[0]
    )


def test_rules_lists_rulesets_and_codes(call):
    said, _ = call("rules")
    for name in list_rulesets():
        assert name in said
    values = json.loads(call("rules", "--json")[0])
    documented = re.findall(r"^\| (GR\d{3}) \|", (REPOSITORY / "docs" / "rules.md").read_text("utf-8"), re.MULTILINE)
    assert list(values["codes"]) == documented
    assert values["rulesets"]["cpu-smoke"]["limits"]["train_seconds"] == load_ruleset("cpu-smoke").limits.train_seconds
    assert "significance.p_value" in call("rules", "parameter-golf")[0]
    assert "did you mean `parameter-golf`?" in call("rules", "parameter-gol", error=ConfigError)[0]


def test_check_under_another_ruleset_of_the_track(call, april, native):
    native("mine", 2.4, 2.41)

    def not_significant(*arguments):
        values = json.loads(call("check", "--json", *arguments)[0])["entries"]
        found = {key for key, each in values.items() if "GR706" in {f["code"] for f in each if f["level"] == "WARN"}}
        return {key.partition("_")[2] for key in values}, {key.partition("_")[2] for key in found}

    golf = {"pr-1493", "pr-1514", "pr-1529"}
    assert not_significant("--ruleset", "parameter-golf-frontier") == (golf, set())
    assert not_significant() == (golf | {"mine"}, {"pr-1514", "pr-1529"})
    said = call("check", "leaderboard/cpu-smoke", "--ruleset", "parameter-golf", error=InputError)[0]
    assert "ruleset `parameter-golf` is of track `parameter-golf`; the entries are of cpu-smoke" in said


def test_strict_makes_a_warning_count(call, native):
    again = Reproduction(by="B", date="2026-05-03", bits_per_byte=(3.0,))
    native("mine", 2.4, 2.41, reproductions=(again,))
    table, said = call("check")
    assert "GR707" in table
    assert "1 WARN, 0 FAIL" in said
    assert "1 WARN, 0 FAIL" in call("check", "--strict", error=AnswerIsNo)[0]


def test_checking_one_entry_sees_the_others_but_reports_only_itself(call, native):
    native("first", 2.4123456, 2.4234567, day="2026-05-02")
    copy = native("second", 2.4123456, 2.4321, day="2026-05-03", based_on=("cpu-smoke/2026-05-02_first",))
    for path in (copy, copy.parent, copy.parent.parent):
        values = json.loads(call("check", str(path), "--json", error=AnswerIsNo)[1])["entries"]
        failed = {(key, f["code"]) for key, each in values.items() for f in each if f["level"] == "FAIL"}
        assert failed == {("cpu-smoke/2026-05-03_second", "GR701")}
        assert len(values) == (1 if path == copy else 2)
    shutil.rmtree(copy.parent / "2026-05-02_first")
    assert "there is no valid entry cpu-smoke/2026-05-02_first" in call("check", str(copy), error=AnswerIsNo)[1]


def test_a_record_folder_of_the_challenge_is_checked_and_nothing_of_it_is_live(call, tmp_path):
    folder = tmp_path / "2026-04-01_[bold]x"
    folder.mkdir()
    (folder / "submission.json").write_text('{"name": "\\u001b[31m<b>", "val_bpb": "1.2"}', "utf-8")
    (folder / "train_gpt.py").write_text("raise SystemExit('it ran')\n", "utf-8")
    said, table, _ = call("check", str(folder), error=AnswerIsNo)
    assert "[bold]x" in table
    assert "\x1b" not in said + table
    values = json.loads(call("check", str(folder), "--json", error=AnswerIsNo)[1])
    (findings,) = values["entries"].values()
    assert {f["code"][:3] for f in findings} == {"GR6"}
    assert values["counts"]["FAIL"] > 0


def test_none_of_these_commands_imports_torch(tmp_path):
    root = tmp_path / "leaderboard"
    shutil.copytree(REPOSITORY / "leaderboard" / "cpu-smoke", root / "cpu-smoke")
    (key,) = [path.name for path in (root / "cpu-smoke").iterdir()]
    program = (
        "import sys; from golfreg.cli.leaderboard import app\n"
        "for command in sys.argv[1:]: app(command.split(), standalone_mode=False)\n"
        "heavy = {'torch', 'triton'} & set(sys.modules); assert not heavy, heavy"
    )
    commands = ["check", "frontier", "rules", f"compare {key} {key}", "power --gain 0.1 --std 0.01"]
    subprocess.run([sys.executable, "-c", program, *commands], cwd=tmp_path, check=True, timeout=60)
