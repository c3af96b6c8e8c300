import re
from dataclasses import replace
from pathlib import Path

import pytest

from golfreg.rules.board_rules import all_board_rules, check_board
from golfreg.rules.claims import Again, Claim
from golfreg.rules.codes import all_codes
from golfreg.rules.figures import SeedResult, mean
from golfreg.rules.findings import Level
from golfreg.rules.ruleset import load_ruleset

GOLF = load_ruleset("parameter-golf-frontier")
DOCS = Path(__file__).parents[3] / "docs" / "rules.md"


def claim(name, *scores, day="2026-04-10", ratio=2.583, **facts):
    """An entry with these scores in bits per byte."""
    scores = scores or (1.0812345 + 1e-4 * len(name), 1.0823456 + 1e-4 * len(name))
    results = tuple(
        SeedResult(where=f"runs/seed_{n}.toml", seed=n, bits_per_byte=score, nats_per_token=score * ratio)
        for n, score in enumerate(scores, 1)
    )
    facts = {
        "key": f"parameter-golf/{day}_{name}", "track": "parameter-golf", "author": "A. Uthor", "date": day,
        "ruleset": GOLF, "status": "claimed", "mean": mean(scores), "results": results,
    } | facts  # fmt: skip
    return Claim(**facts)


def found(*claims):
    """(code, level, name) of every finding that is not PASS, and the messages."""
    flat = [(key, f) for key, each in check_board(claims).items() for f in each if f.level is not Level.PASS]
    return [(f.code, f.level.value, key.partition("_")[2]) for key, f in flat], " / ".join(f.message for _, f in flat)


def test_a_sound_board_gives_every_entry_one_pass_for_each_rule():
    claims = [claim("a"), claim("bb", based_on=("parameter-golf/2026-04-10_a",)), claim("ccc", day="2026-04-11")]
    for findings in check_board(claims).values():
        assert [(f.code, f.level) for f in findings] == [(rule.code, Level.PASS) for rule in all_board_rules()]
    assert check_board([]) == {}


def test_rules_and_documentation_and_tests_list_the_same_codes():
    codes = [rule.code for rule in all_board_rules()]
    assert re.findall(r"^\| (GR7\d\d) \|", DOCS.read_text("utf-8"), re.MULTILINE) == codes
    tested = re.findall(r"^def test_(gr\d{3})_", Path(__file__).read_text("utf-8"), re.MULTILINE)
    assert sorted({code.upper() for code in tested}) == codes
    assert set(codes) <= all_codes().keys()


def test_gr701_one_artifact_stands_in_one_entry():
    first = claim("first", artifacts=("ab", "cd"))
    later = claim("second", day="2026-04-11", artifacts=("ef", "ab"))
    codes, message = found(later, first)
    assert codes == [("GR701", "FAIL", "second")]
    assert message == "an artifact is that of parameter-golf/2026-04-10_first"


def test_gr701_one_score_to_the_last_digit_stands_in_one_entry():
    first, later = claim("first", 1.0812345678), claim("second", 1.0812345678, 1.09123456, day="2026-04-11")
    assert found(first, later)[0] == [("GR701", "FAIL", "second")]
    assert found(first, replace(later, exact=False))[0] == [("GR701", "WARN", "second")]
    assert found(replace(first, status="withdrawn", reason="typo"), later)[0] == [("GR701", "WARN", "second")]
    rounded = claim("first", 1.0812), claim("second", 1.0812, day="2026-04-11")
    assert found(*rounded)[0] == []


def test_gr702_bases_exist_and_are_not_later():
    missing = claim("a", based_on=("parameter-golf/2026-01-01_gone",))
    assert found(missing) == ([("GR702", "FAIL", "a")], "there is no valid entry parameter-golf/2026-01-01_gone")
    early = claim("a", based_on=("parameter-golf/2026-04-11_bb",))
    codes, message = found(early, claim("bb", day="2026-04-11"))
    assert codes == [("GR702", "FAIL", "a")]
    assert "is of 2026-04-11, later than 2026-04-10" in message


def test_gr703_lineage_has_no_circle():
    def on(name, *bases):
        return claim(name, based_on=tuple(f"parameter-golf/2026-04-10_{base}" for base in bases))

    assert found(on("a", "a"))[0] == [("GR703", "FAIL", "a")]
    ring = on("a", "bb"), on("bb", "ccc"), on("ccc", "a"), on("dddd", "a"), on("eeeee")
    assert found(*ring)[0] == [("GR703", "FAIL", name) for name in ("a", "bb", "ccc")]
    assert found(on("a", "bb"), on("bb", "ccc", "dddd"), on("ccc", "dddd"), on("dddd"))[0] == []


