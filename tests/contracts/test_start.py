"""Starting the program is quick because nothing heavy is imported."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = ("torch", "scipy", "triton", "sentencepiece")
SHOW = """
import sys
sys.argv = ["golfreg", *{arguments!r}]
from golfreg.cli.main import main
try:
    main()
except SystemExit as stop:
    print("exit", stop.code, file=sys.stderr)
print("loaded", [name for name in {heavy!r} if name in sys.modules], file=sys.stderr)
"""


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["run", "--help"], ["plugins", "list"], ["leaderboard", "show"], ["data", "list"]],
    ids=" ".join,
)
def test_no_heavy_library_is_imported(arguments: list[str]) -> None:
    code = SHOW.format(arguments=arguments, heavy=HEAVY)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "exit 0" in done.stderr, done.stderr
    assert "loaded []" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["leaderboard", "show"],
        ["leaderboard", "check", "leaderboard/cpu-smoke"],
        ["leaderboard", "diff", "HEAD..HEAD"],
        ["leaderboard", "compare", "#1514", "#1493", "--ruleset", "parameter-golf-frontier"],
    ],
    ids=" ".join,
)
def test_reading_a_leaderboard_never_imports_torch(arguments: list[str]) -> None:
    code = SHOW.format(arguments=arguments, heavy=("torch", "triton"))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert "exit 0" in done.stderr, done.stderr
    assert "loaded []" in done.stderr


@pytest.mark.parametrize("package", ["api", "registry.host", "config.load", "rules.findings", "leaderboard.entries"])
def test_light_packages_do_not_import_torch(package: str) -> None:
    code = f"import sys, golfreg.{package}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
