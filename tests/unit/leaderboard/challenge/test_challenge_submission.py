import json

import pytest

from golfreg.api import InputError
from golfreg.leaderboard.challenge.submission import read_submission

PLAIN = {"author": "a", "github_id": "g", "name": "n", "date": "2026-04-01", "val_bpb": 1.1}


def read(**changes):
    return read_submission(json.dumps({k: v for k, v in (PLAIN | changes).items() if v is not ...}).encode())


def test_a_plain_submission_has_nothing_odd():
    said = read(bytes_total=15_900_000, val_loss=1.86)
    assert (said.author, said.github, said.title, said.day) == ("a", "g", "n", "2026-04-01")
    assert (said.bits_per_byte, said.nats_per_token, said.total_bytes) == (1.1, 1.86, 15_900_000)
    assert said.oddities == ()


@pytest.mark.parametrize("name", ["val_bpb", "mean_val_bpb", "mean_bpb", "val_bpb_mean"])
def test_every_public_name_of_the_score_is_read(name):
    assert read(**({"val_bpb": ...} | {name: 1.0797})).bits_per_byte == 1.0797


@pytest.mark.parametrize("name", ["bytes_total", "artifact_bytes", "artifact_size_bytes", "artifact_bytes_max"])
def test_every_public_name_of_the_total_is_read(name):
    said = read(**{name: "15,992,546"})
    assert said.total_bytes == 15_992_546
    assert said.oddities == (f"`{name}` is a number written as text",)


@pytest.mark.parametrize(
    "seeds",
    [
        {"seed_results": {"1": {"val_bpb": 1.2}, "seed_42": {"val_bpb": 1.3}}},
        {"seed_results": {"1": 1.2, "42": 1.3}},
        {"seed_results": [{"seed": 1, "val_bpb": 1.2}, {"seed": "42", "val_bpb": 1.3}]},
        {"seeds": {"1": {"val_bpb": 1.2}, "42": {"val_bpb": 1.3}}},
        {"seeds": [{"seed": 1, "val_bpb": 1.2}, {"seed": 42, "mean_bpb": 1.3}]},
        {"seeds": [1, 42], "seed_scores": [1.2, 1.3]},
        {"seed_1": {"val_bpb": 1.2}, "seed_42": 1.3},
        {"results": {"1": {"val_bpb": 1.2}, "42": {"val_bpb": 1.3}, "note": "x"}},
    ],
)
def test_every_public_form_of_the_seeds_is_read(seeds):
    said = read(**seeds)
    assert {one.seed: one.bits_per_byte for one in said.seeds} == {1: 1.2, 42: 1.3}
    assert sorted(said.listed_seeds) == [1, 42]
    assert said.oddities == ()


def test_milliseconds_become_seconds():
    said = read(seeds={"7": {"val_bpb": 1.1, "train_time_ms": 588_004, "ttt_time_ms": 293_430}})
    assert said.seeds[0].train_seconds == pytest.approx(588.004)
    assert said.seeds[0].score_seconds == pytest.approx(293.43)


@pytest.mark.parametrize(
    ("said", "pulls"),
    [
        ({"base_pr": 1394}, (1394,)),
        ({"based_on": "PR #1394 (@someone)"}, (1394,)),
        ({"base_submission": "2026-04-19_Folder (PR #1736)"}, (1736,)),
        ({"attribution": {"pr1787_base": "@someone (PR #1787)", "other": "PR #549"}}, (1787,)),
        ({"based_on": {"x": 1}}, ()),
        ({"base_pr": True}, ()),
    ],
)
def test_what_it_builds_on_is_read_where_it_is_stated(said, pulls):
    assert read(**said).based_on == pulls


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b'{"val_bpb": 1.1 "name": "x"}', "is not JSON"),
        (b'{"name": "unterminated', "is not JSON"),
        (b'{"val_bpb": 1.1, // a comment\n}', "is not JSON"),
        (b"{val_bpb: 1.1}", "is not JSON"),
        (b"[1, 2]", "holds a list, not an object"),
        (b"3", "holds a value, not an object"),
        (b"\xff\xfe{\x00", "is not UTF-8"),
        (b"[" * 200_000, "is nested too deeply"),
        (b'{"a":' * 200_000, "is nested too deeply"),
    ],
)
def test_a_file_without_an_object_is_an_error_that_says_why(data, says):
    with pytest.raises(InputError) as caught:
        read_submission(data)
    assert says in caught.value.message
    assert len(caught.value.message) < 300


@pytest.mark.parametrize(
    ("data", "odd"),
    [
        (b"\xef\xbb\xbf" + json.dumps(PLAIN).encode(), "byte order mark"),
        (json.dumps(PLAIN).encode() + b"}\n{}", "characters after its end"),
        (b'{"val_bpb": NaN}', "NaN, which is not JSON"),
        (b'{"val_bpb": -Infinity}', "-Infinity, which is not JSON"),
        (b'{"val_bpb": 1e999}', "out of range"),
        (b'{"val_bpb": ' + b"9" * 10_000 + b"}", "a number of 10,000 digits"),
        (b'{"val_bpb": null}', "`val_bpb` is null, not a number"),
        (b'{"val_bpb": {"a": 1}}', "`val_bpb` is an object, not a number"),
        (b'{"val_bpb": [1.1]}', "`val_bpb` is a list, not a number"),
        (b'{"val_bpb": true}', "true or false, not a number"),
        (b'{"val_bpb": "<0.001x"}', "not a number"),
        (b'{"val_bpb": -1}', "out of range"),
        (b'{"val_bpb": 1.1, "val_bpb": 1.2}', "a key twice"),
        (b'{"val_bpb": 1.1, "date": "yesterday"}', "not a day"),
        (b'{"val_bpb": 1.1, "date": "2026-02-31"}', "not a day"),
        (b'{"val_bpb": 1.1, "date": 20260401}', "not a day"),
        (b'{"val_bpb": 1.1, "name": ["n"]}', "`name` is a list, not text"),
        (b'{"val_bpb": 1.1, "seeds": {"../../etc": 1}}', "names the seed"),
        (b'{"val_bpb": 1.1, "seeds": [1, 1], "seed_results": [{"seed": {}}]}', "names the seed"),
    ],
)
def test_every_oddity_is_said_and_never_a_crash(data, odd):
    said = read_submission(data)
    assert any(odd in one for one in said.oddities), said.oddities
    assert all(one.isprintable() and len(one) < 300 for one in said.oddities)


def test_hostile_text_is_kept_as_text_and_cut():
    hostile = "\x1b[2J[bold]<script>alert(1)</script>\u202e../../etc/passwd"
    said = read(name=hostile, author="x" * 500_000, github_id="\ud800")
    assert said.title.isprintable()
    assert "<script>" in said.title
    assert "\x1b" not in said.title
    assert len(said.author) == 200
    assert said.github == "\\ud800"
    assert any("500,000 characters" in odd for odd in said.oddities)


def test_a_thousand_seeds_are_cut_at_a_hundred():
    said = read(seed_results={str(n): {"val_bpb": 1.1} for n in range(1000)})
    assert len(said.listed_seeds) == len(said.seeds) == 100
    assert "names 1,000 seeds: the first 100 are read" in said.oddities


def test_an_author_may_be_an_object():
    said = read(author={"name": "A", "github": "gg"}, github_id=...)
    assert (said.author, said.github) == ("A", "gg")
