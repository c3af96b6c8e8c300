import re
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import pytest

from golfreg.config.record import ComponentFacts
from golfreg.rules.board_rules import all_board_rules
from golfreg.rules.figures import recompute
from golfreg.rules.findings import Level, all_rules, check_records, worst
from golfreg.rules.ruleset import RuleData, RuleHardware, RuleSeeds, load_ruleset
from golfreg.testing.records import changed, example_record

NOW = datetime(2026, 6, 1, tzinfo=UTC)
RULESET = replace(load_ruleset("cpu-smoke"), data=RuleData(corpora=("docstrings",)))
DOCS = Path(__file__).parents[3] / "docs" / "rules.md"
THIS = Path(__file__)


def pair(first=None, second=None):
    return {"runs/seed_1.toml": first or example_record(1), "runs/seed_2.toml": second or example_record(2)}


def found(records, *, ruleset=RULESET, declared=None, day=None):
    """(code, level, where) of every finding that is not PASS, and the messages."""
    findings = [f for f in check_records(records, ruleset, declared, day, NOW) if f.level is not Level.PASS]
    return [(f.code, f.level.value, f.where) for f in findings], " / ".join(f.message for f in findings)


def one(section, *, ruleset=RULESET, **facts):
    """Findings of a lone record with facts of one section changed."""
    return found({"r": changed(example_record(), section, **facts)}, ruleset=ruleset)


def test_a_record_that_keeps_every_rule_gives_one_pass_for_each():
    findings = check_records(pair(), RULESET, recompute(list(pair().values())), None, NOW)
    assert [(f.code, f.level) for f in findings] == [(r.code, Level.PASS) for r in all_rules()]
    assert worst(findings) is Level.PASS


def test_rules_and_documentation_and_tests_list_the_same_codes():
    codes = [r.code for r in all_rules()]
    documented = re.findall(r"^\| (GR[1-5]\d\d) \|", DOCS.read_text("utf-8"), re.MULTILINE)
    tested = re.findall(r"^def test_(gr\d{3})_", THIS.read_text("utf-8"), re.MULTILINE)
    assert documented == codes
    assert sorted({code.upper() for code in tested}) == codes


def test_every_title_stands_in_the_documentation():
    rows = dict(re.findall(r"^\| (GR\d{3}) \| (.+?) \|", DOCS.read_text("utf-8"), re.MULTILINE))
    for rule in (*all_rules(), *all_board_rules()):
        assert rows[rule.code].partition(" (")[0] == rule.title


def test_gr101_one_seed_over_the_cap_fails_though_the_mean_fits():
    big = changed(
        example_record(2), "sizes", total_bytes=16_000_001, weight_bytes=15_975_001, by_role={}, headroom_bytes=-1
    )
    big = changed(big, "artifact", bytes=16_000_001)
    codes, message = found(pair(second=big))
    assert codes == [("GR101", "FAIL", "runs/seed_2.toml")]
    assert message == "16,000,001 bytes are 1 over the cap of 16,000,000"


def test_gr102_parts_and_roles_must_add_up():
    assert one("sizes", code_bytes=19_999)[0] == [("GR102", "FAIL", "r")]
    codes, message = one("sizes", by_role={"embedding": 1})
    assert codes == [("GR102", "FAIL", "r")]
    assert "the roles are 1 bytes; weight_bytes says 900,000" in message


def test_gr103_the_total_must_be_the_files_size():
    assert one("artifact", bytes=925_001)[0] == [("GR103", "FAIL", "r")]


def test_gr104_cap_and_headroom_are_the_rulesets():
    assert one("sizes", headroom_bytes=15_075_001)[0] == [("GR104", "FAIL", "r")]
    assert one("sizes", cap_bytes=17_000_000, headroom_bytes=16_075_000)[0] == [("GR104", "FAIL", "r")]


def test_gr105_small_headroom_is_a_warning():
    record = changed(example_record(), "artifact", bytes=15_999_000)
    sizes = {"total_bytes": 15_999_000, "weight_bytes": 15_974_000, "headroom_bytes": 1_000, "by_role": {}}
    assert found({"r": changed(record, "sizes", **sizes)})[0] == [("GR105", "WARN", "r")]


def test_gr201_calibration_is_on_the_training_clock():
    assert one("times", train_seconds=45.0, calibrate_seconds=0.0)[0] == []
    codes, message = one("times", train_seconds=44.0, calibrate_seconds=1.1)
    assert codes == [("GR201", "FAIL", "r")]
    assert "44.0 s of training + 1.1 s of calibration > 45 s" in message


