"""Pull requests against a leaderboard, good and bad, and the comment that each gets."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from tests.contracts.pull_requests import HOSTILE, commit, diff, edit, git, make_repository, pull_request, write_entry

RECORD = "cpu-smoke/2026-05-02_record"
CLAIM = "cpu-smoke/2026-05-02_claim"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    repo = tmp_path_factory.mktemp("template") / "repo"
    make_repository(repo)
    return repo


@pytest.fixture
def repo(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "repo", symlinks=True))


def good(root: Path) -> Path:
    return write_entry(root, "better", (1.20, 1.21, 1.22), author="B. Etter")


# Made by: golfreg leaderboard diff main..change --markdown, after `good`; the hashes are replaced.
GOOD = """\
<!-- golfreg leaderboard diff -->

## Leaderboard: every rule is kept

entries: 1 new; 0 FAIL, 0 WARN; looked at as a competitor's change.

| entry | change | status | bits per byte | bytes | seeds | rank | gain | p | findings |
| --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |
| `cpu-smoke/2026-05-02_better` | new | claimed | 1.2100 ± 0.0100 | 925,000 | 3 | 1 | +0.10000 | 1.3e-04 | none |

### Against the record

- `cpu-smoke/2026-05-02_better` by `B. Etter` against `cpu-smoke/2026-05-02_record` (3 and 3 scores): \
beats the record: a gain of +0.10000 bits per byte (+0.1081 nats per token), p = 1.3e-04 < 0.05 \
(one-sided Welch test).

### Other ranks

| entry | rank |
| --- | ---: |
| `cpu-smoke/2026-05-02_record` | 1 → 2 |
| `cpu-smoke/2026-05-02_claim` | 2 → 3 |

