import os
import time

import pytest

from golfreg.api import ConfigError, EnvironmentFault, InputError
from golfreg.leaderboard import git as module
from golfreg.leaderboard.diff import compare, parse_range
from golfreg.leaderboard.diff_files import place_of, root_of
from golfreg.leaderboard.git import Repository
from tests.contracts.pull_requests import commit, git


@pytest.fixture
def repo(tmp_path):
    """Two commits: a file, and another beside it."""
    repo = tmp_path / "repo"
    repo.mkdir()
    git(repo, "init", "--quiet", "--initial-branch=main")
    for name in ("one", "two"):
        (repo / name).write_text(name, "utf-8")
        commit(repo)
    return repo


def test_trees_changes_and_contents_are_read_as_they_are(repo):
    repository = Repository(repo)
    old, new = repository.commit("HEAD~1"), repository.commit("main")
    leaves = repository.tree(new, "two")
    assert [(leaf.path, leaf.mode, leaf.size) for leaf in leaves] == [(b"two", 0o100644, 3)]
    assert [data for _, data in repository.contents(leaves)] == [b"two"]
    (changed,) = repository.changes(old, new)
    assert (changed.path, changed.old_mode, changed.new_mode, changed.old_object) == (b"two", 0, 0o100644, "")
    assert repository.merge_base(old, new) == old


@pytest.mark.parametrize(
    "ref", ["-x", "--upload-pack=x", "--output=/tmp/x", "HEAD:one", "a b", "HEAD\n", "", "é", "x" * 300, "$(id)"]
)
def test_what_is_no_name_of_a_commit_never_reaches_git(repo, ref, monkeypatch):
    repository = Repository(repo)
    monkeypatch.setattr(repository, "_git", lambda *arguments, **_: pytest.fail(f"{arguments}"))
    with pytest.raises(InputError, match="is no name of a commit"):
        repository.commit(ref)


def test_unknown_commits_and_directories_are_named(repo, tmp_path):
    with pytest.raises(InputError, match="there is no commit `nowhere`"):
        Repository(repo).commit("nowhere")
    with pytest.raises(InputError, match="there is no directory"):
        Repository(tmp_path / "nothing")
    with pytest.raises(InputError, match="not a git repository"):
        Repository(tmp_path)


def test_ranges_are_taken_apart(repo):
    repository = Repository(repo)
    assert parse_range("a..b", repository) == ("a", "b")
    assert parse_range("a...b", repository) == ("a", "b")
    assert parse_range("a", repository) == ("a", "HEAD")
    assert parse_range("..b", repository) == ("HEAD", "b")
    assert parse_range("a..", repository) == ("a", "HEAD")
    assert parse_range(None, repository) == ("main", "HEAD")
    git(repo, "branch", "--move", "main", "trunk")
    with pytest.raises(ConfigError, match="no branch `main`"):
        parse_range(None, repository)


def test_histories_that_have_nothing_in_common_are_not_compared(repo):
    tree = git(repo, "rev-parse", "HEAD^{tree}")
    stranger = git(repo, "commit-tree", tree, "-m", "x")
    with pytest.raises(InputError, match="no common commit"):
        compare(Repository(repo), "main", stranger)


def test_histories_that_cross_are_not_compared(repo):
    tree = git(repo, "rev-parse", "HEAD^{tree}")
    one, two = (git(repo, "commit-tree", tree, "-p", "HEAD", "-m", text) for text in "ab")
    left, right = (git(repo, "commit-tree", tree, "-p", one, "-p", two, "-m", text) for text in "cd")
    with pytest.raises(InputError, match="2 common commits"):
        compare(Repository(repo), left, right)


def test_a_tree_of_ten_to_the_ninth_files_ends_in_an_error_and_not_in_a_full_disk(repo, monkeypatch):
    monkeypatch.setattr(module, "MAX_OUTPUT_BYTES", 1 << 20)
    blob = git(repo, "hash-object", "-w", "--stdin", stdin="x")
    lines = "".join(f"100644 blob {blob}\t{name}\n" for name in range(10))
    tree = git(repo, "mktree", stdin=lines)
    for _ in range(8):
        tree = git(repo, "mktree", stdin="".join(f"040000 tree {tree}\t{name}\n" for name in range(10)))
    tree = git(repo, "mktree", stdin=f"040000 tree {tree}\tleaderboard\n")
    bomb = git(repo, "commit-tree", tree, "-p", "HEAD", "-m", "x")
    start = time.monotonic()
    with pytest.raises(InputError, match="says over 1,048,576 bytes"):
        compare(Repository(repo), "main", bomb)
    assert time.monotonic() - start < 20


def test_the_callers_git_variables_do_not_lead_elsewhere(repo, tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", "false")
    repository = Repository(repo)
    assert repository.changes(repository.commit("HEAD~1"), repository.commit("HEAD"))


def test_replaced_objects_are_not_believed(repo):
    repository = Repository(repo)
    head = repository.commit("main")
    leaves = repository.tree(head, "two")
    other = git(repo, "hash-object", "-w", "--stdin", stdin="lie")
    git(repo, "replace", leaves[0].object, other)
    assert [data for _, data in repository.contents(leaves)] == [b"two"]


def test_without_git_the_message_says_so(repo, monkeypatch):
    repository = Repository(repo)
    monkeypatch.setenv("PATH", os.devnull)
    with pytest.raises(EnvironmentFault, match="cannot run the program `git`"):
        repository.commit("main")


@pytest.mark.parametrize("text", ["/etc", "..", "a/../b", "", ".", "a//b", "-x/..", "a\n", ".git"])
def test_the_root_is_a_directory_of_the_repository(text):
    with pytest.raises(ConfigError, match="is no directory of the repository"):
        root_of(text)
    assert root_of("results/board/") == "results/board"


@pytest.mark.parametrize(
    "path",
    [
        b"leaderboard/t/2026-05-02_x/../entry.toml",
        b"leaderboard/../2026-05-02_x/entry.toml",
        b"leaderboard/t/2026-05-02_x/ENTRY.toml",
        b"leaderboard/t/2026-05-02_x/runs/seed_01.toml",
        b"leaderboard/t/2026-05-02_x/runs/seed_1.toml/x",
        b"leaderboard/t/2026-05-02_x/entry.toml\n",
        "leaderboard/t/٢٠٢٦-05-02_x/entry.toml".encode(),
        b"leaderboard/t/2026-05-02_x/entry.toml\xff",
        b"leaderboards/t/2026-05-02_x/entry.toml",
    ],
)
def test_only_an_entrys_own_files_have_a_place(path):
    assert place_of("leaderboard", path) is None
    place = place_of("leaderboard", b"leaderboard/t/2026-05-02_x/runs/seed_-1.toml")
    assert place is not None
    assert (place.key, place.name, place.max_bytes) == ("t/2026-05-02_x", "runs/seed_-1.toml", 256 * 1024)
