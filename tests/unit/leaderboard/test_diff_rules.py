import re
import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from golfreg.leaderboard.diff import compare
from golfreg.leaderboard.diff_rules import change_rules
from golfreg.leaderboard.git import Repository
from golfreg.rules.findings import Level
from tests.contracts.pull_requests import NOW, commit, edit, git, make_repository, write_entry

DOCS = Path(__file__).parents[3] / "docs" / "rules.md"
RECORD, CLAIM = "cpu-smoke/2026-05-02_record", "cpu-smoke/2026-05-02_claim"
LATER = NOW + timedelta(days=30)


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    repo = tmp_path_factory.mktemp("template") / "repo"
    make_repository(repo)
    return repo


@pytest.fixture
def repo(template, tmp_path):
    return Path(shutil.copytree(template, tmp_path / "repo", symlinks=True))


@pytest.fixture
def found(repo):
    """Commit what is in the tree and return (code, level, where) of every finding, by rules over changes."""

    def found(maintainer=False, commit_it=True):
        if commit_it:
            commit(repo)
        result = compare(Repository(repo), "HEAD~1", "HEAD", maintainer=maintainer, now=LATER)
        findings = [*result.findings, *(one for change in result.changes for one in change.findings)]
        assert result.failed or Level.FAIL not in {one.level for one in findings if one.code.startswith("GR8")}
        return [(one.code, one.level.value, one.where) for one in findings if one.code.startswith("GR8")]

    return found


@pytest.fixture
def commit_tree(repo):
    """Commit files that no file system would hold: lines as ``git update-index --index-info`` takes them."""

    def make(*lines: tuple[str, bytes, str]) -> None:
        blob = git(repo, "hash-object", "-w", "--stdin", stdin="text\n")
        head = git(repo, "rev-parse", "HEAD")
        fed = b"".join(b"%s %s\t%s\0" % (mode.encode(), (item or blob).encode(), path) for mode, path, item in lines)
        git(repo, "update-index", "-z", "--index-info", stdin=fed)
        new = git(repo, "commit-tree", git(repo, "write-tree"), "-p", head, "-m", "x")
        git(repo, "update-ref", "HEAD", new)

    return make


def set_status(repo, key, status):
    edit(repo / "leaderboard" / key / "entry.toml", "status = ", f'status = "{status}"')


def test_rules_and_documentation_and_tests_list_the_same_codes():
    titles = {rule.code: rule.title for rule in change_rules()}
    rows = dict(re.findall(r"^\| (GR8\d\d) \| (.+?) \|", DOCS.read_text("utf-8"), re.MULTILINE))
    assert {code: text.partition(" (")[0] for code, text in rows.items()} == titles
    tested = re.findall(r"^def test_(gr\d{3})_", Path(__file__).read_text("utf-8"), re.MULTILINE)
    assert sorted({code.upper() for code in tested}) == list(titles)


def test_a_good_entry_breaks_none(repo, found):
    write_entry(repo / "leaderboard", "better", (1.2, 1.21))
    assert found() == []


def test_gr801_no_entry_is_deleted_and_a_renamed_one_is(repo, found):
    root = repo / "leaderboard" / "cpu-smoke"
    (root / "2026-05-02_claim").rename(root / "2026-05-02_renamed")
    assert ("GR801", "FAIL", CLAIM) in found()
    assert ("GR801", "WARN", CLAIM) in found(maintainer=True, commit_it=False)


def test_gr801_a_judged_entry_is_not_deleted_by_a_maintainer_either(repo, found):
    shutil.rmtree(repo / "leaderboard" / RECORD)
    assert found(maintainer=True) == [("GR801", "FAIL", RECORD)]


def test_gr802_an_unlucky_seed_stays(repo, found):
    (repo / "leaderboard" / CLAIM / "runs" / "seed_2.toml").unlink()
    assert ("GR802", "FAIL", f"{CLAIM}/runs/seed_2.toml") in found()


def test_gr803_a_maintainer_changes_the_status_of_a_judged_entry_and_nothing_else(repo, found):
    set_status(repo, RECORD, "reverted")
    edit(repo / "leaderboard" / RECORD / "entry.toml", "reason = ", 'reason = "not reproduced"')
    assert found(maintainer=True) == []
    edit(repo / "leaderboard" / RECORD / "entry.toml", "techniques = ", 'techniques = ["magic"]')
    (repo / "leaderboard" / RECORD / "README.md").write_text("better words\n", "utf-8")
    shutil.copy(repo / "leaderboard" / CLAIM / "runs" / "seed_1.toml", repo / "leaderboard" / RECORD / "runs")
    assert found(maintainer=True) == [
        ("GR803", "FAIL", f"{RECORD}/README.md"),
        ("GR803", "FAIL", f"{RECORD}/runs/seed_1.toml"),
        ("GR803", "FAIL", f"{RECORD}/entry.toml"),
    ]


