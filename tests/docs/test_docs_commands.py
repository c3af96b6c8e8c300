"""Every command and every block of the documentation works, or is in a short list that says why it is only parsed."""

from __future__ import annotations

import json
import os
import re
import shlex
import stat
import subprocess
import sys
import tomllib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import click
import pytest
import typer

from golfreg.cli.app import app
from tests.docs.blocks import NOT_RUN, ROOT, RUN_DIRECTORY, Command, blocks, commands, pages, text_of

PLAY = Path(__file__).with_name("play.py")
TUTORIAL = [page for page in pages() if page.startswith("tutorial/") and page not in NOT_RUN]
SCAFFOLD = "tutorial/plugins.md"
"""Its plugin is written by a command and installed after that: it is run from start to end only."""
PLANNED = ["index.md", "errors.md", "quantizers.md", "corpora.md", "observers.md", "studies.md"]
"""Other pages whose commands are run, without training."""
PLUGINS = [page for page in TUTORIAL if any(block.title == "pyproject.toml" for block in blocks(page))]
ALL = [command for page in pages() for command in commands(page)]
LANGUAGES = {"bash", "console", "json", "python", "sh", "text", "toml"}
SMALL = {
    "GOLFREG_DATA__TOKENIZER": "bytes",
    "GOLFREG_TRAIN__DEVICE": "cpu",
    "GOLFREG_TRAIN__STEPS": "2",
    "GOLFREG_TRAIN__SEQUENCE_LENGTH": "32",
    "GOLFREG_TRAIN__BATCH_TOKENS": "128",
    "GOLFREG_TRAIN__THREADS": "1",
    "GOLFREG_TRAIN__WARMUP_STEPS": "2",
    "GOLFREG_ARCHITECTURE__N_LAYERS": "2",
    "GOLFREG_ARCHITECTURE__D_MODEL": "160",
    "GOLFREG_SCORE__BATCH_TOKENS": "2048",
    "GOLFREG_SCORE__PROBES": "2",
}
"""Settings that make a run of any page take seconds; flags on a page win over them."""

MAY_SAY_NO = "golfreg leaderboard check my-board"
"""Runs this small, on another corpus, break rules of their track: they are added with ``--allow-findings``."""


def place(page: str) -> str:
    return page.removesuffix(".md").replace("/", "_")


def write_files(page: str, directory: Path) -> None:
    """The files of a page, and those that its commands take for granted."""
    directory.mkdir(parents=True, exist_ok=True)
    for block in blocks(page):
        if block.title:
            (directory / block.title).parent.mkdir(parents=True, exist_ok=True)
            (directory / block.title).write_text(block.text, "utf-8")
    (directory / "leaderboard").mkdir()
    (directory / "leaderboard" / "cpu-smoke").symlink_to(ROOT / "leaderboard" / "cpu-smoke")


def environment(tiny_corpus: Path, cache: Path, site: Path) -> dict[str, str]:
    return {
        **os.environ,
        **SMALL,
        "GOLFREG_COMPONENTS__CORPUS": f"jsonl:{tiny_corpus}",
        "GOLFREG_CACHE": str(cache),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(site),
    }


@cache
def program() -> click.Command:
    return typer.main.get_command(app)


def found_command(words: list[str]) -> tuple[click.Command, list[str]]:
    """The command that the words name, and the words that remain."""
    command: click.Command = program()
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        assert words[0] in command.commands, f"there is no command `{words[0]}` in `golfreg {command.name}`"
        command, words = command.commands[words[0]], words[1:]
    return command, words


def hold_against_the_program(text: str, where: str) -> None:
    """The command exists, and each option that the text names."""
    text = re.split(r"\s{2,}|[|>]\s", text)[0]
    words = re.sub(r"[\[\]]", " ", text).split()
    command, rest = found_command(words[1:])
    known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)} | {"--help"}
    options = {word.partition("=")[0] for word in rest if word.startswith("--")}
    assert options <= known, f"{where}: `{text}` has {sorted(options - known)}, the program {sorted(known)}"


def test_every_block_says_what_it_is() -> None:
    unknown = [
        f"{b.page}:{b.line} {b.language!r}" for page in pages() for b in blocks(page) if b.language not in LANGUAGES
    ]
    assert not unknown, f"use one of {sorted(LANGUAGES)}"


def test_every_command_and_option_that_a_page_names_exists() -> None:
    for command in ALL:
        if command.text.startswith("golfreg "):
            hold_against_the_program(command.text, f"{command.page}:{command.line}")
    for page in pages():
        for text in re.findall(r"`(golfreg [a-z][^`]*)`", text_of(page)):
            hold_against_the_program(re.sub(r"\s+", " ", text), page)


def test_no_reason_is_left_over_from_commands_that_are_gone() -> None:
    known = set(pages())
    for key in NOT_RUN:
        page, _, words = key.partition(" ")
        if page in known:
            assert not words or any(c.page == page and c.text.startswith(words) for c in ALL), key


def test_every_command_is_run_or_has_a_reason_why_not() -> None:
    run = {*TUTORIAL, *PLANNED}
    unrun = [f"{c.page}:{c.line} {c.text}" for c in ALL if c.page not in run and not c.why_not_run]
    assert not unrun, "put it into the tutorial, or add a reason to NOT_RUN"


def test_every_toml_block_is_toml_and_every_recipe_is_read(tmp_path: Path) -> None:
    from golfreg.config.load import load_spec

    recipes = 0
    for page in pages():
        for block in blocks(page):
            if block.language == "toml":
                value = tomllib.loads(block.text)
                if "components" in value and "summary" in value:
                    path = tmp_path / "recipe.toml"
                    path.write_text(block.text, "utf-8")
                    load_spec(path, {}, [], {})
                    recipes += 1
    assert recipes >= 1


