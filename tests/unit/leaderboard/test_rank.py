import json
from datetime import UTC, datetime

from golfreg.leaderboard import rank
from golfreg.leaderboard.columns import COLUMNS, DEFAULT
from golfreg.leaderboard.lines import line_of, place
from golfreg.leaderboard.reading import read_board
from golfreg.leaderboard.render import escape, score_text
from golfreg.leaderboard.scan import list_board

NOW = datetime(2026, 5, 2, tzinfo=UTC)


def ranked(tmp_path):
    """By both ways, which must agree."""
    entries = read_board(tmp_path / "board").entries
    rows = rank.rank(entries, NOW)
    placed = place(line_of(entry, entry.findings(NOW)) for entry in entries)
    assert {track: [(row.entry.key, row.rank) for row in each] for track, each in rows.items()} == {
        track: [(one.line.entry, one.rank) for one in each] for track, each in placed.items()
    }
    assert place(list_board(tmp_path / "board", now=NOW).lines) == placed
    return placed


def edit(path, old, new):
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def names(rows):
    return [(one.rank, one.line.name) for one in rows]


def test_ranks_follow_the_mean_and_not_the_best_seed(make_entry, tmp_path):
    make_entry("steady", 1.25, 1.25)
    make_entry("lucky", 1.10, 1.50)
    make_entry("best", 1.24)
    assert names(ranked(tmp_path)["cpu-smoke"]) == [(1, "best"), (2, "steady"), (3, "lucky")]


def test_what_an_entry_declares_does_not_move_its_rank(make_entry, tmp_path):
    make_entry("honest", 1.25)
    path = make_entry("boastful", 1.35) / "entry.toml"
    edit(path, "bits_per_byte_mean = 1.35", "bits_per_byte_mean = 1.05")
    rows = ranked(tmp_path)["cpu-smoke"]
    assert names(rows) == [(1, "honest"), (None, "boastful")]
    assert abs(rows[1].line.bits_per_byte_mean - 1.35) < 1e-9
    assert COLUMNS["findings"].text(rows[1]) == "1 FAIL"
    assert rows[1].line.findings[0]["code"] == "GR302"


def test_a_withdrawn_entry_has_no_rank(make_entry, tmp_path):
    make_entry("second", 1.25)
    edit(make_entry("first", 1.2) / "entry.toml", "claimed", "withdrawn")
    assert names(ranked(tmp_path)["cpu-smoke"]) == [(1, "second"), (None, "first")]


def test_of_equal_scores_the_earlier_comes_first(make_entry, tmp_path, now):
    make_entry("later", 1.25)
    make_entry("earlier", 1.25, now=now.replace(day=1, hour=23))
    assert names(ranked(tmp_path)["cpu-smoke"]) == [(1, "earlier"), (2, "later")]


def test_a_row_shows_the_components_the_score_and_the_bytes(make_entry, tmp_path):
    make_entry("best", 1.24)
    make_entry("mine", 1.25, 1.27)
    row = ranked(tmp_path)["cpu-smoke"][1]
    assert {name: COLUMNS[name].text(row) for name in DEFAULT} == {
        "rank": "2",
        "name": "mine",
        "architecture": "mamba3",
        "quantizer": "int6",
        "codec": "lzma",
        "bpb": "1.2600 ± 0.0141",
        "gap": "0.0200",
        "bytes": "925,000",
        "headroom": "15,075,000",
        "seeds": "2",
        "date": "2026-05-02",
        "status": "claimed",
        "frontier": "",
        "findings": "none",
    }
    assert score_text(1.25, None) == "1.2500"


def test_the_gap_is_to_the_best_that_is_ranked(make_entry, tmp_path):
    edit(make_entry("gone", 1.1) / "entry.toml", "claimed", "withdrawn")
    make_entry("best", 1.2)
    make_entry("next", 1.25)
    gaps = {one.line.name: one.gap for one in ranked(tmp_path)["cpu-smoke"]}
    assert gaps["gone"] is None
    assert gaps["best"] == 0.0
    assert abs(gaps["next"] - 0.05) < 1e-9


def test_the_frontier_is_who_was_best_when_claimed(make_entry, tmp_path, now):
    for name, day, score in (
        ("first", 1, 1.40),
        ("worse", 2, 1.45),
        ("better", 3, 1.30),
        ("same-day-best", 4, 1.10),
        ("same-day", 4, 1.20),
        ("equal", 5, 1.10),
        ("last", 6, 1.05),
    ):
        make_entry(name, score, now=now.replace(month=5, day=day, hour=13))
    edit(make_entry("broken-rule", 1.0) / "entry.toml", "bytes_max = 925000", "bytes_max = 924999")
    later = datetime(2026, 6, 1, tzinfo=UTC)
    rows = place(list_board(tmp_path / "board", now=later).lines)["cpu-smoke"]
    on = {one.line.name for one in rows if one.frontier}
    assert on == {"first", "better", "same-day-best", "last"}


def test_lines_are_plain_values_in_full_precision(make_entry, tmp_path):
    make_entry("mine", 1.25, 1.27)
    (one,) = ranked(tmp_path)["cpu-smoke"]
    assert json.loads(json.dumps(one.line, allow_nan=False)) == list(one.line)
    assert abs(one.line.bits_per_byte_mean - 1.26) < 1e-12
    assert one.line.seeds == [1, 2]
    assert one.line.train_seconds_max == 40.0
    assert one.line.findings == []


def test_hostile_text_is_dead_in_markdown():
    assert escape("<img src=x onerror=y>|[a](b)`*_") == "&lt;img src=x onerror=y&gt;\\|\\[a\\]\\(b\\)\\`\\*\\_"
    assert escape("a\x1b[2Jb\nc") == "a\\\\x1b\\[2Jb\\\\nc"
    assert escape("&lt;") == "&amp;lt;"
    assert escape("@bob, www.x.org, HTTPS://x.org") == "\\@\u2060bob, www\u2060.x.org, HTTPS\u2060\\://x.org"
