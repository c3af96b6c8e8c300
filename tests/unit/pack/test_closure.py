"""The code that counts: which modules, their source without documentation, and nothing that is not source."""

import ast
import importlib
import json
import textwrap

import pytest

from golfreg.api import PluginError
from golfreg.pack import modules
from golfreg.pack.attribution import apportion
from golfreg.pack.closure import collect, strip_source
from golfreg.pack.discover import data_files


def test_docstrings_and_comments_are_gone_and_the_program_is_the_same():
    source = textwrap.dedent('''
        """Module words."""
        from __future__ import annotations
        from dataclasses import dataclass

        @dataclass
        class Config:
            """Class words."""
            width: int = 3
            """Field words."""

        class Empty:
            """Only words."""

        def function(x: int = 2) -> str:
            """Function words."""
            # comment words
            return f"{x!r:>{Config.width}}" + "kept words"

        def only():
            """Only words."""

        async def later():
            """Only words."""

        if True:
            "words"
        else:
            "words"
    ''').encode()
    text = strip_source(source)
    assert "words" not in text.replace("kept words", "")
    space = {"__name__": "builtins"}
    exec(compile(text, "made", "exec"), space)
    assert space["function"]() == "  2kept words"
    assert space["Config"]().width == 3
    assert space["only"]() is None


def test_a_module_of_words_alone_stays_valid():
    assert strip_source(b'"""Words."""\n') == ""
    assert strip_source(b"") == ""


def test_stripping_is_stable():
    source = b"@decorator(1)\ndef f(a, /, b, *, c=1, **d):\n    return lambda: [a async for b in c]\n"
    once = strip_source(source)
    assert strip_source(once.encode()) == once
    assert ast.dump(ast.parse(once)) == ast.dump(ast.parse(source))


def test_a_kernel_still_compiles_from_its_stripped_file(tmp_path, python):
    pytest.importorskip("triton")
    source = textwrap.dedent('''
        """Words."""
        import triton
        import triton.language as tl

        @triton.jit
        def double(x, n: tl.constexpr):
            """Words."""
            at = tl.arange(0, n)  # words
            tl.store(x + at, tl.load(x + at) * 2)
    ''')
    (tmp_path / "kernel.py").write_text(strip_source(source.encode()))
    text = (
        "import sys, warnings; warnings.simplefilter('ignore'); sys.path.insert(0, sys.argv[1]); import kernel;"
        "from triton.compiler.compiler import ASTSource; ASTSource(kernel.double, {'x': '*fp32'}, {'n': 16});"
        "print('tl.store' in kernel.double.src)"
    )
    done = python(text, tmp_path)
    assert done.stdout.strip() == "True", done.stderr


def test_modules_of_golfreg_and_of_plugin_distributions_count_and_no_others(plugin):
    import numpy as np

    importlib.import_module("tinyplug.plugin")
    counted = modules.counted_modules()
    assert {"golfreg", "golfreg.pack.modules", "tinyplug", "tinyplug.plugin"} <= set(counted)
    assert np.__name__ not in counted
    # Whatever other plugins are installed here and were loaded by other tests counts as well.
    assert {n.partition(".")[0] for n in counted} <= set(modules.counted_packages())
    assert counted == sorted(counted)


def test_a_plugins_other_packages_count_too(plugin):
    (plugin.site / "helper_of_tiny.py").write_text("x = 1\n")
    info = plugin.site / "golfreg_tinyplug-1.0.dist-info"
    (info / "RECORD").write_text("tinyplug/__init__.py,,\nhelper_of_tiny.py,,\n../../bin/tool,,\n")
    modules.counted_packages.cache_clear()
    assert {"tinyplug", "helper_of_tiny"} <= set(modules.counted_packages())
    assert modules.counted_packages()["helper_of_tiny"] == "golfreg-tinyplug"


def test_a_program_run_by_name_counts_under_its_name(plugin, python):
    (plugin.package / "__main__.py").write_text(
        "from golfreg.pack.modules import counted_modules\nprint(' '.join(counted_modules()))\n"
    )
    import subprocess
    import sys

    done = subprocess.run([sys.executable, "-m", "tinyplug"], capture_output=True, text=True, timeout=60, check=True)
    assert "tinyplug.__main__" in done.stdout.split()


def test_a_file_is_traced_to_its_plugin(plugin):
    importlib.import_module("tinyplug.plugin")
    assert modules.plugin_of_file(str(plugin.package / "net.py")) == "golfreg-tinyplug"
    assert modules.plugin_of_file(modules.__file__) is None
    assert modules.plugin_of_file(json.__file__) is None
    assert modules.plugin_of_file("<string>") is None


def test_the_helper_needs_the_standard_library_alone(python):
    text = (
        "import sys; import golfreg.pack.modules as m; m.counted_modules();"
        "print([n for n in ('numpy', 'torch', 'rich', 'pluggy') if n in sys.modules])"
    )
    assert python(text).stdout.strip() == "[]"


def test_parents_come_with_a_module_and_namespaces_become_packages(plugin):
    (plugin.package / "space").mkdir()
    (plugin.package / "space" / "inner.py").write_text("# words\ny = 2\n")
    assert collect(["tinyplug.space.inner"]) == {
        "tinyplug/__init__.py": "",
        "tinyplug/space/__init__.py": "",
        "tinyplug/space/inner.py": "y = 2\n",
    }


def test_collecting_imports_nothing(plugin):
    import sys

    (plugin.package / "bomb.py").write_text("raise SystemExit('imported')\n")
    assert "tinyplug/bomb.py" in collect(["tinyplug.bomb"])
    assert "tinyplug.bomb" not in sys.modules


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("gone.txt", b"", "there is no file for it"),
        ("gone.cpython-311-x86_64-linux-gnu.so", b"\x7fELF", "compiled module"),
        ("gone.pyc", b"\0", "compiled module"),
        ("gone.py", b"def f(:\n", "cannot be counted"),
        ("gone.py", b"\xff\xfe", "cannot be counted"),
        ("gone.py", b"x = 1\0", "cannot be counted"),
    ],
)
def test_what_is_not_source_is_refused_by_name(plugin, file, content, message):
    from importlib.machinery import EXTENSION_SUFFIXES

    if file.endswith(".so") and not any(file.endswith(s) for s in EXTENSION_SUFFIXES):
        file = "gone.abi3.so"
    (plugin.package / file).write_bytes(content)
    with pytest.raises(PluginError, match=message) as caught:
        collect(["tinyplug.gone"])
    assert "tinyplug.gone" in caught.value.message


def test_data_files_are_those_inside_counted_packages(plugin, tmp_path):
    importlib.import_module("tinyplug.plugin")
    inside = [plugin.package / n for n in ("net.py", "table.bin", "__pycache__/net.cpython-311.pyc.139")]
    opened = {str(p) for p in (*inside, tmp_path / "elsewhere.bin", plugin.package)}
    assert data_files(opened) == [str((plugin.package / "table.bin").resolve())]


@pytest.mark.parametrize(("total", "weights"), [(100, [1.0, 1.0, 1.0]), (7, [0.0, 0.0]), (0, [3.0]), (5, [1e-9, 1e9])])
def test_shares_are_whole_and_add_up(total, weights):
    shares = apportion(total, weights)
    assert sum(shares) == total
    assert all(isinstance(s, int) and s >= 0 for s in shares)