def test_gr201_calibration_is_off_the_clock_where_the_ruleset_says_so():
    lenient = replace(RULESET, limits=replace(RULESET.limits, calibration_is_training=False))
    assert one("times", train_seconds=44.0, calibrate_seconds=9.0, ruleset=lenient)[0] == []
    codes, message = one("times", train_seconds=46.0, calibrate_seconds=9.0, ruleset=lenient)
    assert (codes, message) == ([("GR201", "FAIL", "r")], "46.0 s of training > 45 s")


def test_gr202_scoring_keeps_its_limit():
    assert one("times", score_seconds=60.0)[0] == []
    assert one("times", score_seconds=60.5)[0] == [("GR202", "FAIL", "r")]


def test_gr301_derived_scores_are_recomputed():
    assert one("score", bits_per_byte=1.25)[0] == [("GR301", "FAIL", "r")]
    assert one("score", nats_per_token=2.6)[0] == [("GR301", "FAIL", "r")]


def test_gr302_declared_figures_are_recomputed():
    records = pair(example_record(1, bits_per_byte=1.2), example_record(2, bits_per_byte=1.4))
    right = recompute(list(records.values()))
    assert right.bits_per_byte_mean == pytest.approx(1.3)
    assert right.bits_per_byte_std == pytest.approx(0.02**0.5)
    assert found(records, declared=right)[0] == []
    for wrong in (
        {"bits_per_byte_mean": 1.2},
        {"bits_per_byte_std": 0.1},
        {"bits_per_byte_std": None},
        {"nats_per_token_mean": 1.0},
        {"bytes_max": 1},
        {"seeds": (1, 3)},
    ):
        assert found(records, declared=replace(right, **wrong))[0] == [("GR302", "FAIL", "entry.toml")], wrong


