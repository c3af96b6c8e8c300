"""What mkdocs does to pages while it builds the site: commands from the program, anchors of codes and links to them."""

from __future__ import annotations

import re
from typing import Any

COMMANDS_MARK = "<!-- every command stands here, made from the program -->"
CODE_ROW = re.compile(r"^\| (GR\d{3}) \|", re.MULTILINE)
CODE = re.compile(r"(?<![\w`#\[-])(GR\d{3})(?![\w`])")
PAGE = re.compile(r"(?<!\[)`(\w+\.md)`(?!\])")
FENCE = re.compile(r"^( *)```.*?^\1```", re.DOTALL | re.MULTILINE)


def on_page_markdown(markdown: str, *, page: Any, files: Any, **_: Any) -> str:
    """Put the commands into their page, give each finding's code an anchor, and link to it and to pages named."""
    if page.file.src_uri == "commands.md":
        return markdown.replace(COMMANDS_MARK, commands_markdown())
    if page.file.src_uri == "rules.md":
        markdown = CODE_ROW.sub(lambda row: f"| [{row[1]}](#{row[1].lower()}){{ #{row[1].lower()} }} |", markdown)
    up = "../" * page.file.src_uri.count("/")

    def link(text: str) -> str:
        text = CODE.sub(lambda code: f"[{code[1]}]({up}rules.md#{code[1].lower()})", text)
        return PAGE.sub(lambda name: f"[{name[0]}]({name[1]})" if files.get_file_from_path(name[1]) else name[0], text)

    return outside_fences(markdown, link)


def on_page_content(html: str, **_: Any) -> str:
    """Docstrings announce an example with two colons, as reStructuredText does."""
    return html.replace("::</p>", ":</p>")


def outside_fences(markdown: str, change: Any) -> str:
    """The text with ``change`` applied to all but fenced blocks."""
    parts, at = [], 0
    for fence in FENCE.finditer(markdown):
        parts += [change(markdown[at : fence.start()]), fence[0]]
        at = fence.end()
    return "".join([*parts, change(markdown[at:])])


def commands_markdown() -> str:
    """One heading and the help text of each command, in the order in which the program has them."""
    parts = []
    for words, help_text in commands():
        level = "##" if len(words) <= 2 else "###"
        name = " ".join(words)
        parts.append(f"{level} `{name}` {{ #{'-'.join(words[1:]) or 'golfreg'} }}\n\n```text\n{help_text}\n```\n")
    return "\n".join(parts)


def commands() -> list[tuple[tuple[str, ...], str]]:
    """The words and the help text of each command and group."""
    import click
    import typer

    from golfreg.cli.app import app

    found: list[tuple[tuple[str, ...], str]] = []

    def walk(command: click.Command, words: tuple[str, ...], parent: click.Context | None) -> None:
        context = click.Context(command, parent=parent, info_name=words[-1], terminal_width=80, max_content_width=80)
        found.append((words, command.get_help(context).strip()))
        if isinstance(command, click.Group):
            for name in command.list_commands(context):
                if not (child := command.commands[name]).hidden:
                    walk(child, (*words, name), context)

    walk(typer.main.get_command(app), ("golfreg",), None)
    return found
