"""What the README shows works: its plugin is installed and run, its commands and links exist."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.conftest import TINY, Golfreg

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
FILES = dict(re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", README, re.DOTALL))


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The README's plugin, installed by pip without the network into a directory of its own."""
    source, site = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    for name, text in FILES.items():
        (source / name).parent.mkdir(exist_ok=True)
        (source / name).write_text(text, encoding="utf-8")
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation",
         "--target", str(site), str(source)],
        check=True,
        timeout=120,
        env={**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
    )  # fmt: skip
    return site


def test_the_plugin_is_twenty_lines_of_python_or_little_more() -> None:
    code = [line for name, text in FILES.items() if name.endswith(".py") for line in text.splitlines()]
    assert set(FILES) == {"pyproject.toml", "golfreg_delta/plugin.py", "golfreg_delta/codec.py"}
    assert len([line for line in code if line.strip()]) <= 25


def test_the_plugin_is_listed_passes_the_kit_and_is_gone_when_it_is_uninstalled(
    golfreg: Golfreg, installed: Path
) -> None:
    listed = golfreg("plugins", "list", PYTHONPATH=str(installed))
    assert "golfreg-delta" in listed.stdout
    checked = golfreg("plugins", "check", "delta", PYTHONPATH=str(installed))
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "golfreg-delta" not in golfreg("plugins", "list").stdout


def test_the_plugin_packs_and_scores_a_run_and_its_code_is_counted(
    golfreg: Golfreg, installed: Path, tiny_corpus: Path, tmp_path: Path
) -> None:
    run = golfreg(
        "run", "--codec=delta", f"--corpus=jsonl:{tiny_corpus}", "--steps=2", *TINY, PYTHONPATH=str(installed)
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    (record,) = tmp_path.glob("runs/*/record.toml")
    assert tomllib.loads(record.read_text())["components"]["codec"]["distribution"] == "golfreg-delta"
    inspected = golfreg("inspect", record.parent / "artifact.golfreg", "--json")
    assert "golfreg_delta.codec" in inspected.stdout


@pytest.mark.parametrize(
    "page", ["README.md", "CONTRIBUTING.md", "docs/scoring.md", "docs/container.md", "docs/rules.md", "docs/corpora.md"]
)
def test_every_link_to_a_file_leads_somewhere(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    targets = [t for t in re.findall(r"\]\(([^)#\s]+)", text) if not t.startswith("http")]
    missing = [t for t in targets if not (ROOT / page).parent.joinpath(t).exists()]
    assert not missing, f"{page} links to {missing}"


def test_every_command_of_the_readme_exists(golfreg: Golfreg) -> None:
    blocks = "\n".join(re.findall(r"```sh\n(.*?)```", README, re.DOTALL))
    commands = set(re.findall(r"^golfreg ((?:[a-z]+ ?){1,2})", blocks, re.MULTILINE))
    assert {c.split()[0] for c in commands} >= {"run", "inspect", "score", "leaderboard", "plugins"}
    groups = {"leaderboard", "plugins", "data"}
    for command in sorted({" ".join(c.split()[: 2 if c.split()[0] in groups else 1]) for c in commands}):
        shown = golfreg(*command.split(), "--help")
        assert shown.returncode == 0, command
        assert "Example" in shown.stdout, f"`golfreg {command} --help` shows no example"
