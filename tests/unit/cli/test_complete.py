"""The shell is offered what is there, and nothing heavy is imported for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def complete(words: str, cwd: Path, count: int) -> list[str]:
    """What bash would offer for the last of ``words`` (an empty one if they end with a space)."""
    code = "import sys; sys.argv[0] = 'golfreg'; from golfreg.cli.main import main\ntry:\n    main()\nfinally:\n" + (
        "    assert 'torch' not in sys.modules"
    )
    environment = {"_GOLFREG_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(count)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True
    )
    assert "Error" not in done.stderr, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("golfreg run --arch mam", {"mamba3"}),
        ("golfreg run --codec l", {"lzma"}),
        ("golfreg run --corpus j", {"jsonl"}),
        ("golfreg run --recipe ", {"smoke", "gpu-150s"}),
        ("golfreg run --ruleset cpu", {"cpu-smoke"}),
        ("golfreg plugins show int", {"int6", "int8"}),
        ("golfreg plugins list --kind quant", {"quantizer"}),
        ("golfreg plugins new mine --kind ob", {"observer"}),
        ("golfreg leaderboard show --track cpu", {"cpu-smoke"}),
        ("golfreg leaderboard frontier --ruleset parameter-golf-f", {"parameter-golf-frontier"}),
        ("golfreg doct", {"doctor"}),
    ],
)
def test_the_shell_is_offered_what_is_there(tmp_path: Path, words: str, offered: set[str]) -> None:
    assert offered <= set(complete(words, tmp_path, len(words.split(" ")) - 1))


def test_tracks_of_the_leaderboard_at_hand_are_offered(tmp_path: Path) -> None:
    (tmp_path / "leaderboard" / "our-track").mkdir(parents=True)
    assert complete("golfreg leaderboard show --track our", tmp_path, 4) == ["our-track"]
