import os
import re
import tomllib
from dataclasses import replace

import pytest
import tomli_w

from golfreg.api import GolfregError, InputError
from golfreg.config.plan import Chosen
from golfreg.config.record import (
    MAX_RECORD_BYTES,
    RECORD_SCHEMA,
    ComponentFacts,
    parse_record,
    read_record,
    record_to_toml,
)
from golfreg.testing.records import changed, example_record

TEXT = record_to_toml(example_record())


def edited(change):
    """The example record's text after ``change(tables)``."""
    table = tomllib.loads(TEXT)
    change(table)
    return tomli_w.dumps(table)


def refused(text, *says):
    with pytest.raises(InputError) as caught:
        parse_record(text, "record `r`")
    message = f"{caught.value.message} / {caught.value.hint}"
    assert len(message) < 700
    for part in says:
        assert part in message, message


def test_a_record_reads_back_as_it_was():
    record = example_record()
    assert parse_record(TEXT, "r") == record
    assert record_to_toml(parse_record(TEXT, "r")) == TEXT


def test_every_line_of_a_record_is_one_fact_and_the_schema_comes_first():
    lines = TEXT.splitlines()
    assert lines[0] == f"schema = {RECORD_SCHEMA}"
    fact = re.compile(r'[\w-]+ = .+|\[[\w."-]+\]|    .+,|\]|')
    assert [line for line in lines if not fact.fullmatch(line)] == []


def test_keys_stand_in_a_fixed_order_however_tables_were_filled():
    record = example_record()
    turned = changed(record, "sizes", by_role=dict(reversed(record.sizes.by_role.items())))
    assert record_to_toml(turned) == TEXT
    sections = re.findall(r"^\[(\w+)", TEXT, re.MULTILINE)
    assert list(dict.fromkeys(sections)) == [
        "run", "components", "score", "sizes", "times", "train", "data", "artifact", "hardware", "environment",
        "kernels", "settings",
    ]  # fmt: skip


def test_settings_without_a_value_are_left_out_and_tuples_are_lists():
    record = replace(example_record(), settings={"mixer": {"window": None, "layers": (2, 5)}})
    assert parse_record(record_to_toml(record), "r").settings == {"mixer": {"layers": [2, 5]}}


def test_a_component_is_named_by_what_the_plan_chose():
    chosen = Chosen("codec", "lzma", "a.b:c", "golfreg", "0.1.0", "a.b")
    assert ComponentFacts.of(chosen) == ComponentFacts(name="lzma", distribution="golfreg", version="0.1.0")


def test_a_missing_key_is_named():
    refused(edited(lambda t: t["score"].pop("nats")), "record `r`: score has no `nats`")
    refused(edited(lambda t: t.pop("artifact")), "has no `artifact`")


def test_an_unknown_key_is_named_with_the_nearest_one():
    refused(edited(lambda t: t["score"].update(bits_per_bite=1.0)), "`bits_per_bite`", "did you mean `bits_per_byte`?")
    refused(edited(lambda t: t.update(extra={})), "unknown key `extra`")


@pytest.mark.parametrize(
    ("section", "key", "value", "says"),
    [
        ("score", "nats", "1.0", "score.nats is text; it must be a number"),
        ("score", "tokens", 1.5, "score.tokens is a number; it must be a whole number"),
        ("score", "tokens", True, "score.tokens is true or false; it must be a whole number"),
        ("score", "nats", True, "it must be a number"),
        ("score", "nats", float("nan"), "score.nats is nan; it must be finite"),
        ("score", "nats", float("-inf"), "it must be finite"),
        ("score", "nats", -1.0, "nats is -1.0; it cannot be negative"),
        ("score", "nats", 1e308, "nats is 1e+308; it cannot be over 1e+18"),
        ("times", "train_seconds", 1e200, "it cannot be over 1e+18"),
        ("score", "bytes", 0, "at least one token and one byte"),
        ("sizes", "code_bytes", 2**63, "does not fit in 64 bits"),
        ("sizes", "code_bytes", -1, "code_bytes is negative"),
        ("sizes", "by_role", {"embedding": -5}, "negative size"),
        ("sizes", "by_role", {"embedding": "5"}, "sizes.by_role.embedding is text; it must be a whole number"),
        ("sizes", "by_role", 3, "sizes.by_role is a whole number; it must be a table"),
        ("run", "name", "../../etc", "name is '../../etc'; it must be lower-case letters"),
        ("run", "date", "2026-02-30T00:00:00Z", "does not exist"),
        ("run", "date", "yesterday", "a time in UTC"),
        ("run", "spec_digest", "xyz", "a hexadecimal digest"),
        ("artifact", "sha256", "ab", "64 hexadecimal digits"),
        ("hardware", "cpu", "\x1b[2Jgone", "hardware.cpu holds a control character"),
        ("hardware", "cpu", "\u202eevil", "holds a control character"),
        ("settings", "x", [1, {"y": float("inf")}], "settings.x[1].y is inf"),
        ("environment", "packages", {"a\nb": "1"}, "has the key"),
        ("kernels", "op", "reference", "kernels.op is text; it must be a table"),
    ],
)
def test_a_wrong_fact_is_refused_and_named(section, key, value, says):
    refused(edited(lambda t: t[section].update({key: value})), says)