Recomputed from the records at `HASH`, compared with `HASH`. Codes: docs/rules.md; what happens next: \
docs/pull_requests.md.
"""


def test_a_good_entry_gets_its_rank_and_its_gain(repo: Path) -> None:
    code, comment = pull_request(repo, good)
    assert code == 0
    assert re.sub(r"`[0-9a-f]{12}`", "`HASH`", comment) == GOOD


def test_the_values_of_a_good_entry_are_printed_as_json(repo: Path) -> None:
    pull_request(repo, good)
    code, said, _ = diff(repo, "main..change", "--json")
    values = json.loads(said)
    (change,) = values["changes"]
    assert (code, values["failed"], values["findings"], change["findings"]) == (0, False, [], [])
    assert (change["entry"], change["change"], change["record"]) == ("cpu-smoke/2026-05-02_better", "new", RECORD)
    assert (change["before"], change["after"]["rank"]) == (None, 1)
    assert change["after"]["bits_per_byte_mean"] == pytest.approx(1.21)
    assert change["significance"]["significant"] is True
    assert change["significance"]["p"] == pytest.approx(0.000127, rel=0.01)
    assert values["moved"] == [
        {"entry": RECORD, "before": 1, "after": 2},
        {"entry": CLAIM, "before": 2, "after": 3},
    ]
    assert git(repo, "rev-parse", "main", "change").split() == [values["base"], values["head"]]


def test_a_declared_mean_better_than_the_seeds_is_found(repo: Path) -> None:
    def dishonest(root: Path) -> None:
        edit(good(root) / "entry.toml", "bits_per_byte_mean = ", "bits_per_byte_mean = 1.15")

    code, comment = pull_request(repo, dishonest)
    assert code == 1
    assert "## Leaderboard: a rule is broken" in comment
    assert "| new | claimed | 1.2100 ± 0.0100 | 925,000 | 3 | - | - | - | 1 FAIL |" in comment
    assert "`cpu-smoke/2026-05-02_better` by `B. Etter`: it has no rank" in comment
    assert re.search(r"\| FAIL \| GR302 \| `cpu-smoke/2026-05-02_better/entry.toml` \| `.*1\.15.*1\.21.*` \|", comment)
    assert "### Other ranks" not in comment


def test_the_deletion_of_an_accepted_entry_is_refused(repo: Path) -> None:
    code, comment = pull_request(repo, lambda root: shutil.rmtree(root / RECORD))
    assert code == 1
    assert f"| `{RECORD}` | deleted | accepted | 1.3100 ± 0.0100 | 925,000 | 3 | 1 | - | - | 1 FAIL |" in comment
    assert f"| FAIL | GR801 | `{RECORD}` | `the entry is deleted or renamed; it is 'accepted', so history" in comment
    assert f"| `{CLAIM}` | 2 → 1 |" in comment
    git(repo, "switch", "--quiet", "main")
    assert (repo / "leaderboard" / RECORD).is_dir()


@pytest.mark.parametrize("who", [(), ("--maintainer",)])
def test_a_rewritten_accepted_entry_is_refused_whoever_rewrites_it(repo: Path, who: tuple[str, ...]) -> None:
    def rewrite(root: Path) -> None:
        edit(root / RECORD / "entry.toml", "author = ", 'author = "Someone else"')
        seed = root / RECORD / "runs" / "seed_2.toml"
        seed.write_text(seed.read_text("utf-8").replace("steps = 100", "steps = 90"), "utf-8")

    code, comment = pull_request(repo, rewrite, *who)
    assert code == 1
    assert f"| FAIL | GR803 | `{RECORD}/entry.toml` | `the entry is accepted, and author changed` |" in comment
    assert f"| FAIL | GR803 | `{RECORD}/runs/seed_2.toml` | `changed in an entry that is accepted` |" in comment


def test_a_stray_file_is_refused_inside_and_outside_the_leaderboard(repo: Path) -> None:
    def stray(root: Path) -> None:
        (good(root) / "train.py").write_text("print('hello')\n", "utf-8")
        (root.parent / "setup.py").write_text("raise SystemExit\n", "utf-8")

    code, comment = pull_request(repo, stray)
    assert code == 1
    assert "| FAIL | GR804 | `setup.py` | `lies outside 'leaderboard/'` |" in comment
    assert "| FAIL | GR804 | `leaderboard/cpu-smoke/2026-05-02_better/train.py` | `no file of an entry" in comment
    assert "| `cpu-smoke/2026-05-02_better` | new | claimed | 1.2100 ± 0.0100 |" in comment


def test_an_oversize_file_is_refused_and_not_read(repo: Path) -> None:
    def oversize(root: Path) -> None:
        (good(root) / "README.md").write_text("x" * 70_000, "utf-8")

    code, comment = pull_request(repo, oversize)
    assert code == 1
    assert "| `cpu-smoke/2026-05-02_better` | broken | - |" in comment
    assert "GR805 | `cpu-smoke/2026-05-02_better/README.md` | `70,000 bytes; it may have 65,536` |" in comment


def test_a_competitor_cannot_accept_an_entry_and_a_maintainer_can(repo: Path) -> None:
    def promote(root: Path) -> None:
        edit(root / CLAIM / "entry.toml", "status = ", 'status = "accepted"')

    code, comment = pull_request(repo, promote)
    assert code == 1
    assert f"| `{CLAIM}` | changed | claimed → accepted |" in comment
    assert "| FAIL | GR806 |" in comment
    code, said, _ = diff(repo, "main..change", "--markdown", "--maintainer")
    assert (code, "looked at as a maintainer's change" in said, "GR806" in said) == (0, True, False)


def test_a_new_entry_that_calls_itself_accepted_is_refused(repo: Path) -> None:
    code, comment = pull_request(repo, lambda root: edit(good(root) / "entry.toml", "status", 'status = "accepted"'))
    assert (code, "| FAIL | GR806 |" in comment) == (1, True)


def test_a_symbolic_link_is_refused_and_not_followed(repo: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.md"
    secret.write_text("the secret", "utf-8")

    def link(root: Path) -> None:
        readme = good(root) / "README.md"
        readme.unlink()
        readme.symlink_to(secret)

    code, comment = pull_request(repo, link)
    assert code == 1
    assert "| FAIL | GR807 | `cpu-smoke/2026-05-02_better/README.md` | `is a symbolic link` |" in comment
    assert "the secret" not in comment


def test_no_text_of_a_pull_request_is_live_in_the_comment(repo: Path) -> None:
    def hostile(root: Path) -> None:
        entry = write_entry(root, "hostile", (1.20, 1.21), author=HOSTILE)
        edit(entry / "entry.toml", "reason = ", f"reason = {json.dumps(HOSTILE)}")
        (entry / "@everyone <b>|`x`.md").write_text("", "utf-8")
        edit(root / CLAIM / "entry.toml", "ruleset = ", f"ruleset = {json.dumps(HOSTILE)}")

    code, comment = pull_request(repo, hostile)
    assert code == 1
    parser = MarkdownIt("commonmark").enable("table")
    tokens = parser.parse(comment)
    inline = [child for token in tokens for child in token.children or ()]
    assert {child.type for child in inline} <= {"text", "code_inline", "softbreak"}
    assert [token.content for token in tokens if token.type == "html_block"] == ["<!-- golfreg leaderboard diff -->\n"]
    shown = " ".join(child.content for child in inline if child.type == "code_inline")
    assert "@everyone <script>alert(1)</script> [x](http://e.com)" in shown
    bare = " ".join(child.content for child in inline if child.type == "text")
    assert [word for word in ("@", "http", "www", "<", "#1", "GH-1", "[") if word in bare.replace("< 0.05", "")] == []
    rows = [line for line in comment.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in rows} <= {3, 5, 11}


def test_it_is_safe_to_compare_a_head_that_brings_code_hooks_and_filters(repo: Path, tmp_path: Path) -> None:
    """Also as a program, without torch, in a repository whose own settings name programs to run."""
    trap = tmp_path / "sprung"
    shell = f"touch {trap}"

    def attack(root: Path) -> None:
        good(root)
        for name in ("golfreg.py", "sitecustomize.py", "conftest.py"):
            (repo / name).write_text(f"open({str(trap)!r}, 'w')\n", "utf-8")
        (repo / ".gitattributes").write_text("* filter=evil diff=evil\n", "utf-8")
        (repo / "pyproject.toml").write_text("[project]\n", "utf-8")

    pull_request(repo, attack)
    git(repo, "switch", "--quiet", "main")
    for key in ("filter.evil.smudge", "filter.evil.clean", "diff.evil.textconv", "diff.external", "core.fsmonitor"):
        git(repo, "config", key, shell)
    before = git(repo, "rev-parse", "HEAD"), sorted(path.name for path in repo.iterdir())
    script = (
        "import sys; sys.argv = ['golfreg', 'leaderboard', 'diff', 'main..change', '--markdown']\n"
        "from golfreg.cli.main import _run\n"
        "code = _run(); assert 'torch' not in sys.modules; sys.exit(code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", script],
        cwd=repo,
        env={**os.environ, "GIT_EXTERNAL_DIFF": shell, "GIT_PAGER": shell},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "error: entries: 1 new; 5 FAIL, 0 WARN" in done.stderr
    assert done.stdout.count("| FAIL | GR804 |") == 5
    assert not trap.exists()
    assert (git(repo, "rev-parse", "HEAD"), sorted(path.name for path in repo.iterdir())) == before


def test_the_comparison_is_with_the_commit_that_the_branch_left(repo: Path) -> None:
    pull_request(repo, good)
    git(repo, "switch", "--quiet", "main")
    write_entry(repo / "leaderboard", "meanwhile", (1.10, 1.11))
    commit(repo)
    code, comment, _ = diff(repo, "main..change", "--markdown")
    assert code == 0
    assert "meanwhile" not in comment
    assert "deleted" not in comment
    assert "The leaderboard has changed since this branch left its base" in comment


def test_a_table_is_printed_for_people(repo: Path) -> None:
    pull_request(repo, good)
    code, said, _ = diff(repo, "main..change")
    assert code == 0
    assert "cpu-smoke/2026-05-02_better" in said
    assert "+0.10000" in said
    assert f"{RECORD}: rank 1 → 2" in said
    assert "nothing under `leaderboard` differs" in diff(repo, "main..main")[1]
