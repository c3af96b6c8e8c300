"""A leaderboard in a git repository of its own, and pull requests against it."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from typer.testing import CliRunner

from golfreg.api import GolfregError
from golfreg.cli.leaderboard import app
from golfreg.config.record import record_to_toml
from golfreg.leaderboard.add import add
from golfreg.testing.records import changed, example_record

NOW = datetime(2026, 5, 2, 12, tzinfo=UTC)
HOSTILE = "@everyone <script>alert(1)</script> [x](http://e.com) ![i](//e.com) `](x) | www.e.com #1 a@b.com GH-1"


def git(repo: Path, *arguments: str, stdin: str | bytes = b"") -> str:
    """Run git with a clock and settings of its own; its output, stripped."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    environment |= {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "HOME": str(repo)}
    for who in ("AUTHOR", "COMMITTER"):
        environment |= {
            f"GIT_{who}_NAME": "A. Uthor",
            f"GIT_{who}_EMAIL": "a@example.org",
            f"GIT_{who}_DATE": "2026-05-02T12:00:00Z",
        }
    done = subprocess.run(
        ["git", *arguments],
        cwd=repo,
        env=environment,
        input=stdin.encode() if isinstance(stdin, str) else stdin,
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode().strip()


def write_entry(
    root: Path,
    name: str,
    scores: Sequence[float],
    *,
    now: datetime = NOW,
    author: str = "A. Uthor",
    based_on: Sequence[str] = (),
    **facts: str,
) -> Path:
    """Add an entry with a seed for each score. ``facts``: texts of ``entry.toml`` that are replaced by others."""
    scratch = root.parent / "scratch" / name
    for seed, score in enumerate(scores, 1):
        run_dir = scratch / f"run_{seed}"
        run_dir.mkdir(parents=True)
        record = example_record(seed, bits_per_byte=score)
        data = f"{name} {seed}".encode().ljust(record.sizes.total_bytes, b"\0")
        (run_dir / "artifact.golfreg").write_bytes(data)
        record = changed(record, "artifact", sha256=hashlib.sha256(data).hexdigest(), bytes=len(data))
        (run_dir / "record.toml").write_text(record_to_toml(record), "utf-8")
    directory = add(sorted(scratch.iterdir()), root, author=author, name=name, now=now, based_on=based_on).directory
    for old, new in facts.items():
        edit(directory / "entry.toml", f"{old} = ", new)
    return directory


def edit(path: Path, start: str, line: str) -> None:
    """Replace the one line that begins with ``start``."""
    lines = path.read_text("utf-8").splitlines()
    (at,) = (number for number, text in enumerate(lines) if text.startswith(start))
    lines[at] = line
    path.write_text("\n".join(lines) + "\n", "utf-8")


def make_repository(repo: Path) -> Path:
    """On ``main``: an accepted record of three seeds, and a claim. Returned: the leaderboard."""
    repo.mkdir()
    git(repo, "init", "--quiet", "--initial-branch=main")
    (repo / ".git" / "info" / "exclude").write_text("scratch\n", "utf-8")
    root = repo / "leaderboard"
    accepted = write_entry(root, "record", (1.30, 1.31, 1.32))
    edit(accepted / "entry.toml", "status = ", 'status = "accepted"')
    write_entry(root, "claim", (1.40, 1.41))
    commit(repo)
    return root


def commit(repo: Path) -> str:
    """Commit all that there is."""
    git(repo, "add", "--all")
    git(repo, "commit", "--quiet", "--message", "a change")
    return git(repo, "rev-parse", "HEAD")


def diff(repo: Path, *arguments: str) -> tuple[int, str, str]:
    """``golfreg leaderboard diff`` in this process: exit code, data, and the message of a failure."""
    result = CliRunner().invoke(app, ["diff", *arguments, "--repo", str(repo)])
    if result.exception is None:
        return 0, result.stdout, ""
    assert isinstance(result.exception, GolfregError), result.exception
    return result.exception.exit_code, result.stdout, result.exception.message


Change = Callable[[Path], object]


def pull_request(repo: Path, change: Change, *arguments: str) -> tuple[int, str]:
    """Make a branch, change the leaderboard's files, commit; exit code and comment."""
    git(repo, "switch", "--quiet", "--create", "change", "main")
    change(repo / "leaderboard")
    commit(repo)
    code, said, _ = diff(repo, "main..change", "--markdown", *arguments)
    return code, said
