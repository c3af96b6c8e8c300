import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from hashlib import blake2b

import pytest

from golfreg.config.imported import Imported, Source, imported_to_toml
from golfreg.leaderboard import index, read_lines, scan, workers
from golfreg.leaderboard.scan import list_board

LATER = datetime(2026, 6, 1, tzinfo=UTC)
NEVER_RACY = -(10**10)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("GOLFREG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(read_lines, "RACY_NANOSECONDS", NEVER_RACY)
    return tmp_path / "cache"


@pytest.fixture
def board(make_entry, tmp_path):
    for name, score in (("one", 1.25), ("two", 1.20), ("three", 1.30)):
        make_entry(name, score, score + 0.01)
    return tmp_path / "board"


def listed(board, **options):
    return list_board(board, **{"now": LATER, "some_entries": 0} | options)


def from_files(board, now=LATER):
    """Without an index."""
    return list_board(board, now=now, some_entries=10**9)


def holds(board, read):
    """The listing is what the files say, and this many entries were read for it."""
    found = listed(board)
    assert found.read == read
    fresh = from_files(board)
    assert (found.lines, found.broken) == (fresh.lines, fresh.broken)
    return found


def same_size(path, old, new):
    """Edit a file so that its size and the time of its content stay."""
    assert len(old) == len(new)
    status = path.stat()
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_what_did_not_change_is_not_read_again(board, cache):
    holds(board, 3)
    holds(board, 0)
    assert len(list(cache.rglob("*.index"))) == 1
    assert not [path for path in board.rglob("*") if path.suffix not in (".toml", ".md", "")]


def test_every_change_to_an_entry_is_seen(board):
    holds(board, 3)
    entry = next(board.glob("*/*_one"))
    same_size(entry / "entry.toml", "A. Uthor", "B. Uthor")
    assert holds(board, 1).lines[0].author == "B. Uthor"
    same_size(entry / "runs/seed_2.toml", "score_seconds = 12.5", "score_seconds = 99.5")
    assert holds(board, 1).lines[0].fails == 1
    (entry / "runs/seed_2.toml").unlink()
    assert holds(board, 1).lines[0].seeds == [1]
    shutil.copy(entry / "runs/seed_1.toml", entry / "runs/copy.toml")
    assert len(holds(board, 1).broken) == 1
    (entry / "runs/copy.toml").unlink()
    holds(board, 1)
    (entry / "imported.toml").write_text(
        imported_to_toml(Imported(source=Source(url="https://x", folder="y"))), "utf-8"
    )
    holds(board, 1)
    (entry / "imported.toml").unlink()
    (entry / "imported.toml").symlink_to("/nowhere")
    assert "is a symbolic link" in holds(board, 1).broken[0].message
    (entry / "imported.toml").unlink()
    holds(board, 1)
    (entry / "runs").rename(board / "aside")
    (entry / "runs").symlink_to(board / "aside")
    assert "is a symbolic link" in holds(board, 1).broken[0].message


def test_entries_that_come_and_go_are_seen(board, tmp_path):
    holds(board, 3)
    one = next(board.glob("*/*_one"))
    shutil.move(one, tmp_path / "elsewhere")
    assert [line.name for line in holds(board, 0).lines] == ["three", "two"]
    shutil.move(tmp_path / "elsewhere", one)
    assert len(holds(board, 1).lines) == 3
    holds(board, 0)
    shutil.rmtree(board / "cpu-smoke")
    assert holds(board, 0).lines == []


def test_a_broken_entry_is_read_each_time(board):
    path = next(board.glob("*/*_one")) / "entry.toml"
    path.write_text(path.read_text("utf-8").replace("schema = 1", ""), "utf-8")
    for read in (3, 1, 1):
        assert len(holds(board, read).broken) == 1


def test_what_was_just_written_is_read_again(board, monkeypatch):
    monkeypatch.setattr(read_lines, "RACY_NANOSECONDS", 3600 * 10**9)
    for _ in range(2):
        holds(board, 3)


def test_findings_that_depend_on_the_clock_are_not_kept(board):
    early, late = datetime(2026, 4, 1, tzinfo=UTC), LATER
    for _ in range(2):
        found = listed(board, now=early)
        assert found.read == 3
        assert [line.fails for line in found.lines] == [3, 3, 3]
    assert [line.fails for line in listed(board, now=late).lines] == [0, 0, 0]
    assert listed(board, now=late).read == 0
    back = listed(board, now=early)
    assert back.lines == from_files(board, early).lines
    assert [line.fails for line in back.lines] == [3, 3, 3]


def test_another_golfreg_or_ruleset_reads_everything_again(board, monkeypatch):
    holds(board, 3)
    before = index.made_by()
    monkeypatch.setattr(sys, "version", "4.0")
    assert index.made_by() != before
    holds(board, 3)


def test_one_track_leaves_the_others_in_the_index(board):
    (board / "other").mkdir()
    holds(board, 3)
    assert listed(board, track="other").lines == []
    assert listed(board, track="cpu-smoke").read == 0
    same_size(next(board.glob("*/*_one")) / "entry.toml", "A. Uthor", "B. Uthor")
    assert listed(board, track="cpu-smoke").read == 1
    holds(board, 0)


def test_a_small_board_leaves_nothing_in_the_cache(board, cache):
    list_board(board, now=LATER)
    assert not cache.exists()


@pytest.mark.parametrize("kind", ["in the way", "full", "no home"])
def test_a_cache_that_cannot_be_written_changes_nothing(board, cache, monkeypatch, kind, capfd):
    if kind == "in the way":
        cache.write_text("a file", "utf-8")
    elif kind == "full":

        def full(path, data):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("golfreg.config.job.write_whole", full)
    else:

        def homeless():
            raise RuntimeError("Could not determine home directory.")

        monkeypatch.setattr("golfreg.data.cache.cache_root", homeless)
    for _ in range(2):
        holds(board, 3)
    assert capfd.readouterr() == ("", "")


def resealed(board, change):
    """The index with every line changed, and a digest that is right for them."""
    path = index.index_path(str(board))
    head, *lines = path.read_text("utf-8").splitlines()
    body = "".join(f"{change(line)}\n" for line in lines).encode()
    head = json.loads(head) | {"digest": blake2b(body, digest_size=16).hexdigest()}
    path.write_bytes(json.dumps(head).encode() + b"\n" + body)


def field(name, value):
    place = index.Line._fields.index(name)

    def change(line):
        values = json.loads(line)
        values[3][place] = value
        return json.dumps(values)

    return change


@pytest.mark.parametrize(
    "change",
    [
        lambda line: "",
        lambda line: "null",
        lambda line: "[" * 100_000,
        lambda line: line + "," + line,
        lambda line: line[:-1],
        lambda line: line[:-1] + ",1]",
        lambda line: "[1" + line[line.index(",") :],
        field("entry", 3),
        field("author", None),
        field("bits_per_byte_mean", float("nan")),
        lambda line: line.replace("1.2", "1e999"),
        field("bits_per_byte_std", "x"),
        field("bytes_max", True),
        field("seeds", ["1"]),
        field("seeds", 3),
        field("mixers", [["x"]]),
        field("findings", [{"code": "GR101"}]),
        field("findings", ["x"]),
        field("findings", [{"code": 1, "level": "FAIL", "message": "", "where": ""}]),
        field("declared", {"x": {"y": 1}}),
        field("declared", {"x": float("inf")}),
    ],
)
def test_an_index_of_another_form_is_rebuilt(board, change):
    holds(board, 3)
    resealed(board, change)
    holds(board, 3)
    holds(board, 0)


def test_a_damaged_index_is_rebuilt(board):
    holds(board, 3)
    path = index.index_path(str(board))
    whole = path.read_bytes()
    for cut in (0, 1, 20, whole.index(b"\n"), whole.index(b"\n") + 1, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        assert index.load(str(board)) == {}
    for place in range(0, len(whole), 97):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert index.load(str(board)) == {}
    path.write_bytes(b"\xff" * 1000)
    holds(board, 3)
    path.unlink()
    path.mkdir()
    holds(board, 3)


def test_the_index_of_a_board_is_not_that_of_another(board, tmp_path):
    holds(board, 3)
    shutil.copytree(board, tmp_path / "copy")
    assert index.index_path(str(board)) != index.index_path(str(tmp_path / "copy"))
    holds(tmp_path / "copy", 3)


def test_several_processes_read_what_one_reads(board, monkeypatch):
    (next(board.glob("*/*_one")) / "entry.toml").write_bytes(b"\xff")
    alone = from_files(board)
    monkeypatch.setattr(scan, "MANY_ENTRIES", 2)
    monkeypatch.setattr(scan, "_cores", lambda: 2)
    together = from_files(board)
    assert (together.lines, together.broken) == (alone.lines, alone.broken)
    assert len(alone.broken) == 1


def where_am_i(parent, number):
    if os.getpid() != parent and number == 1:
        os._exit(9)
    return number


def test_a_process_that_is_killed_loses_nothing():
    assert workers.in_processes(where_am_i, [(os.getpid(), number) for number in range(4)], 2) == [0, 1, 2, 3]


def test_a_board_from_the_index_is_shown_without_importing_what_reads_records(board):
    holds(board, 3)
    program = (
        "import sys; from datetime import UTC, datetime; from pathlib import Path;"
        "from golfreg.leaderboard.scan import list_board; now = datetime(2026, 6, 1, tzinfo=UTC);"
        "assert list_board(Path(sys.argv[1]), now=now, some_entries=0).read == 0;"
        "heavy = {'golfreg.leaderboard.entries', 'golfreg.config.record', 'rich.console', 'tomllib'};"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program, str(board)], check=True, timeout=60)
