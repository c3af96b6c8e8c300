import json

import pytest

from golfreg.api import InputError
from golfreg.leaderboard.challenge.folder import check_folder, is_challenge_folder, read_folder
from golfreg.leaderboard.challenge.folder_rules import folder_codes
from golfreg.rules.codes import all_codes
from golfreg.rules.imported_rules import FOLDER_TITLES
from golfreg.rules.ruleset import load_ruleset


def found(folder, ruleset=None):
    return {(f.code, str(f.level)) for f in check_folder(folder, ruleset) if f.level != "PASS"}


def messages(folder):
    return " / ".join(f.message for f in check_folder(folder) if f.level != "PASS")


def test_a_folder_that_keeps_every_rule_passes_each_once(make_folder):
    findings = check_folder(make_folder())
    assert [str(f.level) for f in findings] == ["PASS"] * len(findings)
    assert [f.code for f in findings] == [code for code in all_codes() if code.startswith("GR6")]


def test_every_folder_rule_has_a_title_and_a_function():
    assert folder_codes() == sorted(FOLDER_TITLES)


def test_a_record_folder_is_recognised_and_an_entry_or_anything_else_is_not(make_folder, tmp_path):
    folder = make_folder()
    assert is_challenge_folder(folder)
    assert not is_challenge_folder(folder.parent)
    assert not is_challenge_folder(tmp_path / "nothing")
    assert not is_challenge_folder(folder / "README.md")
    (folder / "entry.toml").write_text("")
    assert not is_challenge_folder(folder)


def test_the_track_is_its_directorys_or_what_it_says(make_folder):
    assert read_folder(make_folder("2026-04-01_A")).track == "parameter-golf"
    assert read_folder(make_folder("2026-04-01_B", track="track_non_record_16mb")).track.endswith("non-record")
    assert read_folder(make_folder("2026-04-01_C", track="x", said={"track": "non-record-16mb"})).track.endswith(
        "non-record"
    )


def test_no_such_folder_is_an_error(tmp_path):
    with pytest.raises(InputError, match="no record folder"):
        read_folder(tmp_path / "none")


def test_gr601_a_missing_file_is_found(make_folder):
    assert ("GR601", "FAIL") in found(make_folder("2026-04-01_A", files={"submission.json": None}))
    assert ("GR601", "FAIL") in found(make_folder("2026-04-01_B", files={"train_gpt.py": None}))
    assert ("GR601", "WARN") in found(make_folder("2026-04-01_C", files={"README.md": None}))


@pytest.mark.parametrize("data", [b"", b"[", b"[]", b"\xff\xfe", b'{"a":' * 100_000, b" " * (2 << 20)])
def test_gr601_a_broken_submission_is_a_finding(make_folder, data):
    folder = make_folder(files={"submission.json": data})
    assert ("GR601", "FAIL") in found(folder)
    assert messages(folder).isprintable()


def test_gr602_an_odd_field_is_found(make_folder):
    assert found(make_folder(said={"bytes_total": "15,900,000", "github_id": ...})) == {("GR602", "WARN")}


def test_gr602_a_score_in_place_of_the_loss_is_read_and_found(make_folder):
    folder = make_folder(said={"val_bpb": ..., "val_loss": 1.201, "seed_results": ...}, files={"README.md": "1.201"})
    assert read_folder(folder).declared.bits_per_byte == 1.201
    assert found(folder) == {("GR602", "WARN")}


def test_gr603_a_script_that_does_not_compile_is_found(make_folder):
    assert ("GR603", "FAIL") in found(make_folder(files={"train_gpt.py": "def f(:\n"}))


def test_gr604_a_link_is_found_and_not_followed(make_folder, tmp_path):
    folder = make_folder(files={"train_seed3.log": None})
    (tmp_path / "other.log").write_text("seed:3")
    (folder / "train_seed3.log").symlink_to(tmp_path / "other.log")
    assert ("GR604", "FAIL") in found(folder)
    assert "train_seed3.log" not in [log.name for log in read_folder(folder).logs]


def test_gr605_one_run_in_two_logs_is_found(make_folder):
    folder = make_folder()
    (folder / "train.log").write_bytes((folder / "train_seed1.log").read_bytes())
    assert found(folder) == {("GR605", "WARN")}


