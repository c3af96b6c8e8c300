import csv
import io
import json
import os
import pty
import subprocess
import sys

import pytest
from rich.console import Console
from typer.testing import CliRunner

from golfreg.api import ConfigError
from golfreg.cli.leaderboard import app
from golfreg.cli.out import make_table
from golfreg.leaderboard import columns as columns_of
from golfreg.leaderboard.columns import COLUMNS, find_columns, texts
from golfreg.leaderboard.lines import Line, Placed, place
from golfreg.leaderboard.select import matching, parse_where, sorter
from golfreg.leaderboard.table import csv_text, fit, json_lines, text_table


def line(name, score=1.25, **facts):
    values = {
        "entry": f"t/2026-05-02_{name}", "track": "t", "name": name, "author": "A. Uthor", "date": "2026-05-02",
        "status": "claimed", "reason": "", "ruleset": "r", "architecture": "mamba3", "quantizer": "int6",
        "codec": "lzma", "corpus": "docstrings", "tokenizer": "sp1024", "title": "", "source": "",
        "bits_per_byte_mean": score, "bits_per_byte_std": 0.001, "nats_per_token_mean": 3.0, "bytes_max": 900_000,
        "headroom_bytes": 15_100_000, "train_seconds_max": 40.0, "score_seconds_max": 20.0,
        "standard_error_max": 0.0123, "fails": 0, "warns": 0,
        "seeds": [1, 2, 3], "mixers": ["mamba3"], "based_on": [], "techniques": ["ema", "Muon"], "findings": [],
        "declared": {"bits_per_byte_mean": score},
    }  # fmt: skip
    return Line(**(values | facts))


ROWS = place(
    [
        line("best", 1.1, author="Ann", date="2026-05-03", bytes_max=1_000_000),
        line("second", 1.2, architecture="transformer", mixers=["attention"], seeds=[1], bits_per_byte_std=None),
        line("third", 1.3, date="2026-04-30", codec="zlib", techniques=[]),
        line("unknown", 1.4, bytes_max=None, headroom_bytes=None, nats_per_token_mean=None, title="Éa [x]", warns=1),
        line("gone", 1.0, status="withdrawn", reason="GR101"),
        line("bad", 1.05, fails=1, findings=[{"code": "GR302", "level": "FAIL", "message": "m", "where": ""}]),
    ]
)["t"]


def names(rows):
    return [row.line.name for row in rows]


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ([], "best second third unknown gone bad"),
        (["architecture=mamba3"], "best third unknown gone bad"),
        (["architecture=MAMBA*", "codec!=lzma"], "third"),
        (["mixer=attention"], "second"),
        (["quantizer=int8"], ""),
        (["tokenizer=sp1024", "author=ann"], "best"),
        (["status!=claimed"], "gone"),
        (["ruleset=r", "seeds>=3", "bpb<=1.3"], "best third gone bad"),
        (["seeds<3"], "second"),
        (["bytes<=900,000"], "second third gone bad"),
        (["bytes > 900_000"], "best"),
        (["bpb=1.3"], "third"),
        (["gap<=0.1", "rank>=1"], "best second"),
        (["date>=2026-05-03"], "best"),
        (["date=2026-05"], "best second unknown gone bad"),
        (["date<=2026-04"], "third"),
        (["technique=muon"], "best second unknown gone bad"),
        (["text=ANN ema"], "best"),
        (["text=éa"], "unknown"),
        (["text="], "best second third unknown gone bad"),
        (["title=*[x]"], "unknown"),
        (["finding=GR302"], "bad"),
        (["reason=GR*"], "gone"),
        (["author=A. Uthor", "name=*d"], "second third bad"),
    ],
)
def test_conditions_choose_entries(conditions, expected):
    assert " ".join(names(matching(ROWS, parse_where(conditions)))) == expected


