"""The workflow that comments on pull requests: it trusts the base branch, and runs nothing of the head."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml

from golfreg.leaderboard.diff_comment import MARKER
from tests.contracts.pull_requests import commit, diff, git, make_repository, write_entry

PATH = Path(__file__).parents[2] / ".github" / "workflows" / "leaderboard.yml"
TEXT = PATH.read_text("utf-8")
WORKFLOW: dict[Any, Any] = yaml.safe_load(TEXT)
JOBS = WORKFLOW["jobs"]
STEPS = [(job, step) for job, facts in JOBS.items() for step in facts["steps"]]
SCRIPTS = [step["run"] for _, step in STEPS if "run" in step]


def script(word: str) -> str:
    (found,) = (text for text in SCRIPTS if word in text)
    return found


def test_the_workflow_is_the_base_branchs_and_runs_where_the_leaderboard_is_touched() -> None:
    # YAML 1.1 reads the key `on` as true.
    (event,) = WORKFLOW[True].items()
    assert event == ("pull_request_target", {"branches": ["main"], "paths": ["leaderboard", "leaderboard/**"]})


def test_each_job_has_the_one_permission_that_it_needs() -> None:
    assert WORKFLOW["permissions"] == {}
    assert {job: facts["permissions"] for job, facts in JOBS.items()} == {
        "diff": {"contents": "read"},
        "comment": {"pull-requests": "write"},
    }
    assert JOBS["comment"]["needs"] == "diff"
    assert all(facts["timeout-minutes"] <= 15 for facts in JOBS.values())


def test_actions_are_githubs_own_and_pinned() -> None:
    used = [step["uses"] for _, step in STEPS if "uses" in step]
    assert used
    assert [name for name in used if not re.fullmatch(r"actions/[a-z-]+@v\d+(\.\d+)*", name)] == []


def test_the_head_is_fetched_but_never_checked_out_and_leaves_no_credentials() -> None:
    (checkout,) = (step for _, step in STEPS if step.get("uses", "").startswith("actions/checkout@"))
    assert checkout["with"] == {"fetch-depth": 0, "persist-credentials": False}
    words = {word for text in SCRIPTS for word in shlex.split(text, comments=True)}
    assert words.isdisjoint({"checkout", "switch", "worktree", "merge", "pull", "restore", "reset", "archive"})
    assert 'fetch --quiet --no-tags --no-recurse-submodules origin "$HEAD_SHA"' in script(" fetch ")


def test_nothing_of_the_event_is_pasted_into_a_script() -> None:
    assert [text for text in SCRIPTS if "${{" in text] == []
    values = [value for _, step in STEPS for value in (step.get("env") or {}).values()]
    inside = re.findall(r"\$\{\{ (.+?) \}\}", " ".join(values))
    assert set(inside) == {
        "github.event.pull_request.head.sha",
        "github.event.pull_request.author_association",
        "github.event.pull_request.number",
        "github.token",
        "steps.diff.outputs.code",
    }


def test_no_cache_is_shared_and_no_secret_is_used() -> None:
    assert re.findall(r"secrets\.|actions/cache|cache:", TEXT) == []


def test_what_reads_the_head_does_not_post_and_what_posts_does_not_read() -> None:
    comment = " ".join(str(step) for job, step in STEPS if job == "comment")
    assert "actions/checkout" not in comment
    assert "golfreg" not in comment.replace(MARKER, "")
    diff = " ".join(str(step) for job, step in STEPS if job == "diff")
    assert "gh api" not in diff


def test_the_comment_is_found_again_by_the_line_that_it_begins_with() -> None:
    assert TEXT.count(MARKER) == 2
    assert f'startswith("{MARKER}")' in script("gh api")


def bash(text: str, cwd: Path, **environment: str) -> None:
    """Run a step's script as GitHub does."""
    subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", text],
        cwd=cwd,
        env={"PATH": "/usr/bin:/bin", "RUNNER_TEMP": str(cwd), **environment},
        check=True,
        timeout=30,
    )


