import re
from dataclasses import replace
from pathlib import Path

import pytest

from golfreg.config.imported import Count, Described, Headline, Imported, ImportedRun, KeptFinding, Measure, Source
from golfreg.rules.codes import all_codes
from golfreg.rules.figures import Figures
from golfreg.rules.imported_rules import all_imported_rules, check_imported, imported_result
from golfreg.rules.ruleset import load_ruleset

RULESET = load_ruleset("parameter-golf")
DOCS = Path(__file__).parents[3] / "docs" / "rules.md"
FOLDER_TESTS = Path(__file__).parents[1] / "leaderboard" / "challenge" / "test_challenge_folder.py"
THIS = Path(__file__)
SCORES = (1.2, 1.202, 1.201)


def run(seed, **figures):
    score = SCORES[seed - 1]
    facts = {
        "bits_per_byte": Measure(declared=score, log=score),
        "nats_per_token": Measure(log=score * 1.689),
        "total_bytes": Count(declared=15_900_000, log=15_900_000),
        "model_bytes": Count(log=15_850_000),
        "code_bytes": Count(log=50_000),
        "train_seconds": Measure(log=600.038),
        "score_seconds": Measure(log=90.0, recomputed=100.0),
        "steps": Count(declared=13_780, log=13_780),
    }
    return ImportedRun(seed=seed, log=f"train_seed{seed}.log", **(facts | figures))


def submission(**parts):
    facts = {
        "source": Source(url="https://example.org/x", folder="x"),
        "headline": Headline(
            bits_per_byte=Measure(declared=1.201),
            bits_per_byte_std=Measure(declared=0.001),
            total_bytes=Count(declared=15_900_000),
            code_bytes=Count(declared=50_000),
        ),
        "described": Described(tokenizer="SP1024"),
        "code_policy": "plain",
        "counted_code": {"shipped": 50_000, "with_helpers": 50_000},
    }
    return Imported(**(facts | parts))


def found(imported=None, *runs, declared=None, ruleset=RULESET):
    """Code, level and where of every finding that is not PASS. ``runs`` replace the seeds that they have."""
    every = {f"r{n}": run(n) for n in (1, 2, 3)} | {f"r{one.seed}": one for one in runs}
    findings = check_imported(imported or submission(), every, ruleset, declared)
    return [(f.code, str(f.level), f.where) for f in findings if f.level != "PASS"]


def headline(**figures):
    return submission(headline=replace(submission().headline, **figures))


def test_a_submission_that_keeps_every_rule_passes_each_once():
    every = {f"r{n}": run(n) for n in (1, 2, 3)}
    findings = check_imported(submission(), every, RULESET, Figures(bits_per_byte_mean=1.201))
    assert [(f.code, str(f.level)) for f in findings] == [(rule.code, "PASS") for rule in all_imported_rules()]


def test_rules_documentation_and_tests_list_the_same_codes():
    codes = [code for code in all_codes() if code.startswith("GR6")]
    documented = re.findall(r"^\| (GR6\d\d) \|", DOCS.read_text("utf-8"), re.MULTILINE)
    text = THIS.read_text("utf-8") + FOLDER_TESTS.read_text("utf-8")
    tested = {code.upper() for code in re.findall(r"^def test_(gr6\d\d)_", text, re.MULTILINE)}
    assert documented == codes
    assert sorted(tested) == codes


def test_kept_findings_are_shown_with_those_found_anew():
    kept = KeptFinding(code="GR603", level="FAIL", message="`train_gpt.py` is empty", where="train_gpt.py")
    assert found(submission(findings=(kept,))) == [("GR603", "FAIL", "train_gpt.py")]


def test_gr611_one_seed_over_the_cap_fails():
    over = run(2, total_bytes=Count(declared=15_900_000, log=16_000_001), model_bytes=Count())
    assert ("GR611", "FAIL", "r2") in found(None, over)
    assert ("GR611", "FAIL", "headline") in found(headline(total_bytes=Count(declared=16_000_001)))


def test_gr612_code_that_was_left_out_is_for_a_person():
    counted = {"shipped": 150_001, "with_helpers": 150_001}
    assert found(submission(code_policy="computed-packed", counted_code=counted)) == [("GR612", "WARN", "r1")]


def test_gr613_another_total_than_the_logs_fails():
    assert found(None, run(2, total_bytes=Count(declared=15_899_999, log=15_900_000))) == [("GR613", "FAIL", "r2")]
    assert found(None, run(2, model_bytes=Count(log=15_849_999))) == [("GR613", "FAIL", "r2")]
    runs = [run(n, total_bytes=Count(log=15_900_000 + n), model_bytes=Count()) for n in (1, 2, 3)]
    assert found(headline(total_bytes=Count(declared=15_950_000)), *runs) == [("GR613", "FAIL", "headline")]
    assert found(headline(total_bytes=Count(declared=15_900_002)), *runs) == []


