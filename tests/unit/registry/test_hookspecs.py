"""Every hook is documented by an example that runs."""

from __future__ import annotations

import inspect
import subprocess
import sys
import textwrap
from types import SimpleNamespace

import pytest

from golfreg.api import KINDS
from golfreg.registry import hookspecs
from golfreg.registry.host import Host
from golfreg.registry.records import Provider, Source


def test_every_kind_has_a_hook_and_every_hook_a_specification() -> None:
    assert set(hookspecs.HOOKS.values()) == set(KINDS.values())
    specified = {name for name, _ in inspect.getmembers(hookspecs, inspect.isfunction) if name.startswith("golfreg_")}
    assert specified == set(hookspecs.HOOKS)


@pytest.mark.parametrize("hook", sorted(hookspecs.HOOKS))
def test_the_example_of_every_hook_runs_and_is_accepted(hook: str) -> None:
    text = inspect.getdoc(getattr(hookspecs, hook))
    assert text is not None
    _, marker, example = text.partition("Example::\n")
    assert marker
    namespace: dict[str, object] = {}
    exec(textwrap.dedent(example), namespace)
    plugin = SimpleNamespace(**{name: namespace[name] for name in ("GOLFREG_API", hook)})
    host = Host([Source(Provider("made", "golfreg-made", "3.0", "made.plugin"), lambda: plugin)])
    assert [f for f in host.failures if f.stage != "requires"] == []
    assert host.components
    assert {type(c.descriptor) for c in host.components} == {hookspecs.HOOKS[hook]}


def test_loading_every_plugin_imports_neither_torch_nor_numpy() -> None:
    code = (
        "import sys; from golfreg.registry.resolve import resolve; from golfreg.registry import settings;"
        "resolve('codec', 'lzma'); sys.exit(bool({'torch', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