@pytest.mark.parametrize(
    ("condition", "says"),
    [
        ("archtecture=x", "did you mean `architecture`?"),
        ("seed>=3", "did you mean `seeds`?"),
        ("architecture", "is no condition / as in `architecture=mamba3`"),
        ("", "is no condition"),
        ("bytes<=many", "`bytes` is a number"),
        ("bpb<=nan", "`bpb` is a number"),
        ("date>=May", "a date is 2026, 2026-05 or 2026-05-01"),
        ("author>=x", "`author` is text, which has `=` and `!=`"),
        ("\x1b[31m=x", "is no condition"),
    ],
)
def test_a_condition_that_means_nothing_is_refused_with_what_would(condition, says):
    with pytest.raises(ConfigError) as caught:
        parse_where([condition])
    said = f"{caught.value.message} / {caught.value.hint}"
    assert says in said
    assert said.isprintable()


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        (None, "best second third unknown gone bad"),
        ("name", "bad best gone second third unknown"),
        ("-bpb", "unknown third second best bad gone"),
        ("bytes,-bpb", "third second bad gone best unknown"),
        ("-bytes,name", "best bad gone second third unknown"),
        ("date,rank", "third second unknown gone bad best"),
    ],
)
def test_sorting_is_by_value_and_what_is_unknown_is_last(sort, expected):
    assert " ".join(names(sorter(sort)(ROWS))) == expected


def test_unknown_columns_get_the_near_match():
    with pytest.raises(ConfigError, match="there is no column `nme`") as caught:
        find_columns("rank,nme")
    assert caught.value.hint == "did you mean `name`?"
    with pytest.raises(ConfigError, match="`--sort`: there is no column `zzz`") as caught:
        sorter("-zzz")
    assert "columns: architecture, author" in caught.value.hint
    with pytest.raises(ConfigError, match="names `name` twice"):
        find_columns("name,name")
    assert [column.name for column in find_columns(" bits per byte, Name")] == ["bpb", "name"]


def as_rich_prints_it(title, columns, cells):
    """The lines of ``Out.table`` on a pipe, without spaces at their ends."""
    out = io.StringIO()
    table = make_table(
        [c.heading for c in columns], zip(*cells, strict=True), title, [c.heading for c in columns if c.number]
    )
    Console(file=out, width=10_000, markup=False, highlight=False, emoji=False, soft_wrap=True).print(table)
    return [one.rstrip() for one in out.getvalue().splitlines()]


@pytest.mark.parametrize("names", [None, "name,title,author", ",".join(COLUMNS)])
def test_the_quick_table_is_the_one_that_rich_prints(names):
    rows = [*ROWS, Placed(line("wide", author="作者 \u0301é", title="a\u200bb"), 9, None, False)]
    columns = find_columns(names)
    cells = texts(columns, rows)
    assert list(text_table("track t", columns, cells)) == as_rich_prints_it("track t", columns, cells)


def test_a_quick_table_fits_a_terminal_by_folding():
    rows = [Placed(line("a", author="x" * 100), 1, 0.0, True)]
    columns = find_columns("rank,name,author,bpb")
    lines = list(text_table("t", columns, texts(columns, rows), 60))
    assert max(map(len, lines)) <= 60
    assert sum(one.count("x") for one in lines) == 100


def test_a_narrow_terminal_gets_fewer_columns_and_never_loses_rank_name_and_score():
    columns = find_columns(None)
    cells = texts(columns, ROWS)
    assert fit(columns, cells, 200) == (columns, cells)
    assert [c.name for c in fit(columns, cells, 80)[0]] == ["rank", "name", "architecture", "bpb", "bytes", "findings"]
    assert [c.name for c in fit(columns, cells, 10)[0]] == ["rank", "name", "bpb"]