def test_dates_of_toml_are_no_settings():
    refused(TEXT + "\n[settings.more]\nday = 2026-01-01\n", "settings.more.day is a date")


def test_a_whole_number_will_do_where_a_number_is_asked_for():
    record = parse_record(edited(lambda t: t["times"].update(train_seconds=45)), "r")
    assert record.times.train_seconds == 45.0
    assert isinstance(record.times.train_seconds, float)


def test_a_newer_schema_is_refused_with_advice():
    refused(TEXT.replace("schema = 1", "schema = 2"), "has schema 2; this golfreg reads up to 1", "upgrade")


@pytest.mark.parametrize("line", ["", 'schema = "1"', "schema = true", "schema = 0", "schema = 1.0"])
def test_a_record_that_states_no_schema_is_refused(line):
    refused(TEXT.replace("schema = 1", line), "states no schema number")


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "\x00",
        "a = ",
        'a = "x',
        "a = 1\na = 2",
        "a = 2026-13-45",
        "a = " + "9" * 4000 + "9" * 90,
        "\ufeffschema = 1",
    ],
)
def test_text_that_is_not_toml_is_refused(text):
    refused(text, "record `r`")


def test_text_made_to_be_slow_or_deep_is_refused_at_once():
    refused("a" + ".a" * 1900 + " = 1", "line 1 is too long")
    refused("x = " + "[" * 4000, "nested too deeply")
    refused("x = 1\n" + "y" * 5000, "line 2 is too long")
    refused(edited(lambda t: t["settings"].update(deep=nested(12))), "nested too deeply")


def nested(depth):
    return {"a": nested(depth - 1)} if depth else 1


def test_a_record_that_could_not_be_read_back_is_not_written():
    with pytest.raises(InputError, match="finite"):
        record_to_toml(changed(example_record(), "score", nats=float("nan")))
    with pytest.raises(InputError, match="control character"):
        record_to_toml(changed(example_record(), "hardware", cpu="a\x07b"))
    with pytest.raises(InputError, match="finite"):
        record_to_toml(replace(example_record(), settings={"x": float("inf")}))


def test_files_that_are_no_records_are_refused(tmp_path):
    def file(name, data):
        (tmp_path / name).write_bytes(data)
        return tmp_path / name

    os.mkfifo(tmp_path / "pipe")
    for path, says in (
        (tmp_path / "absent", "No such file"),
        (tmp_path, "is not a file"),
        (tmp_path / "pipe", "is not a file"),
        (file("latin.toml", TEXT.encode() + b'# \xe9"'), "is not UTF-8 at byte"),
        (file("empty.toml", b""), "states no schema number"),
        (file("huge.toml", b"#" * (MAX_RECORD_BYTES + 1)), "has over 262,144 bytes"),
    ):
        with pytest.raises(GolfregError, match=says):
            read_record(path)


def test_a_huge_file_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "sparse.toml"
    with path.open("wb") as file:
        file.truncate(10**12)
    with pytest.raises(InputError, match="has over"):
        read_record(path)


def test_a_written_file_reads_back(tmp_path):
    (tmp_path / "record.toml").write_text(TEXT, "utf-8")
    assert read_record(tmp_path / "record.toml") == example_record()
