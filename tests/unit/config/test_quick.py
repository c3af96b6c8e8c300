"""The quick ways to read a record give what the slow ones give, or leave it to them."""

import random
import re
import tomllib

import pytest
import rtoml
import tomli_w

from golfreg.api import InputError
from golfreg.config import quick, strict
from golfreg.config.quick import Unusual
from golfreg.config.record import RECORD_SCHEMA, RunRecord, parse_record, parse_records, record_to_toml
from golfreg.leaderboard.entries import EntryFacts
from golfreg.testing.records import changed, example_record

TEXT = record_to_toml(example_record())
ENTRY = """schema = 1
name = "a"
author = "b"
track = "t"
ruleset = "t"
date = "2026-05-01"
status = "claimed"
reason = ""
based_on = []
techniques = [
    "ema",
    "two, three",
]

[declared]
bits_per_byte_mean = 1.25
seeds = [
    1,
    2,
]
"""


def agrees(text):
    """Whether the quick way read it; then as tomllib does, to the type of each value and the order of keys."""
    try:
        found = quick._tables(text)
    except (Unusual, rtoml.TomlParsingError):
        return False
    assert repr(found) == repr(tomllib.loads(text))
    return True


def strictly(cls, text):
    """By ``strict`` alone, which decides."""
    table = strict.parse_toml(text, "r")
    strict.take_schema(table, RECORD_SCHEMA, "r")
    return strict.build(cls, table, "r:")


def outcome(read, cls, text):
    """The value to the type of each fact and the order of keys, or the error."""
    try:
        return repr(read(cls, text))
    except InputError as error:
        return f"{error.message} | {error.hint}"


def both_say_the_same(cls, text):
    """Whether the quick way read it, alone or after texts that are like it; then as strict does."""
    expected = outcome(strictly, cls, text)
    assert outcome(lambda cls, text: quick.read(cls, RECORD_SCHEMA, text, "r"), cls, text) == expected
    try:
        quick.read_simple(cls, RECORD_SCHEMA, text)
    except Unusual:
        return False
    return True


def test_a_record_and_an_entry_are_read_the_quick_way():
    assert agrees(TEXT)
    assert agrees('schema = 1\na = []\nb = [\n    1,\n    2.5,\n]\nc = [\n    "x, y",\n]\n\n[d]\n\n[d.e]\nf = -0.0\n')


@pytest.mark.parametrize(
    "text",
    ['a = "x\\ty"', 'a = """x\ny = 1"""', "a = '''x\ny = 1'''", "a = {b = 1}", "a = 1\r\nb = 2", 'a = "x" #\ty',
     'a = "\u202e"', f"a = [{'.5, ' * 101}]", f'a = "{"x" * 5000}"', ".".join("a" * 90) + " = 1"],
)  # fmt: skip
def test_what_rtoml_and_tomllib_may_read_differently_is_left_to_tomllib(text):
    assert not agrees(text)


@pytest.mark.parametrize(
    "text",
    ["a = 1\na = 2", "[a]\n[a]", "a = 1\n[a]", "[a]\nb = 1\n[a.b]", "a = 01", "a = 1.", "a = .5", "a = NaN", "a = null",
     "a = 1 b = 2", 'a": 1, "b = 2', 'a = "x\nb = y"', 'a = "x\x7f"', "a = ", "= 1", "[a\nb = 1", "[]\na = 1",
     "[a]x\nb = 1", "a = [1,, 2]", "a = [\n    1\n    2,\n]", 'a = "x[\n    1,\n]"', "a = 1__0",
     "a = [" * 1000, "a = [\n" * 100_000, "[a]\nb.c = 1\n[a.b]\nd = 2", "[[a]]\n[a]",
     "a = []\n[[a]]", "é = 1", "\ufeffa = 1", "a = 2026-02-30", "a = 1e5_"],
)  # fmt: skip
def test_what_is_no_toml_is_refused_by_both(text):
    assert not agrees(text)
    with pytest.raises((tomllib.TOMLDecodeError, RecursionError)):
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


def test_equal_sections_are_read_once_and_give_equal_records():
    other = record_to_toml(changed(example_record(2), "score", probes=3))
    one, two = parse_records([TEXT, other])
    assert repr(one) == repr(strictly(RunRecord, TEXT))
    assert repr(two) == repr(strictly(RunRecord, other))
    assert one.data is two.data
    assert one.score is not two.score
    assert (one.settings["seed"], two.settings["seed"]) == (1, 2)
    assert one.settings["train"] is two.settings["train"]