def test_gr703_a_ring_of_ten_thousand_takes_no_recursion():
    ring = [
        claim(f"e{n}", 1.1 + n * 1e-7, based_on=(f"parameter-golf/2026-04-10_e{(n + 1) % 10_000}",))
        for n in range(10_000)
    ]
    assert len([code for code, _, _ in found(*ring)[0] if code == "GR703"]) == 10_000


@pytest.mark.parametrize(
    ("facts", "level"),
    [
        ({"status": "invalid", "reason": "GR303: the first 3 M tokens only"}, None),
        ({"status": "invalid", "reason": "GR999"}, "FAIL"),
        ({"status": "invalid", "reason": "it cheats, GR303"}, "FAIL"),
        ({"status": "reproduced"}, "FAIL"),
        ({"status": "reproduced", "reproductions": (Again("B", "2026-04-12", (1.0815,)),)}, None),
        ({"status": "withdrawn"}, "WARN"),
        ({"status": "reverted", "reason": "#1806"}, None),
        ({"status": "support"}, "WARN"),
    ],
)
def test_gr704_a_status_has_its_grounds(facts, level):
    assert found(claim("a", **facts))[0] == ([("GR704", level, "a")] if level else [])


def test_gr705_superseded_names_the_entry_that_is_better():
    better = claim("bb", 1.07, 1.071, day="2026-04-12", status="accepted")
    worse = claim("ccc", 1.09, 1.091, day="2026-04-12")

    def old(reason):
        return claim("a", 1.08, 1.081, status="superseded", reason=reason)

    assert found(old("by parameter-golf/2026-04-12_bb"), better)[0] == []
    assert found(old("it was"), better)[0] == [("GR705", "WARN", "a")]
    assert found(old("by parameter-golf/2026-04-12_gone"), better)[0] == [("GR705", "FAIL", "a")]
    assert found(old("by parameter-golf/2026-04-12_ccc"), better, worse)[0] == [("GR705", "FAIL", "a")]


def test_gr706_an_accepted_entry_beat_the_record_of_its_day():
    record = claim("a", 1.0810, 1.0811, 1.0812, status="accepted")
    better = claim("bb", 1.0790, 1.0792, 1.0791, day="2026-04-12", status="accepted")
    assert found(record, better)[0] == []
    assert found(record, replace(better, ruleset=load_ruleset("parameter-golf")))[0] == [("GR706", "WARN", "bb")]
    even = claim("bb", 1.0809, 1.0811, 1.0813, day="2026-04-12", status="accepted")
    codes, message = found(record, even)
    assert codes == [("GR706", "WARN", "bb")]
    assert message.startswith("against parameter-golf/2026-04-10_a: does not beat the record")
    assert found(record, replace(even, status="claimed"))[0] == []
    no_test = load_ruleset("parameter-golf-non-record")
    assert found(record, replace(even, ruleset=no_test))[0] == []


def test_gr706_the_record_is_the_lowest_before_it_and_of_its_track():
    low = claim("a", 1.0790, 1.0792, status="accepted")
    high = claim("bb", 1.0840, 1.0842, day="2026-04-11", status="accepted")
    between = claim("ccc", 1.0812, 1.0813, day="2026-04-12", status="accepted")
    assert [name for _, _, name in found(low, high, between)[0]] == ["bb", "ccc"]
    assert found(low, replace(between, track="cpu-smoke"))[0] == []


def test_gr707_a_reproduction_that_is_worse_than_the_tolerance_is_shown():
    # #1334: 1.08971 over three seeds; the maintainers' run of 2026-05-04 gave 1.09250.
    scores = (1.08938974, 1.08982552, 1.08993367)
    again = Again("maintainers", "2026-05-04", (1.09250,))
    codes, message = found(claim("a", *scores, ratio=2.301, reproductions=(again,)))
    assert codes == [("GR707", "WARN", "a")]
    assert message == "the reproduction by maintainers is 0.00278 bits per byte worse; 0.00217 would pass"
    for score in (1.0905, 1.0):
        again = Again("maintainers", "2026-05-04", (score,))
        assert found(claim("a", *scores, ratio=2.301, reproductions=(again,)))[0] == []


def test_gr707_a_claim_that_scatters_is_given_three_standard_errors():
    again = Again("maintainers", "2026-05-04", (1.090,))
    assert found(claim("a", 1.078, 1.080, 1.082, reproductions=(again,)))[0] == [("GR707", "WARN", "a")]
    assert found(claim("a", 1.076, 1.080, 1.084, reproductions=(again,)))[0] == []


def test_gr708_reproductions_are_by_others_and_later():
    def again(by, day):
        return claim("a", reproductions=(Again(by, day, (1.0815,)),))

    assert found(again("B", "2026-04-10"))[0] == []
    assert found(again(" a. uthor", "2026-04-11"))[0] == [("GR708", "WARN", "a")]
    for day in ("2026-04-09", "yesterday", "2026-13-40"):
        assert found(again("B", day))[0] == [("GR708", "FAIL", "a")]
