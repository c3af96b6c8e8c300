import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from golfreg.api import InputError
from golfreg.cli.app import app
from golfreg.leaderboard.challenge.board import read_table, row_of
from golfreg.leaderboard.challenge.importing import Options, entry_files, plan_import, write_import
from golfreg.leaderboard.challenge.supplement import read_supplements
from golfreg.leaderboard.rank import rank
from golfreg.leaderboard.reading import read_board, read_entry
from golfreg.rules.findings import Level

TABLE = """\
## Leaderboard
| Run | Score | Author | Summary | Date | Info |
|-----|------:|--------|---------|------|------|
| Tiny | 1.2010 | A | x | 2026-04-01 | [info](records/track_10min_16mb/2026-04-01_Tiny/README.md) |
| Other | 1.3 | A | x | 2026-04-01 | [info](https://github.com/o/p/pull/7), [more](https://github.com/o/p/pull/8) |
| broken | x | A |

| 1 | 2 |

#### Unlimited Compute & Non-record
| Run | Score | Author | Summary | Date | Info |
|-----|------:|--------|---------|------|------|
| Third | 1.4 | A | x | 2026-04-01 | [info](https://github.com/o/p/pull/9) |
"""


def one_entry(folder, tmp_path, **options):
    planned = plan_import([folder], Options(**options), tmp_path / "board")
    assert planned.refused == []
    (entry,) = planned.entries
    return entry


def test_a_folder_becomes_an_entry_that_reads_again(make_folder, tmp_path):
    planned = plan_import([make_folder()], Options(commit="abc"), tmp_path / "board")
    (directory,) = write_import(planned, tmp_path / "board")
    entry = read_entry(directory)
    assert entry.key == "parameter-golf/2026-04-01_tiny"
    assert entry == planned.entries[0]
    assert entry.facts.status == "claimed"
    assert entry.facts.declared.seeds == (1, 2, 3)
    assert entry.imported.source.url.endswith("/tree/abc/records/track_10min_16mb/2026-04-01_Tiny")
    assert [result.bits_per_byte for result in entry.results] == [1.2, 1.202, 1.201]
    assert {path.name for path in directory.iterdir()} == {"entry.toml", "imported.toml", "README.md", "runs"}
    assert {name: (directory / name).read_text("utf-8") for name in entry_files(entry)} == entry_files(entry)


def test_nothing_of_the_folders_text_is_kept(make_folder, tmp_path):
    folder = make_folder(said={"blurb": "A SENTENCE OF THE AUTHOR"}, files={"README.md": "# T\nANOTHER 1.2010\n"})
    texts = "".join(entry_files(one_entry(folder, tmp_path)).values())
    assert "SENTENCE" not in texts
    assert "ANOTHER" not in texts
    assert "layer_1" not in texts


def test_a_directory_of_folders_is_imported_whole(make_folder, tmp_path):
    make_folder("2026-04-01_A")
    make_folder("2026-04-01_A b/".strip("/"))
    make_folder("2026-04-02_C", track="track_non_record_16mb")
    planned = plan_import([tmp_path / "records"], Options(), tmp_path / "board")
    write_import(planned, tmp_path / "board")
    board = read_board(tmp_path / "board")
    assert board.broken == []
    assert [entry.key for entry in board.entries] == [
        "parameter-golf/2026-04-01_a",
        "parameter-golf/2026-04-01_a-b",
        "parameter-golf-non-record/2026-04-01_c",
    ]
    copies = [f for f in board.entries[1].findings() if f.code == "GR605"]
    assert "train_gpt.py is train_gpt.py of 2026-04-01_A, to the byte" in [finding.message for finding in copies]


def test_two_folders_of_one_name_get_two_names(make_folder, tmp_path):
    make_folder("2026-04-01_A+b")
    make_folder("2026-04-01_A b")
    planned = plan_import([tmp_path / "records"], Options(), tmp_path / "board")
    assert [entry.facts.name for entry in planned.entries] == ["a-b", "a-b-2"]


def test_nothing_is_overwritten_and_nothing_written_where_one_is_there(make_folder, tmp_path):
    folder = make_folder()
    other = make_folder("2026-04-02_Other")
    board = tmp_path / "board"
    write_import(plan_import([folder], Options(), board), board)
    with pytest.raises(InputError, match="is there already"):
        write_import(plan_import([other, folder], Options(), board), board)
    assert len(read_board(board).entries) == 1


@pytest.mark.parametrize(
    ("said", "files", "says"),
    [
        ({"val_bpb": ..., "seed_results": ..., "seeds": ...}, {f"train_seed{n}.log": None for n in (1, 2, 3)}, "score"),
        ({"val_bpb": 0, "seed_results": ..., "seeds": ...}, {f"train_seed{n}.log": None for n in (1, 2, 3)}, "score"),
    ],
)
def test_what_cannot_be_an_entry_is_refused_and_the_rest_is_not(make_folder, tmp_path, said, files, says):
    make_folder("2026-04-01_Bad", said=said, files=files)
    make_folder("2026-04-01_Good")
    planned = plan_import([tmp_path / "records"], Options(), tmp_path / "board")
    assert [entry.facts.name for entry in planned.entries] == ["good"]
    assert says in planned.refused[0].message


def test_a_folder_without_any_date_is_refused(make_folder, tmp_path):
    planned = plan_import([make_folder("nameless", said={"date": ...})], Options(), tmp_path / "board")
    assert "no date" in planned.refused[0].message


def test_a_broken_submission_with_good_logs_is_imported_with_the_finding(make_folder, tmp_path):
    entry = one_entry(make_folder(files={"submission.json": b"{"}), tmp_path)
    assert entry.facts.author == "unknown"
    assert entry.figures.bits_per_byte_mean == pytest.approx(1.201)
    assert ("GR601", "FAIL") in {(f.code, str(f.level)) for f in entry.findings()}