def test_gr303_a_part_of_the_validation_text_is_not_enough():
    score = example_record().score
    half = {"tokens": score.tokens // 2, "nats_per_token": score.nats / (score.tokens // 2)}
    assert one("score", **half)[0] == [("GR303", "FAIL", "r")]
    assert one("data", validation_bytes=467_974)[0] == [("GR303", "FAIL", "r")]
    assert one("data", validation_bytes=467_908)[0] == [("GR303", "FAIL", "r")]
    assert one("data", validation_bytes=467_916)[0] == []


def test_gr304_corpus_fingerprint_and_text_are_the_rulesets():
    other = ComponentFacts(name="jsonl", distribution="golfreg", version="0.1.0")
    codes, message = one("components", corpus=other)
    assert codes == [("GR304", "FAIL", "r")]
    assert "corpus `jsonl` is none of docstrings" in message
    fixed = replace(RULESET, data=RuleData(fingerprints=("ab" * 32,), validation_source_bytes=467_909))
    assert found(pair(), ruleset=fixed)[0] == []
    assert one("data", fingerprint="ef" * 32, ruleset=fixed)[0] == [("GR304", "FAIL", "r")]
    assert one("data", validation_source_bytes=467_910, ruleset=fixed)[0] == [("GR304", "FAIL", "r")]


@pytest.mark.parametrize(
    "facts",
    [
        {"fingerprint": "ef" * 32},
        {"tokenizer_digest": "ef" * 32},
        {"validation_tokens": 299_999},
        {"validation_bytes": 467_910},
    ],
)
def test_gr305_seeds_of_other_data_do_not_mix(facts):
    codes, message = found(pair(second=changed(example_record(2), "data", **facts)))
    assert codes == [("GR305", "FAIL", "runs/seed_2.toml")]
    assert f"{next(iter(facts))} differs from runs/seed_1.toml" in message


def test_gr306_windows_and_documents_are_the_rulesets():
    assert one("score", windows="sliding:64")[0] == []
    assert one("score", windows="rescored:2")[0] == [("GR306", "FAIL", "r")]
    assert one("score", documents_mode="stream")[0] == [("GR306", "FAIL", "r")]
    assert load_ruleset("parameter-golf").score.documents == ("isolated", "stream")


def test_gr307_a_score_needs_isolation_and_probes():
    assert one("score", isolation="sockets")[0] == [("GR307", "WARN", "r")]
    assert one("score", isolation="none")[0] == [("GR307", "FAIL", "r")]
    assert one("score", probes=0)[0] == [("GR307", "FAIL", "r")]


def test_gr308_validation_text_is_not_training_text():
    assert one("data", shared_documents=0)[0] == []
    codes, message = one("data", shared_documents=40_000)
    assert (codes, message) == ([("GR308", "FAIL", "r")], "40,000 validation documents are in the training text")
    counted = replace(RULESET, data=replace(RULESET.data, overlap_counted=True))
    assert one("data", shared_documents=0, ruleset=counted)[0] == []
    assert one("data", shared_documents=None, ruleset=counted)[0] == [("GR308", "WARN", "r")]


def test_gr401_a_seed_counts_once():
    again = changed(example_record(1), "artifact", sha256="f" * 64)
    assert found(pair(second=again))[0] == [("GR401", "FAIL", "")]


def test_gr402_settings_differ_in_nothing_but_the_seed():
    record = example_record(2)
    other = replace(record, settings={**record.settings, "train": {"steps": 101}, "extra": 1})
    codes, message = found(pair(second=other))
    assert codes == [("GR402", "FAIL", "runs/seed_2.toml")]
    assert message == "settings differ from runs/seed_1.toml: train.steps, extra"


def test_gr403_the_ruleset_says_how_many_seeds():
    three = replace(RULESET, seeds=RuleSeeds(required=3))
    codes, message = found(pair(), ruleset=three)
    assert codes == [("GR403", "FAIL", "")]
    assert message == "2 of the 3 seeds that the ruleset asks for"


def test_gr404_versions_do_not_mix():
    def second(section, **facts):
        return found(pair(second=changed(example_record(2), section, **facts)))[0]

    codec = ComponentFacts(name="lzma", distribution="other", version="2")
    kernels = replace(example_record(2), kernels={})
    assert second("run", golfreg="0.0.9") == [("GR404", "FAIL", "runs/seed_2.toml")]
    assert second("components", codec=codec) == [("GR404", "FAIL", "runs/seed_2.toml")]
    assert second("environment", torch="2.12.0") == [("GR404", "WARN", "runs/seed_2.toml")]
    assert found(pair(second=kernels))[0] == [("GR404", "FAIL", "runs/seed_2.toml")]


def test_gr405_one_artifact_cannot_stand_for_two_seeds():
    copy = changed(example_record(2), "artifact", sha256=example_record(1).artifact.sha256)
    assert found(pair(second=copy))[0] == [("GR405", "FAIL", "runs/seed_2.toml")]


def test_gr406_the_records_head_agrees_with_its_settings():
    assert one("run", seed=9)[0] == [("GR406", "FAIL", "r")]
    record = example_record()
    assert found({"r": replace(record, settings={**record.settings, "ruleset": "other"})})[0] == [
        ("GR406", "FAIL", "r")
    ]


def test_gr501_records_of_another_ruleset_are_no_evidence():
    record = example_record()
    codes, _ = found({"r": record}, ruleset=load_ruleset("parameter-golf"))
    assert ("GR501", "FAIL", "r") in codes
    assert one("run", track="parameter-golf")[0] == [("GR501", "FAIL", "r")]


def test_gr501_a_ruleset_of_the_same_limits_may_judge_a_record():
    golf = changed(example_record(), "run", track="parameter-golf", ruleset="parameter-golf")
    judged = found({"r": golf}, ruleset=load_ruleset("parameter-golf-frontier"))[0]
    assert "GR501" not in {code for code, _, _ in judged}
    unknown = changed(example_record(), "run", track="parameter-golf", ruleset="gone")
    judged = found({"r": unknown}, ruleset=load_ruleset("parameter-golf-frontier"))[0]
    assert ("GR501", "FAIL", "r") in judged


def test_gr502_dates_lie_in_the_past_but_for_clocks_that_differ():
    assert one("run", date="2026-06-01T00:59:00Z")[0] == []
    assert one("run", date="2026-06-01T01:01:00Z")[0] == [("GR502", "FAIL", "r")]


def test_gr502_an_entry_is_no_older_than_its_runs_and_not_of_tomorrow():
    records = {"r": example_record()}
    assert found(records, day="2026-05-01")[0] == []
    assert found(records, day="2026-06-01")[0] == []
    assert found(records, day="2026-04-30")[0] == [("GR502", "FAIL", "r")]
    assert found(records, day="2026-06-02")[0] == [("GR502", "FAIL", "entry.toml")]


def test_gr503_versions_are_known():
    assert one("run", golfreg=version("golfreg"))[0] == []
    assert one("run", golfreg="999.0")[0] == [("GR503", "WARN", "r")]
    assert one("run", golfreg="latest")[0] == [("GR503", "FAIL", "r")]


def test_gr504_the_machine_is_the_tracks():
    assert one("hardware", gpus=1, gpu="NVIDIA H100")[0] == [("GR504", "FAIL", "r")]
    assert one("hardware", cores=64)[0] == [("GR504", "WARN", "r")]
    assert one("hardware", gpus=4, gpu="any", ruleset=replace(RULESET, hardware=RuleHardware()))[0] == []
    gpu = replace(RULESET, hardware=RuleHardware(gpus=1, gpu="H100"))
    assert one("hardware", gpus=1, gpu="NVIDIA H100 80GB HBM3", ruleset=gpu)[0] == []
    assert one("hardware", gpus=1, gpu="NVIDIA A100", ruleset=gpu)[0] == [("GR504", "FAIL", "r")]
