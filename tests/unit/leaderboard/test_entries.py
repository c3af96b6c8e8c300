import os
import shutil

import pytest

from golfreg.api import InputError
from golfreg.leaderboard.check import read_any
from golfreg.leaderboard.entries import STATUSES, parse_entry
from golfreg.leaderboard.reading import read_board, read_entry


def edit(path, old, new):
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf-8")


def refused(directory, says):
    with pytest.raises(InputError) as caught:
        read_entry(directory)
    assert says in f"{caught.value.message} / {caught.value.hint}"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("schema = 1", "schema = 99", "has schema 99; this golfreg reads up to 1"),
        ('status = "claimed"', 'status = "best"', "must be one of claimed, reproduced"),
        ('status = "claimed"', 'status = "invalid"', "an invalid entry has a `reason`"),
        ('status = "claimed"', 'state = "claimed"', "did you mean `status`?"),
        ('author = "A. Uthor"', "author = 3", "author is a whole number; it must be text"),
        ('author = "A. Uthor"', 'author = ""', "author is empty"),
        ('author = "A. Uthor"', 'author = "\\u001b[31m"', "holds a control character"),
        ('author = "A. Uthor"\n', "", "has no `author`"),
        ('name = "mine"', 'name = "other"', "says name `other`; its path says `mine`"),
        ('name = "mine"', 'name = "../mine"', "must be lower-case letters, digits"),
        ('date = "2026-05-02"', 'date = "2026-05-03"', "says date `2026-05-03`; its path says `2026-05-02`"),
        ('date = "2026-05-02"', 'date = "2026-02-31"', "it must be a day"),
        ('track = "cpu-smoke"', 'track = "other"', "says track `other`; its path says `cpu-smoke`"),
        ('ruleset = "cpu-smoke"', 'ruleset = "cpu-smok"', "did you mean `cpu-smoke`?"),
        ('ruleset = "cpu-smoke"', 'ruleset = "parameter-golf"', "is of track `parameter-golf`, not `cpu-smoke`"),
        ("based_on = []", 'based_on = ["../../x"]', "must be entries as `track/date_name`"),
        ("bytes_max", "bytes_maxx", "did you mean `bytes_max`?"),
        ("bits_per_byte_mean = 1.25", "bits_per_byte_mean = nan", "must be finite"),
    ],
)
def test_a_faulty_entry_file_is_refused_with_the_place(make_entry, old, new, says):
    directory = make_entry("mine", 1.25)
    edit(directory / "entry.toml", old, new)
    refused(directory, says)


def test_every_status_reads(make_entry):
    text = (make_entry("mine", 1.25) / "entry.toml").read_text("utf-8")
    for status in STATUSES:
        with_status = text.replace("claimed", status).replace('reason = ""', 'reason = "GR101"')
        assert parse_entry(with_status, "e").status == status


def test_the_path_must_repeat_the_content(make_entry):
    directory = make_entry("mine", 1.25)
    for place in (
        "cpu-smoke/2026-05-02_other",
        "cpu-smoke/mine",
        "other/2026-05-02_mine",
        "cpu-smoke/2026-05-02_m\x1b",
    ):
        target = directory.parents[1] / place
        shutil.copytree(directory, target)
        with pytest.raises(InputError) as caught:
            read_entry(target)
        assert "path says" in caught.value.message or "is not named as an entry is" in caught.value.message


def test_records_are_named_by_their_seed(make_entry):
    directory = make_entry("mine", 1.25)
    (directory / "runs/seed_1.toml").rename(directory / "runs/seed_7.toml")
    refused(directory, "is of seed 1")
    (directory / "runs/seed_7.toml").rename(directory / "runs/notes.txt")
    refused(directory, "holds `notes.txt`")
    (directory / "runs/notes.txt").unlink()
    refused(directory, "has no records")
    (directory / "runs").rmdir()
    refused(directory, "has no `runs` directory")


def test_a_second_spelling_of_one_seed_is_refused(make_entry):
    directory = make_entry("mine", 1.25)
    shutil.copy(directory / "runs/seed_1.toml", directory / "runs/seed_01.toml")
    refused(directory, "records are named `seed_N.toml`")


def test_links_out_of_an_entry_are_refused(make_entry, tmp_path):
    directory = make_entry("mine", 1.25)
    for part in ("runs/seed_1.toml", "runs", "entry.toml"):
        shutil.move(directory / part, tmp_path / "aside")
        os.symlink(tmp_path / "aside", directory / part)
        refused(directory, "is a symbolic link")
        (directory / part).unlink()
        shutil.move(tmp_path / "aside", directory / part)
    assert read_entry(directory).facts.name == "mine"


def test_one_broken_entry_does_not_hide_the_others(make_entry, tmp_path):
    make_entry("good", 1.25)
    (make_entry("bad", 1.2) / "entry.toml").write_bytes(b"\xff\xfe")
    (tmp_path / "board" / "cpu-smoke" / "empty").mkdir()
    (tmp_path / "board" / "README.md").write_text("not an entry", "utf-8")
    (tmp_path / "board" / "cpu-smoke" / ".2026-05-02_half.tmp").mkdir()
    board = read_board(tmp_path / "board")
    assert [entry.facts.name for entry in board.entries] == ["good"]
    assert [broken.key for broken in board.broken] == ["cpu-smoke/2026-05-02_bad", "cpu-smoke/empty"]
    assert "is not UTF-8" in board.broken[0].message


def test_a_missing_board_or_track_is_said(make_entry, tmp_path):
    with pytest.raises(InputError, match="there is no leaderboard at") as caught:
        read_board(tmp_path / "nowhere")
    assert "golfreg leaderboard add" in caught.value.hint
    make_entry("mine", 1.25)
    with pytest.raises(InputError, match="has no track `gpu`") as caught:
        read_board(tmp_path / "board", "gpu")
    assert caught.value.hint == "tracks: cpu-smoke"


def test_check_finds_a_board_a_track_or_an_entry(make_entry, tmp_path, monkeypatch):
    directory = make_entry("mine", 1.25)
    for path in (tmp_path / "board", directory.parent, directory):
        assert [entry.key for entry in read_any(path).entries] == ["cpu-smoke/2026-05-02_mine"]
    monkeypatch.chdir(directory)
    assert len(read_any(tmp_path / directory / ".").entries) == 1
    (directory / "entry.toml").unlink()
    for path in (tmp_path / "board", directory.parent, directory):
        assert [broken.key for broken in read_any(path).broken] == ["cpu-smoke/2026-05-02_mine"]
    with pytest.raises(InputError, match="no leaderboard, track or entry"):
        read_any(tmp_path / "nowhere")