def test_gr803_no_seed_is_added_to_a_judged_entry(repo, found):
    text = (repo / "leaderboard" / RECORD / "runs" / "seed_3.toml").read_text("utf-8").replace("seed = 3", "seed = 4")
    (repo / "leaderboard" / RECORD / "runs" / "seed_4.toml").write_text(text, "utf-8")
    assert found(maintainer=True) == [("GR803", "FAIL", f"{RECORD}/runs/seed_4.toml")]


def test_gr804_other_files_are_refused(repo, found):
    root = repo / "leaderboard"
    write_entry(root, "better", (1.2, 1.21))
    for path in ("notes.txt", "cpu-smoke/notes.txt", "cpu-smoke/2026-05-02_better/runs/log.txt", "x/y/entry.toml"):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text("text\n", "utf-8")
    (repo / "code.py").write_text("", "utf-8")
    inside = [
        ("GR804", "FAIL", "leaderboard/cpu-smoke/2026-05-02_better/runs/log.txt"),
        ("GR804", "FAIL", "leaderboard/cpu-smoke/notes.txt"),
        ("GR804", "FAIL", "leaderboard/notes.txt"),
        ("GR804", "FAIL", "leaderboard/x/y/entry.toml"),
    ]
    assert found() == [("GR804", "FAIL", "code.py"), *inside]
    assert found(maintainer=True, commit_it=False) == [("GR804", "WARN", "code.py"), *inside]


def test_gr804_a_change_of_code_alone_is_not_held_against_these_rules(repo, found):
    (repo / "code.py").write_text("", "utf-8")
    assert found() == []


def test_gr805_a_large_file_is_refused_unread(repo, found):
    with (repo / "leaderboard" / "large.bin").open("wb") as file:
        file.truncate(10_000_000)
    (repo / "leaderboard" / CLAIM / "entry.toml").write_text("x" * 65_537, "utf-8")
    codes = found()
    assert ("GR805", "FAIL", "leaderboard/large.bin") in codes
    assert ("GR805", "FAIL", f"{CLAIM}/entry.toml") in codes
    assert ("GR810", "FAIL", CLAIM) in codes


@pytest.mark.parametrize(
    ("key", "status", "competitor", "maintainer"),
    [
        (CLAIM, "withdrawn", [], []),
        (CLAIM, "accepted", ["GR806"], []),
        (CLAIM, "reproduced", ["GR806"], []),
        (CLAIM, "superseded", ["GR806"], ["GR806"]),
        (RECORD, "claimed", ["GR806"], ["GR806"]),
        (RECORD, "withdrawn", ["GR806"], ["GR806"]),
        (RECORD, "superseded", ["GR806"], []),
    ],
)
def test_gr806_each_status_is_set_by_whom_it_is_for(repo, found, key, status, competitor, maintainer):
    set_status(repo, key, status)
    commit(repo)
    for who, codes in ((False, competitor), (True, maintainer)):
        failed = [code for code, level, _ in found(maintainer=who, commit_it=False) if level == "FAIL"]
        assert failed == codes


@pytest.mark.parametrize("status", ["accepted", "reproduced"])
def test_gr806_a_new_entry_is_a_claim(repo, found, status):
    edit(write_entry(repo / "leaderboard", "better", (1.2, 1.21)) / "entry.toml", "status = ", f'status = "{status}"')
    assert found() == [("GR806", "FAIL", "cpu-smoke/2026-05-02_better/entry.toml")]


def test_gr807_links_submodules_and_executables_are_refused(repo, found, commit_tree):
    commit_tree(
        ("120000", f"leaderboard/{CLAIM}/README.md".encode(), ""),
        ("160000", b"leaderboard/module", "1" * 40),
        ("100755", f"leaderboard/{CLAIM}/entry.toml".encode(), ""),
    )
    codes = {one for one in found(commit_it=False) if one[0] == "GR807"}
    assert codes == {
        ("GR807", "FAIL", f"{CLAIM}/README.md"),
        ("GR807", "FAIL", f"{CLAIM}/entry.toml"),
        ("GR807", "FAIL", "leaderboard/module"),
    }


def test_gr807_a_leaderboard_that_becomes_a_link_is_refused(repo, found):
    shutil.rmtree(repo / "leaderboard")
    (repo / "leaderboard").symlink_to("/etc")
    codes = found(maintainer=True)
    assert ("GR807", "FAIL", "leaderboard") in codes
    assert ("GR801", "FAIL", RECORD) in codes