def test_csv_is_in_full_precision_and_no_text_is_a_formula():
    hostile = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", 'a "quoted", text', "=cmd|' /C calc'!A0"]
    rows = [
        Placed(line(f"e{i}", 1.1 + 0.1 * i, author=text, headroom_bytes=-5), i, None, i == 1)
        for i, text in enumerate(hostile)
    ]
    found = list(csv.DictReader(io.StringIO(csv_text(find_columns("author,bpb,headroom,frontier,gap"), {"t": rows}))))
    assert [row["author"] for row in found] == [
        "'=1+1", "'+1", "'-1", "'@SUM(A1)", "'\t=1", 'a "quoted", text', "'=cmd|' /C calc'!A0",
    ]  # fmt: skip
    assert [float(row["bpb"]) for row in found] == [1.1 + 0.1 * i for i in range(7)]
    assert {row["headroom"] for row in found} == {"-5"}
    assert found[1]["frontier"] == "True"
    assert found[1]["gap"] == ""
    assert found[0]["track"] == "t"


def test_json_holds_every_value_and_is_one_entry_a_line():
    text = "\n".join(json_lines({"t": ROWS, "u": []}, []))
    found = json.loads(text)
    assert [row["rank"] for row in found["tracks"]["t"]] == [1, 2, 3, 4, None, None]
    first = found["tracks"]["t"][0]
    assert first["bits_per_byte_mean"] == 1.1
    assert first["mixers"] == ["mamba3"]
    assert "bytes_max" not in found["tracks"]["t"][3]
    assert found["tracks"]["u"] == found["broken"] == []
    assert len(text.splitlines()) == 4 + len(ROWS)


@pytest.fixture
def call(make_entry, tmp_path):
    make_entry("steady", 1.25, 1.26, author="Ann")
    make_entry("best", 1.20, 1.21)

    def call(*arguments, error=None):
        result = CliRunner().invoke(app, ["show", "--root", str(tmp_path / "board"), *arguments])
        assert (result.exception is None) if error is None else isinstance(result.exception, error), result.exception
        return (result.stdout, result.stderr) if error is None else result.exception

    return call


def test_filters_sorting_columns_and_limit_work_together(call):
    said, talk = call("--columns", "rank,name,gap", "--sort", "-bpb", "--limit", "1")
    assert [one.split() for one in said.splitlines()[4:-1]] == [["2", "steady", "0.0500"]]
    assert "1 of 2 entries" in talk
    assert call("--where", "author=ann", "--where", "seeds>=2", "--csv", "--columns", "name")[0] == (
        "track,name\ncpu-smoke,steady\n"
    )
    assert json.loads(call("--where", "author=nobody", "--json")[0]) == {"tracks": {"cpu-smoke": []}, "broken": []}
    assert "steady" not in call("--frontier")[0]
    assert "| 1 | best | 2 |" in call("--markdown", "--columns", "rank,name,seeds")[0]


def test_a_rank_is_of_the_whole_track_whatever_is_shown(call):
    (row,) = json.loads(call("--where", "author=ann", "--json")[0])["tracks"]["cpu-smoke"]
    assert row["rank"] == 2
    assert abs(row["gap"] - 0.05) < 1e-9


def test_two_forms_exclude_each_other(call):
    assert call("--csv", "--json", error=ConfigError).message == "`--json` and `--csv` exclude each other"


def test_help_has_examples_and_names_columns_that_exist():
    said = CliRunner().invoke(app, ["show", "--help"]).output
    assert said.count("golfreg leaderboard show") >= 4
    assert set(columns_of.DEFAULT) | set(columns_of.LEAST_NEEDED) <= set(COLUMNS)


def test_a_terminal_gets_a_styled_table_that_fits(call, tmp_path):
    reader, writer = pty.openpty()
    arguments = [sys.executable, "-m", "golfreg", "leaderboard", "show", "--root", str(tmp_path / "board")]
    environment = {**os.environ, "COLUMNS": "60", "TERM": "xterm"}
    subprocess.run(arguments, stdout=writer, stderr=subprocess.PIPE, env=environment, check=True, timeout=60)
    os.close(writer)
    said = os.read(reader, 100_000).decode()
    os.close(reader)
    assert "\x1b[1m" in said
    assert "best" in said
    assert "headroom" not in said