def test_of_many_records_those_that_are_not_valid_are_left_to_strict():
    broken = [TEXT.replace("tokens = ", "token = "), "", TEXT.replace("schema = 1", "schema = 2"), TEXT[:-1] + "x\n"]
    assert parse_records([broken[0], TEXT, *broken[1:]])[1] == example_record()
    assert parse_records([broken[0], TEXT, *broken[1:]])[::2] == [None, None, None]
    for text in broken:
        with pytest.raises(InputError):
            parse_record(text, "r")


VALUES = [
    "1", "-1", "+1", "0", "-0", "00", "01", "1_000", "0x1f", "1e5", "1E5", "1e+05", "1e-05", "1.5e-7", "-1.5",
    "-0.0", "+0.5", "1.", ".5", "1e400", "1e99", "1e-9999", "inf", "-inf", "nan", "9" * 17, "9" * 18, "9" * 19,
    str(2**63), str(-(2**63)), "9" * 400, "9" * 5000, "0." + "1" * 400, "1" * 17 + ".5", "1" * 18 + ".5",
    "1" * 19 + ".5", "true", "false", "True", '""', '"x"', '"' + "x" * 5000 + '"', '"' + "." * 101 + '"',
    '"a = b"', '"a\\tb"', '"\\u0041"', '"a\tb"', '"a\x7fb"', '"a\x1bb"', '"\u202e"', '"\u2028"', '"\x85"',
    '"é"', '"日"', '"𝟙"', '"a', "'a'", '"""a"""', '"""a\nb"""', '"a\n\n[score]\nb"', '"]"', '"[a]"', '"#"',
    "2026-05-01", "{}", "{a = 1}", "[]", "[1]", "[1, 2]", '["a"]', "[\n]", "[\n    1,\n]", "[\n    1\n]",
    '[\n    "a",\n    "b",\n]', "[[1]]", "[1, 2.0]", "", "1 2", "1٢",
]  # fmt: skip


def line_mutants(lines, number):
    """Texts in which one line is another."""
    line = lines[number]
    key, equals, value = line.partition(" = ")
    new = [
        "", f"{line}\n{line}", f"{line} ", f" {line}", f"{line}\t", f"{line} # why", f"{line}\r", f"{line}\n",
        f"# why\n{line}", line.upper(), line[:-1], line[1:], f"{line}x", f"{line}\x00", f"{line}\x0c",
        f"{line}\u2028", f"\ufeff{line}", line.replace(" ", "  "), f"{line}\n[x]", f"{line}\n\n[x]\ny = 1",
        f"{line}\n\n[[x]]\ny = 1", f"{line}\n\n[score]", f"{line}\n\n[score.x]\ny = 1", f"{line}\nextra = 1",
    ]  # fmt: skip
    if equals:
        new += [f"{key} = {one}" for one in VALUES] + [
            f"{one} = {value}" for one in (f'"{key}"', f"{key}s", f"{key}.a", "k" * 201)
        ]
        new += [
            f"{key}={value}",
            f"{key} = -{value}",
            f"{key} = {value}{value}",
            f"{key} = {value}.0",
            f"{key} = {value}e3",
        ]
    if number + 1 < len(lines):
        new.append(f"{lines[number + 1]}\n{line}")
    for one in new:
        yield "\n".join([*lines[:number], *one.split("\n"), *lines[number + 1 + (one == new[-1]) :]])


@pytest.mark.parametrize(("cls", "text", "quickest"), [(RunRecord, TEXT, 200), (EntryFacts, ENTRY, 100)])
def test_every_line_changed_in_many_ways_is_read_or_refused_as_strict_does(cls, text, quickest):
    lines = text.split("\n")
    draw = random.Random(0)
    mutants = [mutant for number in range(len(lines)) for mutant in line_mutants(lines, number)]
    read = 0
    assert both_say_the_same(cls, text)
    for mutant in draw.sample(mutants, min(len(mutants), 2_500)):
        read += both_say_the_same(cls, mutant)
    assert read > quickest