def test_gr808_names_that_are_not_text_or_too_much_alike_are_refused(repo, found, commit_tree):
    commit_tree(
        ("100644", b"leaderboard/cpu-smoke/\xff\xfe", ""),
        ("100644", b"leaderboard/cpu-smoke/\x1b[31mred", ""),
        ("100644", f"leaderboard/{CLAIM}/readme.md".encode(), ""),
        ("100644", "leaderboard/cpu-smoke/\u202egnp.txt".encode(), ""),
        ("100644", b"leaderboard/cpu-smoke/..\\..\\evil", ""),
    )
    codes = [where for code, _, where in found(commit_it=False) if code == "GR808"]
    assert sorted(codes) == sorted(
        [
            r"leaderboard/cpu-smoke/\xff\xfe",
            r"'leaderboard/cpu-smoke/\x1b[31mred'",
            f"leaderboard/{CLAIM}/readme.md",
            r"'leaderboard/cpu-smoke/\u202egnp.txt'",
            "leaderboard/cpu-smoke/..\\..\\evil",
        ]
    )


def test_gr808_a_tree_that_leads_out_of_itself_is_refused_and_not_written(repo, found, tmp_path):
    blob = git(repo, "hash-object", "-w", "--stdin", stdin="evil\n")
    tree = git(repo, "mktree", stdin=f"100644 blob {blob}\tevil.toml\n")
    for _ in range(3):
        # `git mktree` refuses no name, as no transport without fsck does.
        tree = git(repo, "mktree", stdin=f"040000 tree {tree}\t..\n")
    inner = git(repo, "rev-parse", "HEAD:leaderboard/cpu-smoke")
    board = git(repo, "mktree", stdin=f"040000 tree {tree}\ta\n040000 tree {inner}\tcpu-smoke\n")
    top = git(repo, "mktree", stdin=f"040000 tree {board}\tleaderboard\n")
    git(repo, "update-ref", "HEAD", git(repo, "commit-tree", top, "-p", "HEAD", "-m", "x"))
    assert ("GR808", "FAIL", "leaderboard/a/../../../evil.toml") in found(commit_it=False)
    assert not list(tmp_path.rglob("evil.toml"))


def test_gr809_a_new_entry_is_not_dated_before_the_others(repo, found):
    write_entry(repo / "leaderboard", "earlier", (1.2, 1.21), now=NOW - timedelta(days=1))
    key = "cpu-smoke/2026-05-01_earlier"
    assert found() == [("GR809", "FAIL", key)]
    assert found(maintainer=True, commit_it=False) == [("GR809", "WARN", key)]


@pytest.mark.parametrize("text", ["", "\ufeffschema = 1", "schema = 1\nsurprise = 1\n", "[" * 10_000, "schema = 99\n"])
def test_gr810_an_entry_that_cannot_be_read_is_refused(repo, found, text):
    (write_entry(repo / "leaderboard", "better", (1.2, 1.21)) / "entry.toml").write_text(text, "utf-8")
    assert found() == [("GR810", "FAIL", "cpu-smoke/2026-05-02_better")]


def test_gr810_the_message_names_the_file_and_no_temporary_directory(repo):
    (write_entry(repo / "leaderboard", "better", (1.2, 1.21)) / "README.md").write_bytes(b"\xff\n")
    commit(repo)
    (change,) = compare(Repository(repo), "HEAD~1", "HEAD", now=LATER).changes
    assert change.kind == "broken"
    assert [finding.message for finding in change.findings] == [
        "README `cpu-smoke/2026-05-02_better/README.md` is not UTF-8 at byte 0 (save it as UTF-8)"
    ]


def test_gr811_a_person_looks_whether_a_claim_is_changed_by_its_author(repo, found):
    edit(repo / "leaderboard" / CLAIM / "entry.toml", "techniques = ", 'techniques = ["magic"]')
    assert found() == [("GR811", "WARN", CLAIM)]
    assert found(maintainer=True, commit_it=False) == []


def test_gr812_a_change_of_thousands_of_files_is_not_looked_at(repo, found, commit_tree):
    commit_tree(*(("100644", f"leaderboard/x/{number}".encode(), "") for number in range(2_001)))
    assert found(commit_it=False) == [("GR812", "FAIL", "")]


def test_gr813_a_competitor_imports_nothing(repo, found):
    (repo / "leaderboard" / CLAIM / "imported.toml").write_text("schema = 1\n", "utf-8")
    assert ("GR813", "FAIL", f"{CLAIM}/imported.toml") in found()
    assert "GR813" not in {code for code, _, _ in found(maintainer=True, commit_it=False)}


def test_gr814_a_person_looks_at_reproductions_that_a_competitor_enters(repo, found):
    path = repo / "leaderboard" / CLAIM / "entry.toml"
    again = '\n[[reproductions]]\nby = "B. Etter"\ndate = "2026-05-03"\nbits_per_byte = [1.4, 1.42]\n'
    path.write_text(path.read_text("utf-8") + again, "utf-8")
    assert found() == [("GR811", "WARN", CLAIM), ("GR814", "WARN", f"{CLAIM}/entry.toml")]
    assert found(maintainer=True, commit_it=False) == []
