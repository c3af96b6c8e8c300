"""The code closure: the source of every counted module, without documentation, by path in the artifact."""

from __future__ import annotations

import ast
import importlib.util
import tomllib
from collections.abc import Iterable
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

from golfreg.api.errors import InputError, PluginError


def collect(modules: Iterable[str]) -> dict[str, str]:
    """Path to stripped source of the named modules and of the packages that they are in.

    PluginError names a module that has no source to count: an extension module, bytecode alone,
    or one that was made while running.
    """
    names = {".".join(parts[: n + 1]) for name in modules for parts in [name.split(".")] for n in range(len(parts))}
    files: dict[str, str] = {}
    for name in sorted(names):
        found = _source_file(name)
        stem = name.replace(".", "/")
        if found is None or found.name == "__init__.py":
            # A namespace package becomes a plain one: the scorer serves packages that have an __init__.py.
            files[f"{stem}/__init__.py"] = strip(found, name) if found else ""
        else:
            files[f"{stem}.py"] = strip(found, name)
    return files


def counted_by_stages(run_dir: Path) -> set[str]:
    """Modules that the workers before this stage loaded: training code counts, as in the contest."""
    found: set[str] = set()
    for path in sorted((run_dir / "stages").glob("*.toml")):
        if path.stem in ("pack", "score"):
            continue
        try:
            found.update(tomllib.loads(path.read_text("utf-8")).get("modules", ()))
        except (OSError, ValueError) as error:
            raise InputError(f"`{path}` is damaged: {error}", "delete it, and the stage is run again") from error
    return found


def strip(path: Path, name: str) -> str:
    """The module's source without comments and docstrings; the same statements otherwise."""
    try:
        return strip_source(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError) as error:
        raise PluginError(f"the source of `{name}` cannot be counted: {error}", f"it is in `{path}`") from error


def strip_source(source: bytes) -> str:
    """Drop comments, docstrings and other strings that stand as statements; lay the rest out anew."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        for field in ("body", "orelse", "finalbody"):
            statements = getattr(node, field, None)
            if not isinstance(statements, list):
                continue
            kept = [s for s in statements if not _is_text(s)]
            if not kept and statements and not isinstance(node, ast.Module):
                kept = [ast.Pass()]
            setattr(node, field, kept)
    text = ast.unparse(ast.fix_missing_locations(tree))
    return text + "\n" if text else ""


def _is_text(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str | bytes)
    )


def _source_file(name: str) -> Path | None:
    """Where the module's source is; None for a namespace package. Imports nothing."""
    top, *rest = name.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        raise PluginError(
            f"the code of `{name}` cannot be counted: there is no file for it", "was it made at run time?"
        )
    if spec.submodule_search_locations is None:
        if rest:
            raise PluginError(f"the code of `{name}` cannot be counted: `{top}` is no package")
        return _python(name, Path(spec.origin or ""))
    bases = [Path(place, *rest) for place in spec.submodule_search_locations]
    for base in bases:
        if (base / "__init__.py").is_file():
            return base / "__init__.py"
        if rest and base.with_suffix(".py").is_file():
            return base.with_suffix(".py")
        for suffix in (*EXTENSION_SUFFIXES, ".pyc"):
            for file in (base.with_name(base.name + suffix), base / f"__init__{suffix}"):
                if file.is_file():
                    return _python(name, file)
    if any(base.is_dir() for base in bases):
        return None
    raise PluginError(f"the code of `{name}` cannot be counted: there is no file for it", "was it made at run time?")


def _python(name: str, file: Path) -> Path:
    if file.suffix != ".py":
        raise PluginError(
            f"`{name}` is a compiled module, `{file.name}`: the artifact counts source and cannot hold it",
            "plugins in pure Python (Triton kernels too) can be packed",
        )
    return file