@pytest.mark.parametrize(
    ("text", "kept"), [("1.2010", True), ("1.20100000", True), ("1.21", False), ("12.2010", False)]
)
def test_gr606_the_readme_has_the_score(make_folder, text, kept):
    assert (found(make_folder(files={"README.md": f"It is {text}."})) == set()) is kept


def test_gr643_other_settings_are_found(make_folder, log):
    folder = make_folder()
    text = (folder / "train_seed2.log").read_text().replace("train_seq_len:1024", "train_seq_len:2048")
    (folder / "train_seed2.log").write_text(text)
    assert found(folder) == {("GR643", "FAIL")}
    assert "train_seq_len 1024 and 2048" in messages(folder)


def test_gr644_a_log_of_another_seed_is_found(make_folder):
    folder = make_folder()
    text = (folder / "train_seed2.log").read_text().replace("seed:2\n", "seed:1337\n")
    (folder / "train_seed2.log").write_text(text)
    assert found(folder) == {("GR644", "FAIL")}


def test_gr645_a_worse_last_score_is_found_and_the_declared_one_is_taken(make_folder):
    folder = make_folder()
    with (folder / "train_seed2.log").open("a") as file:
        file.write("final_int6_ttt val_loss:3.07421378 val_bpb:1.33603200 eval_time:405410ms\n")
    assert found(folder) == {("GR645", "WARN")}
    assert read_folder(folder).runs["runs/seed_2.toml"].bits_per_byte.log == 1.202


def test_gr646_calibration_on_generated_text_is_found(make_folder):
    folder = make_folder()
    with (folder / "train_seed2.log").open("a") as file:
        file.write("gptq:generated 64 sequences in 198.3s\n")
    assert found(folder) == {("GR646", "WARN")}


@pytest.mark.parametrize("day", ["2026-04-09", "2031-01-01", "2025-04-01"])
def test_gr651_a_strange_date_is_found(make_folder, day):
    assert found(make_folder(said={"date": day})) == {("GR651", "WARN")}


def test_gr612_code_that_was_not_counted_is_found(make_folder):
    helper = "# " + "x" * 200_000 + "\n"
    folder = make_folder(files={"train_gpt.py": "import helper\n" + "y = 1\n" * 300, "helper.py": helper})
    assert ("GR612", "WARN") in found(folder)


def test_the_seed_of_a_log_without_a_name_is_what_it_says(make_folder, log):
    folder = make_folder(
        scores=(1.2,), files={"train_seed1.log": None, "train.log": log(1, 1.2, code=5_000)}, said={"bytes_code": ...}
    )
    (one,) = read_folder(folder).seeds
    assert (one.run.seed, one.run.log) == (1, "train.log")


def test_a_declared_seed_gets_the_log_with_its_score(make_folder, log):
    folder = make_folder()
    code = read_folder(folder).code.counted["shipped"]
    (folder / "logs").mkdir()
    (folder / "logs" / "rerun_seed2.log").write_text(log(2, 1.25, code=code))
    assert read_folder(folder).runs["runs/seed_2.toml"].log == "train_seed2.log"


def test_a_stub_is_counted_as_what_it_is(make_folder):
    stub = 'exec(open(__file__.replace("train_gpt.py","train_gpt_decode.py")).read())'
    folder = make_folder(files={"train_gpt.py": stub, "train_gpt_decode.py": "x = 1\n" * 900})
    assert read_folder(folder).imported().code_policy == "indirect"
    assert ("GR614", "FAIL") in found(folder)


def test_packed_code_is_counted_as_what_it_is(make_folder, pack):
    source = "import os\n" + "".join(f"def f{n}(x):\n    return x * {n * 7919}\n\n" for n in range(80))
    folder = make_folder(files={"train_gpt.py": pack(source)})
    imported = read_folder(folder).imported()
    assert imported.code_policy == "packed"
    assert imported.counted_code["plain"] == len(source.encode())


def test_the_ruleset_decides_what_is_found(make_folder):
    folder = make_folder(scores=(1.2345,))
    assert found(folder) == {("GR641", "FAIL")}
    assert found(folder, load_ruleset("parameter-golf-non-record")) == set()


def test_hostile_names_in_a_folder_stay_text(make_folder):
    folder = make_folder(files={"\x1b[2J[red]_seed9.log": "seed:9\n", "a b/..x/train_seed8.log": "step:1/2 train"})
    folder_found = check_folder(folder)
    assert all((f.message + f.where).isprintable() for f in folder_found)
    assert json.dumps([f.message for f in folder_found])