def test_a_row_of_the_challenges_table_is_accepted_and_keeps_its_rank(make_folder, tmp_path):
    (tmp_path / "README.md").write_text(TABLE)
    rows = read_table(tmp_path / "README.md")
    assert [(row.score, row.record, row.pulls, row.folders) for row in rows] == [
        (1.201, True, (), ("2026-04-01_Tiny",)),
        (1.3, True, (7, 8), ()),
        (1.4, False, (9,), ()),
    ]
    assert row_of(rows, "x", 7) is rows[1]
    assert row_of(rows, "x", 8) is None
    folder = make_folder(said={"bytes_total": 15_000_000})
    entry = one_entry(folder, tmp_path, table=rows)
    assert entry.facts.status == "accepted"
    assert entry.imported.source.published_bits_per_byte == 1.201
    for status_from, wanted in ((rows, 1), ((), None)):
        ((row,),) = rank([one_entry(folder, tmp_path, table=status_from)]).values()
        assert row.rank == wanted
        assert row.count(Level.FAIL) == 1


def test_lineage_links_entries_and_never_a_later_one(make_folder, tmp_path):
    base = make_folder("2026-04-01_Base")
    after = make_folder("2026-04-02_After", said={"date": "2026-04-02", "base_pr": 7})
    facts = tmp_path / "facts.toml"
    facts.write_text(
        'schema = 1\n[folders."2026-04-01_Base"]\npull_request = 7\nbased_on = [8]\ntokenizer = "SP1024"\n'
        '[folders."2026-04-02_After"]\npull_request = 8\n'
    )
    options = Options(supplements=read_supplements(facts))
    planned = plan_import([base, after], options, tmp_path / "board")
    assert [entry.facts.based_on for entry in planned.entries] == [(), ("parameter-golf/2026-04-01_base",)]
    assert planned.entries[0].imported.source.based_on == (8,)
    assert planned.entries[0].parts.tokenizer == "SP1024"


def test_a_lone_submission_and_a_list_of_them_are_imported(make_folder, tmp_path):
    folder = make_folder()
    (entry,) = plan_import([folder / "submission.json"], Options(), tmp_path / "board").entries
    assert entry.facts.declared.bits_per_byte_mean == 1.201
    assert {run.log for run in entry.imported_runs.values()} == {""}
    several = [
        {"folder": f"records/track_10min_16mb/2026-04-0{n}_X", "name": "x", "val_bpb": 1.1 + n, "date": f"2026-04-0{n}"}
        for n in (1, 2)
    ]
    (tmp_path / "list.json").write_text(json.dumps(several))
    planned = plan_import([tmp_path / "list.json"], Options(), tmp_path / "board")
    assert [entry.key for entry in planned.entries] == ["parameter-golf/2026-04-01_x", "parameter-golf/2026-04-02_x"]


@pytest.mark.parametrize(
    "hostile",
    [
        {"name": "[bold]x[/bold] <script>alert(1)</script> `a` | b \x1b]0;x\x07", "author": "\x1b[31m<img src=x>"},
        {"github_id": "../../../etc/passwd", "hardware": "x" * 1_000_000},
        {"track": "../../up", "folder": "../../up"},
        {"date": "2026-04-01T\x00", "seeds": {"../1": {"val_bpb": 1}, "1": {"val_bpb": 1.2}}},
    ],
)
def test_hostile_fields_become_text_in_an_entry_that_reads_again(make_folder, tmp_path, hostile):
    folder = make_folder("2026-04-01_..%2f..%2fup $(x)", said=hostile)
    board = tmp_path / "board"
    (directory,) = write_import(plan_import([folder], Options(), board), board)
    assert directory.parent == board / "parameter-golf"
    assert read_entry(directory).facts.name == "2f-2fup-x"
    readme = (directory / "README.md").read_text("utf-8")
    assert "<script" not in readme
    assert "<img" not in readme
    assert "\x1b" not in readme


def test_the_command_reports_and_writes_nothing_in_a_dry_run(make_folder, tmp_path):
    folder = make_folder(said={"bytes_total": 15_000_000})
    arguments = ["leaderboard", "import", str(folder), "--into", str(tmp_path / "board")]
    result = CliRunner().invoke(app, [*arguments, "--dry-run", "--json"])
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    assert report["counts"] == {"GR613 FAIL": 1}
    assert report["written"] is False
    assert not (tmp_path / "board").exists()
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0
    assert "parameter-golf/2026-04-01_tiny" in result.stdout
    assert (tmp_path / "board" / "parameter-golf" / "2026-04-01_tiny" / "imported.toml").is_file()


def test_the_import_never_loads_torch(make_folder, tmp_path):
    code = (
        "import sys; from golfreg.cli.app import app\n"
        f"app(['leaderboard', 'import', {str(make_folder())!r}, '--dry-run'], standalone_mode=False)\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: path / "none", "nothing to import"),
        (lambda path: path, "holds no record folder"),
    ],
)
def test_nothing_to_import_is_an_error(tmp_path, make, says):
    with pytest.raises(InputError, match=says):
        plan_import([make(tmp_path)], Options(), tmp_path / "board")


@pytest.mark.parametrize("data", [b"", b"[1]", b"3", b"\xff\xfe", b'{"a":' * 100_000, b" " * (2 << 20)])
def test_a_lone_file_that_is_no_submission_is_an_error(tmp_path, data):
    (tmp_path / "submission.json").write_bytes(data)
    with pytest.raises(InputError):
        plan_import([tmp_path / "submission.json"], Options(), tmp_path / "board")
