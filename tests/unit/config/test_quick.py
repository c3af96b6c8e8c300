"""The quick ways to read a record give what the slow ones give, or leave it to them."""

import random
import tomllib

import pytest

from golfreg.api import InputError
from golfreg.config import quick_toml, strict
from golfreg.config.quick_build import Unusual, quickly
from golfreg.config.record import RunRecord, parse_record, record_to_toml
from golfreg.leaderboard.entries import EntryFacts
from golfreg.testing.records import changed, example_record

TEXT = record_to_toml(example_record())


def agrees(text):
    """Whether the quick way read it; then as tomllib does, to the type of each value and the order of keys."""
    found = quick_toml.parse(text)
    if found is None:
        return False
    assert repr(plain(found)) == repr(tomllib.loads(text))
    return True


def plain(value):
    return {key: plain(one) for key, one in value.items()} if isinstance(value, dict) else value


def test_a_record_and_an_entry_are_read_the_quick_way():
    assert agrees(TEXT)
    assert agrees('schema = 1\na = []\nb = [\n    1,\n    2.5,\n]\nc = [\n    "x, y",\n]\n\n[d]\n\n[d.e]\nf = -0.0\n')


@pytest.mark.parametrize(
    "text",
    [
        'a = "x\\ty"',
        'a = """x\ny = 1"""',
        "a = 'x'",
        "a = 2026-01-01",
        "a = 1_000",
        "a = 0x1f",
        "a = +1",
        "a = nan",
        "a = inf",
        "a = {b = 1}",
        "a.b = 1",
        '"a" = 1',
        "a = 1 # why",
        "# why\na = 1",
        "a=1",
        "a = 1\r\nb = 2",
        'a = "b = c"',
        "[[a]]\nb = 1",
        "[a.b]\nc = 1\n[a]\nd = 1",
        "a = 1" + "0" * 30,
        "a = [1, [2]]",
    ],
)
def test_what_is_not_simple_is_left_to_tomllib(text):
    assert quick_toml.parse(text) is None
    tomllib.loads(text)


@pytest.mark.parametrize(
    "text",
    [
        "a = 1\na = 2",
        "[a]\n[a]",
        "a = 1\n[a]",
        "[a]\nb = 1\n[a.b]",
        "a = 01",
        "a = 1.",
        "a = .5",
        "a = NaN",
        "a = null",
        "a = 1 b = 2",
        'a": 1, "b = 2',
        'a = "x\nb = y"',
        'a = "x\x7f"',
        "a = ",
        "= 1",
        "[a\nb = 1",
        "[]\na = 1",
        "[a]x\nb = 1",
        "a = [1,, 2]",
        "a = [\n    1\n    2,\n]",
        'a = "x[\n    1,\n]"',
    ],
)
def test_what_is_no_toml_is_refused_by_tomllib(text):
    assert quick_toml.parse(text) is None
    with pytest.raises(tomllib.TOMLDecodeError):
        tomllib.loads(text)


def test_mutants_are_read_as_tomllib_reads_them():
    draw = random.Random(0)
    parts = [
        '"',
        "\n",
        " = ",
        "[",
        "]",
        ",",
        "1",
        "e5",
        ".",
        "-",
        "\\",
        "#",
        "true",
        "[a]\n",
        "    1,\n",
        "\r",
        "'",
        "x",
    ]
    lines = TEXT.split("\n")
    quick = 0
    for _ in range(3000):
        start = draw.randrange(len(lines))
        text = "\n".join(lines[start : start + draw.randrange(1, 14)])
        for _ in range(draw.choice((0, 1, 1, 2, 3))):
            place = draw.randrange(len(text) + 1)
            text = text[:place] + draw.choice(parts) + text[place + draw.choice((0, 0, 1, 2)) :]
        quick += agrees(text)
    assert quick > 500


def test_equal_blocks_are_read_once_and_give_equal_records():
    apart = parse_record(TEXT, "r")
    other = record_to_toml(changed(example_record(), "score", probes=3))
    with quick_toml.remembering():
        one, two = parse_record(TEXT, "r"), parse_record(other, "r")
    assert one == apart
    assert two == parse_record(other, "r")
    assert one.data is two.data
    assert one.score is not two.score
    assert record_to_toml(one) == TEXT


def test_remembered_blocks_are_forgotten_in_time():
    with quick_toml.remembering():
        for number in range(5_000):
            quick_toml.parse(f"[a]\nb = {number}\n")
        memory = quick_toml._memory
        assert len(memory.recent) + len(memory.before) <= 1_000
    assert quick_toml._memory is None


def edited(change):
    table = tomllib.loads(TEXT)
    del table["schema"]
    change(table)
    return table


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t["score"].pop("nats"),
        lambda t: t["score"].update(extra=1),
        lambda t: t["score"].update(tokens=True),
        lambda t: t["score"].update(tokens=2**63),
        lambda t: t["score"].update(nats=float("nan")),
        lambda t: t["score"].update(nats=float("inf")),
        lambda t: t["score"].update(nats=-1.0),
        lambda t: t["score"].update(windows="a\x1b[2J"),
        lambda t: t["score"].update(windows="a\u202eb"),
        lambda t: t["sizes"]["by_role"].update({"": 1}),
        lambda t: t["sizes"]["by_role"].update({"x" * 201: 1}),
        lambda t: t["sizes"].update(by_role=[]),
        lambda t: t["settings"].update(deep=[[[[[[[[[[1]]]]]]]]]]),
        lambda t: t["settings"].update(inside={"a\nb": 1}),
        lambda t: t["settings"].update(big=-(2**63) - 1),
        lambda t: t["settings"].update(inside={"a": float("inf"), "b": float("-inf")}),
        lambda t: t["run"].update(name="../up"),
        lambda t: t["hardware"].update(cores=1.0),
        lambda t: t.update(kernels=3),
    ],
)
def test_the_quick_build_leaves_every_fault_to_the_one_that_names_it(change):
    table = edited(change)
    with pytest.raises(Unusual):
        quickly(RunRecord, table)
    with pytest.raises(InputError):
        strict.build(RunRecord, table, "r:")


@pytest.mark.parametrize(
    "change",
    [
        lambda t: None,
        lambda t: t["times"].update(train_seconds=45),
        lambda t: t["hardware"].pop("gpu"),
        lambda t: t["score"].update(tokens=t["score"].pop("tokens")),
        lambda t: t["settings"].update(inside={"a": [1, {"b": "c"}], "d": 1e300, "e": -(2**63)}),
        lambda t: t["settings"].update(empty={}),
    ],
)
def test_both_builds_make_the_same_record(change):
    table = edited(change)
    quick, slow = quickly(RunRecord, table), strict.build(RunRecord, table, "r:")
    assert quick == slow
    assert repr(quick) == repr(slow)


def test_entries_with_what_has_a_default_left_out_are_built_the_quick_way():
    table = {
        "name": "a", "author": "b", "track": "t", "ruleset": "t", "date": "2026-05-01", "status": "claimed",
        "declared": {"bits_per_byte_mean": 1.2, "seeds": [1]},
    }  # fmt: skip
    assert quickly(EntryFacts, table) == strict.build(EntryFacts, table, "e:")
