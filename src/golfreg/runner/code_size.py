"""What the code of a run's artifact will take, before there is a run: from the imports that stand in the sources."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator

from golfreg.config.plan import Chosen, Plan
from golfreg.pack import archive
from golfreg.pack.closure import collect
from golfreg.pack.modules import counted_packages
from golfreg.runner.worker import STAGES, UNCOUNTED


def predicted_code_bytes(plan: Plan) -> int:
    """The sources of all that the stages and the run's components import at their modules' top level, as the ruleset
    counts them: compressed, or in a script that unpacks itself.

    Imports inside functions are not followed, so what is loaded only when it is needed is missing. PluginError for
    a component whose source cannot be counted.
    """
    chosen: list[Chosen] = [plan.architecture, *plan.mixers.values(), plan.quantizer, plan.codec, *plan.ops.values()]
    chosen += plan.kernels.values()
    first = [module for stage, module in STAGES.items() if stage not in UNCOUNTED and _has(plan, stage)]
    code = collect(closure([*first, *(c.target.partition(":")[0] for c in chosen)]))
    if plan.limits.code == "packed":
        from golfreg.pack.script import MAIN, packed_script, plain_script
        from golfreg.pack.script_settings import script_settings

        return len(packed_script(plain_script(code | collect([MAIN]), script_settings(plan, None))))
    return len(archive.compress_text(archive.encode_archive(code)))


def _has(plan: Plan, stage: str) -> bool:
    return stage != "calibrate" or bool(plan.quantizer_needs)


def closure(modules: list[str]) -> set[str]:
    """The modules, and those of golfreg and of plugins that they import, and so on."""
    packages, found, waiting = counted_packages(), set[str](), list(modules)
    while waiting:
        name = waiting.pop()
        if name in found or name.partition(".")[0] not in packages:
            continue
        try:
            spec = importlib.util.find_spec(name)
        except ModuleNotFoundError:  # what was imported from a module is none itself
            continue
        if spec is None:
            continue
        found.add(name)
        if spec.origin and spec.origin.endswith(".py"):
            with open(spec.origin, "rb") as file:
                waiting += imported(ast.parse(file.read()).body)
    return found


def imported(statements: list[ast.stmt]) -> Iterator[str]:
    """Names that module-level statements import; of ``from a import b`` both ``a`` and ``a.b``, maybe no module."""
    for statement in statements:
        if isinstance(statement, ast.Import):
            yield from (alias.name for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom) and statement.module and not statement.level:
            yield statement.module
            yield from (f"{statement.module}.{alias.name}" for alias in statement.names)
        elif isinstance(statement, ast.Try):
            yield from imported(statement.body)
