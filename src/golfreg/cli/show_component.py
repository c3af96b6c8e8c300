"""What ``golfreg plugins show`` prints about one component."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import textwrap
from typing import Any

from golfreg.api import GolfregError
from golfreg.cli.out import Out, plain
from golfreg.registry.convert import describe, field_types
from golfreg.registry.records import Registered
from golfreg.registry.settings import configure


def details(component: Registered, known: dict[str, Any]) -> dict[str, Any]:
    """``known`` plus ``doc``, ``settings`` and ``error``: None, or why the target cannot be used."""
    try:
        target, config = configure(component, {})
    except GolfregError as error:
        return {**known, "doc": "", "settings": [], "error": error.message, "hint": error.hint}
    doc = inspect.getdoc(target) or ""
    return {**known, "doc": doc, "settings": settings(config), "error": None, "hint": None}


def settings(config: Any) -> list[dict[str, Any]]:
    """Name, type, value and documentation of every field of a config."""
    if config is None:
        return []
    types = field_types(type(config))
    docs = field_docs(type(config))
    return [
        {
            "name": field.name,
            "type": describe(types[field.name]),
            "default": getattr(config, field.name),
            "doc": docs.get(field.name, ""),
        }
        for field in dataclasses.fields(config)
        if field.name in types
    ]


def field_docs(config_type: type) -> dict[str, str]:
    """The string literal under each field of a class, base classes first; nothing where there is no source."""
    docs: dict[str, str] = {}
    for part in reversed(config_type.__mro__[:-1]):
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(part)))
        except (OSError, TypeError, SyntaxError, IndentationError):
            continue
        body = tree.body[0].body if tree.body and isinstance(tree.body[0], ast.ClassDef) else []
        for field, text in itertools.pairwise(body):
            if (
                isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(text, ast.Expr)
                and isinstance(text.value, ast.Constant)
                and isinstance(text.value.value, str)
            ):
                docs[field.target.id] = " ".join(inspect.cleandoc(text.value.value).split())
    return docs


def print_details(out: Out, item: dict[str, Any]) -> None:
    """One component for a reader."""
    of_op = f" of {item['op']}" if item["op"] else ""
    rows = [
        ("summary", item["summary"]),
        ("provided by", f"{item['distribution']} {item['version']}, plugin `{item['plugin']}` ({item['module']})"),
        ("target", item["target"]),
        ("requires", ", ".join(item["requires"])),
        ("runs", ", ".join(item["programs"])),
        ("argument", item["argument"]),
        ("status", item["status"] if item["error"] is None else "cannot be used"),
    ]
    out.table(("", ""), [row for row in rows if row[1]], title=f"{item['kind']} {item['name']}{of_op}")
    if item["error"] is not None:
        out.warn(item["error"])
        if item["hint"]:
            out.talk(f"hint: {plain(item['hint'])}", "cyan")
        return
    if item["settings"]:
        out.table(
            ("setting", "type", "default", "meaning"),
            [(s["name"], s["type"], _shown(s["default"]), s["doc"]) for s in item["settings"]],
        )
    elif item["doc"]:
        out.line(plain(item["doc"]))
        out.line()


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if value is None:
        return "unset"
    return str(list(value)) if isinstance(value, tuple) else str(value)