def test_gr614_a_way_of_counting_that_is_not_taken_fails():
    assert found(submission(code_policy="indirect")) == [("GR614", "FAIL", "")]
    assert found(submission(counted_code={"shipped": 50_001})) == [("GR614", "WARN", "")] * 2


@pytest.mark.parametrize(("train", "calibrate", "kept"), [(600.5, None, True), (600.6, None, False), (599, 3, False)])
def test_gr621_calibration_is_on_the_clock(train, calibrate, kept):
    one = run(2, train_seconds=Measure(log=train), calibrate_seconds=Measure(log=calibrate))
    assert found(None, one) == ([] if kept else [("GR621", "FAIL", "r2")])


def test_gr622_the_pass_alone_fails_and_all_passes_warn():
    assert found(None, run(2, score_seconds=Measure(log=601.0))) == [("GR622", "FAIL", "r2")]
    assert found(None, run(2, score_seconds=Measure(log=500.0, recomputed=601.0))) == [("GR622", "WARN", "r2")]


def test_gr623_other_steps_than_the_logs_are_for_a_person():
    assert found(None, run(2, steps=Count(declared=10_710, log=10_695))) == [("GR623", "WARN", "r2")]
    assert found(None, run(2, train_seconds=Measure(declared=590.0, log=600.0))) == [("GR623", "WARN", "r2")]


def test_gr631_another_score_than_the_logs_fails():
    assert ("GR631", "FAIL", "r2") in found(None, run(2, bits_per_byte=Measure(declared=1.2, log=1.202)))
    assert found(None, run(2, bits_per_byte=Measure(declared=1.202, log=1.20204))) == []


@pytest.mark.parametrize("score", [1.2, 1.202, 1.19])
def test_gr632_a_headline_that_is_not_the_mean_fails(score):
    assert found(headline(bits_per_byte=Measure(declared=score))) == [("GR632", "FAIL", "headline")]


def test_gr632_the_best_seed_as_headline_is_called_that():
    every = {f"r{n}": run(n) for n in (1, 2, 3)}
    findings = check_imported(headline(bits_per_byte=Measure(declared=1.2)), every, RULESET)
    assert "seed 1's and the best" in next(f.message for f in findings if f.code == "GR632")


def test_gr632_an_entry_that_declares_something_else_fails():
    assert found(declared=Figures(bits_per_byte_mean=1.19)) == [("GR632", "FAIL", "entry.toml")]


def test_gr632_without_seeds_the_only_log_counts():
    facts = headline(bits_per_byte=Measure(declared=1.2266, log=1.2353))
    assert "GR632" in {f.code for f in check_imported(facts, {}, RULESET) if f.level == "FAIL"}


def test_gr633_another_deviation_is_for_a_person():
    assert found(headline(bits_per_byte_std=Measure(declared=0.000816))) == [("GR633", "WARN", "headline")]


@pytest.mark.parametrize(("tokenizer", "ratio", "kept"), [
    ("SP1024", 1.689, True), ("SP1024", 1.75, False), ("SP8192 CaseOps", 2.188, True), ("SP8192 CaseOps", 2.583, False),
    ("", 2.301, True), ("", 1.9, False), ("byte 256", 0.6931, True),
])  # fmt: skip
def test_gr634_the_ratio_of_nats_and_bits_is_the_tokenizers(tokenizer, ratio, kept):
    runs = [run(n, nats_per_token=Measure(log=SCORES[n - 1] * ratio)) for n in (1, 2, 3)]
    codes = {code for code, _, _ in found(submission(described=Described(tokenizer=tokenizer)), *runs)}
    assert codes == (set() if kept else {"GR634"})


def test_gr635_a_score_below_one_is_for_a_person():
    assert ("GR635", "WARN", "headline") in found(headline(bits_per_byte=Measure(declared=0.98)))


def test_gr636_another_score_in_the_table_is_for_a_person():
    source = Source(url="https://example.org/x", folder="x", published_bits_per_byte=1.1971)
    assert found(submission(source=source)) == [("GR636", "WARN", "headline")]


def test_gr641_too_few_seeds_fail_under_a_ruleset_that_asks_for_more():
    facts = headline(bits_per_byte=Measure(declared=1.2), bits_per_byte_std=Measure())
    for ruleset, wanted in (("parameter-golf", ["GR641"]), ("parameter-golf-non-record", [])):
        findings = check_imported(facts, {"r1": run(1)}, load_ruleset(ruleset))
        assert [f.code for f in findings if f.level != "PASS"] == wanted


def test_gr642_a_seed_without_a_logged_score_is_for_a_person():
    assert found(None, run(2, bits_per_byte=Measure(declared=1.202))) == [("GR642", "WARN", "")]


def test_a_result_takes_each_figure_from_its_best_provenance():
    result = imported_result(
        "r", run(1, bits_per_byte=Measure(declared=1.1, log=1.2), calibrate_seconds=Measure(log=4))
    )
    assert result is not None
    assert (result.bits_per_byte, result.train_seconds, result.score_seconds) == (1.2, 604.038, 100.0)
    assert imported_result("r", run(1, bits_per_byte=Measure())) is None
