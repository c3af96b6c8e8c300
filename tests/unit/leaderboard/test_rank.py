import json

from golfreg.leaderboard.entries import read_board
from golfreg.leaderboard.rank import rank
from golfreg.leaderboard.render import COLUMNS, board_values, cells, escape, fit, markdown, score_text


def ranked(tmp_path, now):
    return rank(read_board(tmp_path / "board").entries, now)


def test_ranks_follow_the_mean_and_not_the_best_seed(make_entry, tmp_path, now):
    make_entry("steady", 1.25, 1.25)
    make_entry("lucky", 1.10, 1.50)
    make_entry("best", 1.24)
    rows = ranked(tmp_path, now)["cpu-smoke"]
    assert [(row.rank, row.entry.facts.name) for row in rows] == [(1, "best"), (2, "steady"), (3, "lucky")]


def test_what_an_entry_declares_does_not_move_its_rank(make_entry, tmp_path, now):
    make_entry("honest", 1.25)
    path = make_entry("boastful", 1.35) / "entry.toml"
    path.write_text(path.read_text("utf-8").replace("bits_per_byte_mean = 1.35", "bits_per_byte_mean = 1.05"), "utf-8")
    rows = ranked(tmp_path, now)["cpu-smoke"]
    assert [(row.rank, row.entry.facts.name) for row in rows] == [(1, "honest"), (None, "boastful")]
    assert abs(rows[1].figures.bits_per_byte_mean - 1.35) < 1e-9
    assert cells(rows[1])[COLUMNS.index("findings")] == "1 FAIL"


def test_a_withdrawn_entry_has_no_rank(make_entry, tmp_path, now):
    make_entry("second", 1.25)
    path = make_entry("first", 1.2) / "entry.toml"
    path.write_text(path.read_text("utf-8").replace("claimed", "withdrawn"), "utf-8")
    rows = ranked(tmp_path, now)["cpu-smoke"]
    assert [(row.rank, row.entry.facts.name) for row in rows] == [(1, "second"), (None, "first")]


def test_of_equal_scores_the_earlier_comes_first(make_entry, tmp_path, now):
    make_entry("later", 1.25)
    make_entry("earlier", 1.25, now=now.replace(day=1, hour=23))
    assert [row.entry.facts.name for row in ranked(tmp_path, now)["cpu-smoke"]] == ["earlier", "later"]


def test_a_row_shows_the_components_the_score_and_the_bytes(make_entry, tmp_path, now):
    make_entry("mine", 1.25, 1.27)
    (row,) = ranked(tmp_path, now)["cpu-smoke"]
    assert dict(zip(COLUMNS, cells(row), strict=True)) == {
        "rank": "1",
        "name": "mine",
        "architecture": "mamba3",
        "quantizer": "int6",
        "codec": "lzma",
        "bits per byte": "1.2600 ± 0.0141",
        "bytes": "925,000",
        "headroom": "15,075,000",
        "seeds": "2",
        "date": "2026-05-02",
        "status": "claimed",
        "findings": "none",
    }
    assert score_text(1.25, None) == "1.2500"


def test_json_values_are_in_full_precision_and_list_what_is_broken(make_entry, tmp_path, now):
    make_entry("mine", 1.25, 1.27)
    (make_entry("bad", 1.0) / "entry.toml").unlink()
    board = read_board(tmp_path / "board")
    values = json.loads(json.dumps(board_values(board, rank(board.entries, now)), allow_nan=False))
    (row,) = values["tracks"]["cpu-smoke"]
    assert abs(row["bits_per_byte_mean"] - 1.26) < 1e-12
    assert row["seeds"] == [1, 2]
    assert row["findings"] == []
    assert values["broken"][0]["entry"] == "cpu-smoke/2026-05-02_bad"


def test_markdown_is_one_table_a_track(make_entry, tmp_path, now):
    make_entry("mine", 1.25)
    lines = markdown(ranked(tmp_path, now)).splitlines()
    assert lines[0] == "## cpu-smoke"
    assert lines[2].startswith("| rank | name |")
    assert lines[4].startswith("| 1 | mine | mamba3 | int6 | lzma | 1.2500 | 925,000 |")
    assert len({line.count("|") for line in lines[2:]}) == 1


def test_hostile_text_is_dead_in_markdown():
    assert escape("<img src=x onerror=y>|[a](b)`*_") == "&lt;img src=x onerror=y&gt;\\|\\[a\\]\\(b\\)\\`\\*\\_"
    assert escape("a\x1b[2Jb\nc") == "a\\\\x1b\\[2Jb\\\\nc"
    assert escape("&lt;") == "&amp;lt;"


def test_a_narrow_terminal_gets_fewer_columns_and_never_loses_rank_name_and_score(make_entry, tmp_path, now):
    make_entry("mine", 1.25, 1.27)
    rows = [cells(row) for row in ranked(tmp_path, now)["cpu-smoke"]]
    assert fit(COLUMNS, rows, 200) == (list(COLUMNS), [list(rows[0])])
    columns, lines = fit(COLUMNS, rows, 80)
    assert columns == ["rank", "name", "architecture", "bits per byte", "bytes", "seeds", "findings"]
    assert lines == [["1", "mine", "mamba3", "1.2600 ± 0.0141", "925,000", "2", "none"]]
    assert fit(COLUMNS, rows, 10)[0] == ["rank", "name", "bits per byte"]
