"""Code blocks and commands of the documentation's pages, and which of them are run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

FENCE = re.compile(r"^( *)```(\w*)([^\n]*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
INDENTED = re.compile(r"^    ((?:golfreg|python) (?:.*\\\n)*.*)$", re.MULTILINE)
RUN_DIRECTORY = re.compile(r"runs/20260101-120000[\w-]*")
SHELL = ("bash", "console", "sh")

NOT_RUN = {
    "tutorial/entry.md git": "changes a repository; the commands of git are not golfreg's",
    "tutorial/entry.md golfreg leaderboard diff main..first-try": "needs a branch; contracts/test_pull_request.py",
    "pull_requests.md": "needs a repository and a pull request; tests/contracts/test_pull_request.py",
    "export.md": "needs what is handed in; tests/contracts/test_export.py",
    "historic_records.md": "imports a clone of the challenge's repository",
    "corpora.md golfreg data prepare": "half a minute each, or data of one's own; tests/contracts/test_corpora.py",
    "corpora.md golfreg data get": "needs the network; plugins/golfreg-fineweb/tests has a stand-in of the hub",
    "observers.md golfreg run --observer jsonl --observer trackio": "trackio has a library and tests of its own",
    "observers.md golfreg plugins show trackio": "trackio has a library and tests of its own",
    "site.md": "a synopsis; tests/contracts/test_site_in_browser.py",
    "quantizers.md python": "minutes on two cores",
    "significance.md": "a synopsis; tests/unit/cli has the commands",
    "training.md": "several GPUs, or batches larger than these tests have; tests/contracts/test_several_processes.py",
    "bytes.md": "a synopsis; tests/unit/cli/test_inspect_command.py",
    "studies.md golfreg study run": "needs trained checkpoints; tests/unit/studies and tests/contracts/test_studies.py",
    "codecs.md": "needs weights; tests/unit/cli/test_bench_command.py",
    "benchmarks.md": "minutes on two cores, or a GPU",
    "benchmarks_mamba3.md": "a GPU",
    "kernels.md": "a GPU, minutes, or half a minute of compiling; tests/unit/cli/test_bench_kernels.py",
    "recipes.md": "a GPU; test_recipes_page.py makes the plans",
    "leaderboard.md": "imports a clone of the challenge's repository; tests/unit/leaderboard/challenge",
    "studies/kernel-fusion.md": "minutes of compiling, or a GPU",
    "index.md make run": "trains for 90 seconds what the tutorial trains for less; README.md",
}
"""Commands that are only held against the program's options: by page, or page and first words; and why."""


@dataclass(frozen=True)
class Block:
    """A fenced block. ``title``: the file that it is, if it is one."""

    page: str
    line: int
    language: str
    title: str
    text: str


@dataclass(frozen=True)
class Command:
    """``words`` as typed; ``output``: the lines that the page shows below it."""

    page: str
    line: int
    text: str
    output: tuple[str, ...] = ()

    @property
    def why_not_run(self) -> str:
        """The reason of ``NOT_RUN``, or empty."""
        return next((why for key, why in NOT_RUN.items() if f"{self.page} {self.text} ".startswith(f"{key} ")), "")

    @property
    def error(self) -> tuple[str, ...]:
        """The shown lines of an error that the command must end in."""
        return self.output if self.output and self.output[0].startswith("error: ") else ()


def pages() -> list[str]:
    """Every page, by its path below ``docs``."""
    return sorted(str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md"))


@cache
def text_of(page: str) -> str:
    return (DOCS / page).read_text("utf-8")


def blocks(page: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    text = text_of(page)
    found = []
    for fence in FENCE.finditer(text):
        title = re.search(r'title="([^"]+)"', fence[3])
        body = re.sub(f"^{fence[1]}", "", fence[4], flags=re.MULTILINE)
        found.append(Block(page, line_of(text, fence), fence[2], title[1] if title else "", body))
    return found


def line_of(text: str, match: re.Match[str]) -> int:
    return text.count("\n", 0, match.start()) + 1


def commands(page: str) -> list[Command]:
    """The commands of a page's shell blocks and of its indented lines that begin with ``golfreg`` or ``python``."""
    found = [command for block in blocks(page) if block.language in SHELL for command in commands_of(block)]
    text = FENCE.sub(lambda fence: "\n" * fence[0].count("\n"), text_of(page))
    found += [Command(page, line_of(text, m), joined(m[1])) for m in INDENTED.finditer(text)]
    return found


def commands_of(block: Block) -> list[Command]:
    """In ``console`` a command begins with ``$``, and other lines are output; else each line is a command."""
    lines = block.text.replace("\\\n", "\\\0").split("\n")
    found: list[Command] = []
    line = block.line
    for text in lines:
        line += 1
        typed = text.startswith("$ ") if block.language == "console" else bool(re.match(r"[a-z]", text))
        if typed:
            found.append(Command(block.page, line, joined(text.removeprefix("$ ").replace("\\\0", "\\\n"))))
        elif text.strip() and not text.startswith("#") and found:
            last = found[-1]
            found[-1] = Command(last.page, last.line, last.text, (*last.output, text))
        line += text.count("\0")
    return found


def joined(text: str) -> str:
    """One line, without the comment at its end."""
    return re.sub(r"\s{2,}#.*", "", re.sub(r"\\\n\s*", "", text)).strip()