def test_sections_moved_repeated_and_left_out_are_read_or_refused_as_strict_does():
    sections = re.split(r"\n(?=\n\[)", TEXT)
    draw = random.Random(0)
    assert both_say_the_same(RunRecord, TEXT)
    for _ in range(400):
        some = list(sections)
        for _ in range(draw.choice((1, 1, 2))):
            one, other = draw.randrange(len(some)), draw.randrange(len(some))
            what = draw.randrange(3)
            section = some[other] if what else some.pop(one)
            if what == 1:
                some[one] = section
            elif what == 2:
                some.insert(one, section)
        both_say_the_same(RunRecord, "\n".join(some))


@pytest.mark.parametrize("change", [
    lambda text: text.replace("\n", "\r\n"), lambda text: text + "\n", lambda text: text[:-1],
    lambda text: "\n" + text, lambda text: "", lambda text: text.replace("schema = 1", "schema = 2"),
    lambda text: text.replace("schema = 1", "schema = 0"), lambda text: text[11:],
    lambda text: text.replace("schema = 1", "schema = true"),
    lambda text: text.replace("schema = 1", "schema = 1.0"), lambda text: text.replace("\n\n", "\n"),
    lambda text: text.replace("\n\n", "\n\n\n"), lambda text: "\ufeff" + text, lambda text: text * 2,
])  # fmt: skip
@pytest.mark.parametrize(("cls", "text"), [(RunRecord, TEXT), (EntryFacts, ENTRY)])
def test_a_whole_text_changed_is_read_or_refused_as_strict_does(cls, text, change):
    both_say_the_same(cls, change(text))


def edited(change):
    """The text of a record with its tables changed."""
    table = tomllib.loads(TEXT)
    change(table)
    return tomli_w.dumps(table)


def deep(levels):
    table = {"a": [1]}
    for _ in range(levels):
        table = {"a": table}
    return table


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t["score"].pop("nats"),
        lambda t: t["score"].update(extra=1),
        lambda t: t["score"].update(tokens=True),
        lambda t: t["score"].update(nats=-1.0),
        lambda t: t["score"].update(tokens=0),
        lambda t: t["sizes"]["by_role"].update({"": 1}),
        lambda t: t["sizes"]["by_role"].update({"x" * 201: 1}),
        lambda t: t["sizes"]["by_role"].update({"x": -1}),
        lambda t: t["sizes"].update(by_role=[]),
        lambda t: t["settings"].update(deep=deep(8)),
        lambda t: t["settings"].update(inside={"a\nb": 1}),
        lambda t: t["settings"].update(big=-(2**63) - 1),
        lambda t: t["run"].update(name="../up"),
        lambda t: t["hardware"].update(cores=1.0),
        lambda t: t.update(kernels=3),
        lambda t: t.update(extra=3),
        lambda t: t.pop("kernels"),
    ],
)
def test_every_fault_is_left_to_the_one_that_names_it(change):
    text = edited(change)
    assert not both_say_the_same(RunRecord, text)
    with pytest.raises(InputError):
        parse_record(text, "r")


@pytest.mark.parametrize(
    "change",
    [
        lambda t: None,
        lambda t: t["times"].update(train_seconds=45),
        lambda t: t["hardware"].pop("gpu"),
        lambda t: t["data"].update(shared_documents=2),
        lambda t: t["score"].update(tokens=t["score"].pop("tokens")),
        lambda t: t["settings"].update(inside={"a": [1, 2.5], "d": 1e30, "e": -(2**50)}),
        lambda t: t["settings"].update(empty={}),
        lambda t: t["settings"].update(deep=deep(4)),
        lambda t: t["hardware"].update(cpu="größer"),
        lambda t: t.update(kernels={}),
    ],
)
def test_what_is_less_usual_is_read_the_quick_way_too(change):
    assert both_say_the_same(RunRecord, edited(change))


@pytest.mark.parametrize("levels", range(9))
def test_settings_may_be_as_deep_by_either_way(levels):
    both_say_the_same(RunRecord, edited(lambda t: t["settings"].update(deep=deep(levels))))


def test_entries_with_what_has_a_default_left_out_are_read_the_quick_way():
    text = "\n".join(line for line in ENTRY.split("\n") if not line.startswith(("reason", "based_on")))
    assert both_say_the_same(EntryFacts, text)