def test_every_python_block_is_compiled_and_those_that_stand_alone_run() -> None:
    alone = []
    for page in pages():
        for block in blocks(page):
            if block.language == "python":
                compile(block.text, f"{page}:{block.line}", "exec")
                if not block.title and "runs" not in block.text:
                    alone.append(block.text)
    assert len(alone) >= 2
    program = "\n".join(f"exec({text!r}, {{}})" for text in alone)
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


def planned(command: Command) -> str:
    """The command with training left out."""
    if command.text.startswith("golfreg run ") and "--dry-run" not in command.text:
        return f"{command.text} --dry-run"
    return command.text


def needs_a_run(command: Command) -> bool:
    return bool(RUN_DIRECTORY.search(command.text)) or "runs/*" in command.text or "my-board" in command.text


def test_every_page_is_installed_checked_and_planned(tmp_path: Path, tiny_corpus: Path, cache: Path) -> None:
    """All but training: that is in ``test_a_page_of_the_tutorial_works_from_start_to_end``."""
    site = tmp_path / "site"
    played: list[tuple[Command, list[str]]] = []
    for page in [*(each for each in TUTORIAL if each != SCAFFOLD), *PLANNED]:
        directory = tmp_path / place(page)
        write_files(page, directory)
        if page in PLUGINS:
            install_quickly(directory, site)
        for command in commands(page):
            words = shlex.split(planned(command))
            if command.why_not_run or needs_a_run(command):
                continue
            if words[0] == "python":
                subprocess.run([sys.executable, *words[1:]], cwd=directory, check=True, timeout=60)
            elif words[0] == "golfreg":
                played.append((command, words))
    given = json.dumps([(str(tmp_path / place(command.page)), words) for command, words in played])
    (tmp_path / "tutorial_recipe" / "my.jsonl").write_bytes(tiny_corpus.read_bytes())
    done = subprocess.run(
        [sys.executable, str(PLAY)], input=given, env=environment(tiny_corpus, cache, site), check=False,
        capture_output=True, text=True, timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    assert len(results) == len(played) >= 30
    for (command, _), (code, out, err) in zip(played, results, strict=True):
        hold_result(command, code, out, err)


def hold_result(command: Command, code: int, out: str, err: str) -> None:
    told = f"{command.page}:{command.line} `{command.text}` ended with {code}\n{out[-3000:]}\n{err[-3000:]}"
    if command.error:
        assert code in (1, 2), told
        for line in command.error:
            assert line in err, f"{told}\nwithout: {line}"
    else:
        assert code in ((0, 1) if command.text.startswith(MAY_SAY_NO) else (0,)), told


def install_quickly(source: Path, site: Path) -> None:
    """What pip leaves behind for golfreg to find: the modules and the entry points."""
    project = tomllib.loads((source / "pyproject.toml").read_text("utf-8"))
    name, version = project["project"]["name"], project["project"]["version"]
    for package in project["tool"]["setuptools"]["packages"]:
        (site / package).mkdir(parents=True)
        for path in (source / package).iterdir():
            (site / package / path.name).write_bytes(path.read_bytes())
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    points = project["project"]["entry-points"]["golfreg"]
    (info / "entry_points.txt").write_text("[golfreg]\n" + "".join(f"{k} = {v}\n" for k, v in points.items()))


@pytest.fixture
def shell(tmp_path: Path, tiny_corpus: Path, cache: Path) -> Callable[[str, Path], subprocess.CompletedProcess[str]]:
    """Bash as a reader has it, but that pip installs without the network into a directory of its own."""
    programs, site = tmp_path / "bin", tmp_path / "site"
    programs.mkdir()
    python = shlex.quote(sys.executable)
    quiet = "--quiet --no-index --no-deps --no-build-isolation --disable-pip-version-check"
    for name, line in {
        "golfreg": f'exec {python} -m golfreg "$@"',
        "python": f'exec {python} "$@"',
        "pip": f'case "$1" in install) shift; exec {python} -m pip install {quiet} --target {site} "$@" ;;'
        f" uninstall) rm -r {site}/golfreg_mine* ;; esac",
    }.items():
        (programs / name).write_text(f"#!/bin/sh\n{line}\n")
        (programs / name).chmod(0o755 | stat.S_IXUSR)
    variables = environment(tiny_corpus, cache, site)
    variables["PATH"] = f"{programs}:{variables['PATH']}"

    def call(line: str, directory: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", "-c", line], cwd=directory, env=variables, capture_output=True, text=True, timeout=280, check=False
        )

    return call


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", TUTORIAL)
def test_a_page_of_the_tutorial_works_from_start_to_end(
    page: str, tmp_path: Path, tiny_corpus: Path, shell: Callable[[str, Path], subprocess.CompletedProcess[str]]
) -> None:
    directory = tmp_path / "page"
    write_files(page, directory)
    (directory / "my.jsonl").write_bytes(tiny_corpus.read_bytes())
    for command in commands(page):
        if command.why_not_run:
            continue
        newest = max(directory.glob("runs/*"), default=None)
        line = RUN_DIRECTORY.sub(f"runs/{newest.name}" if newest else "no-run-yet", command.text)
        line = line.replace("golfreg leaderboard add ", "golfreg leaderboard add --allow-findings ")
        done = shell(line, directory)
        hold_result(command, done.returncode, done.stdout, done.stderr)
    for block in blocks(page):
        if block.language == "python" and "runs" in block.text:
            subprocess.run([sys.executable, "-c", block.text], cwd=directory, check=True, timeout=60)