@pytest.mark.parametrize(
    ("association", "maintainer"),
    [("OWNER", True), ("MEMBER", True), ("COLLABORATOR", True), ("CONTRIBUTOR", False), ("NONE", False), ("", False)],
)
@pytest.mark.parametrize("code", [0, 1, 2])
def test_the_comparison_says_who_asks_and_hands_on_the_answer(
    tmp_path: Path, association: str, maintainer: bool, code: int
) -> None:
    """The step as bash runs it, with a golfreg that prints what it was called with."""
    program = tmp_path / "venv" / "bin" / "golfreg"
    program.parent.mkdir(parents=True)
    program.write_text(f'#!/bin/sh\necho "$@"\nexit {code}\n', "utf-8")
    program.chmod(0o755)
    output = tmp_path / "output"
    bash(script("$ASSOCIATION"), tmp_path, GITHUB_OUTPUT=str(output), HEAD_SHA="0" * 40, ASSOCIATION=association)
    assert output.read_text("utf-8") == f"code={code}\n"
    said = (tmp_path / "comment" / "comment.md").read_text("utf-8")
    if code == 2:
        assert said.startswith(f"{MARKER}\n\nThe leaderboard of this pull request cannot be compared")
    else:
        who = " --maintainer" if maintainer else ""
        assert said == f"leaderboard diff HEAD..{'0' * 40} --markdown{who}\n"


@pytest.mark.parametrize(
    ("ids", "called"),
    [
        ("", "--silent --method POST repos/o/r/issues/7/comments --field body=@{body}"),
        ("5\n6\n", "--silent --method PATCH repos/o/r/issues/comments/5 --field body=@{body}"),
    ],
)
def test_one_comment_is_posted_and_renewed(tmp_path: Path, ids: str, called: str) -> None:
    program = tmp_path / "gh"
    program.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\n[ "$2" = --silent ] || printf "{ids}"\n', "utf-8")
    program.chmod(0o755)
    bash(script("gh api"), tmp_path, PATH=f"{tmp_path}:/usr/bin:/bin", GITHUB_REPOSITORY="o/r", NUMBER="7")
    *_, last = (tmp_path / "calls").read_text("utf-8").splitlines()
    assert last == "api " + called.format(body=tmp_path / "comment" / "comment.md")


def test_the_heads_objects_are_fetched_and_the_files_stay_the_bases(tmp_path: Path) -> None:
    make_repository(tmp_path / "forge")
    git(tmp_path, "clone", "--quiet", "forge", "clone")
    write_entry(tmp_path / "forge" / "leaderboard", "better", (1.2, 1.21))
    head = commit(tmp_path / "forge")
    clone = tmp_path / "clone"
    bash(script(" fetch "), clone, HEAD_SHA=head, TOKEN="t", GITHUB_SERVER_URL="https://github.com", HOME=str(clone))
    assert git(clone, "cat-file", "-t", head) == "commit"
    assert git(clone, "status", "--porcelain", "--branch") == "## main...origin/main"
    assert "extraheader" not in git(clone, "config", "--list", "--local")
    code, said, _ = diff(clone, f"HEAD..{head}")
    assert (code, "2026-05-02_better" in said) == (0, True)


def test_what_the_workflow_installs_is_enough(tmp_path: Path) -> None:
    """A comparison works where only those libraries can be imported, and what they require."""
    (named,) = re.findall(r"--constraint constraints\.txt (.+)", script("pip"))
    allowed, queue = {"golfreg"}, named.split()
    while queue:
        name = re.sub(r"[-_.]+", "-", queue.pop()).lower()
        if name not in allowed:
            allowed.add(name)
            wanted = [text for text in metadata.requires(name) or () if "extra ==" not in text]
            queue += [re.split(r"[^A-Za-z0-9._-]", text, maxsplit=1)[0] for text in wanted]
    root = make_repository(tmp_path / "repo")
    write_entry(root, "better", (1.2, 1.21))
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "a change")
    owners = metadata.packages_distributions()
    others = [name for name, of in owners.items() if not {re.sub(r"[-_.]+", "-", one).lower() for one in of} & allowed]
    assert "torch" in others
    ask = (
        "import sys; sys.argv = ['golfreg', 'leaderboard', 'diff', 'HEAD~1..HEAD', '--markdown']\n"
        f"sys.modules.update(dict.fromkeys({others!r}))\n"
        "from golfreg.cli.main import _run\n"
        "sys.exit(_run())"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", ask], cwd=root, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert "beats the record" in done.stdout
