"""The embedded corpus: read from source files without importing them, each string once, split by file."""

import subprocess
import sys

import pytest

from golfreg.api import ConfigError, EnvironmentFault
from golfreg.builtin.corpora import docstrings as module
from golfreg.builtin.corpora.docstrings import docstrings, docstrings_of


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return docstrings.load(None, tmp_path_factory.mktemp("cache"))


def test_it_is_megabytes_of_text_with_a_validation_part(corpus):
    sizes = [sum(len(text.encode()) for text in split()) for split in (corpus.train, corpus.validation)]
    assert sum(sizes) > 5_000_000
    assert 0.02 < sizes[1] / sum(sizes) < 0.15


def test_it_names_its_versions_and_licence(corpus):
    from importlib.metadata import version

    assert corpus.notes["numpy"] == version("numpy")
    assert corpus.notes["scipy"] == version("scipy")
    assert corpus.licence == "BSD-3-Clause"


def test_no_document_is_on_both_sides(corpus):
    train, validation = list(corpus.train()), list(corpus.validation())
    assert len(set(train)) == len(train)
    assert not set(train) & set(validation)


def test_another_process_gets_the_same_text_without_importing_numpy_or_scipy(corpus):
    code = (
        "import sys; from pathlib import Path; from golfreg.builtin.corpora.docstrings import docstrings\n"
        "print(docstrings.load(None, Path()).fingerprint, [m for m in ('numpy', 'scipy', 'torch') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out == f"{corpus.fingerprint} []\n"


SOURCE = '''
"""The module's documentation."""
import x
if x:
    class A(B):
        """The documentation of a class.

            Indented."""
        def f(self):
            r"""A method with \\alpha in it."""
            def inner():
                """An inner function is no documentation."""
        name = "not a docstring, but long enough"
        """Neither is this, after an assignment."""
else:
    async def g():
        """An asynchronous function."""
def h(): "Short."
add_newdoc("m", "name", """
    Documentation of a compiled function.
    """)
'''


def test_documentation_is_found_where_python_puts_it():
    assert docstrings_of(SOURCE.encode()) == [
        "The module's documentation.",
        "The documentation of a class.\n\nIndented.",
        "A method with \\alpha in it.",
        "An asynchronous function.",
        "Documentation of a compiled function.",
    ]


@pytest.mark.parametrize("source", [b'def f(:\n"""x"""', b'\x00"""x"""', b'# coding: nonsense\n"""x"""', b'"""\xff"""'])
def test_a_file_that_python_cannot_parse_is_left_out(source):
    assert docstrings_of(source) is None


def test_a_lone_surrogate_is_no_text():
    assert docstrings_of(b'"""A string with half a pair: \\ud800 in it."""') == []


@pytest.fixture
def packages(tmp_path, monkeypatch):
    """Two small packages in place of numpy and scipy."""

    def make(files):
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        monkeypatch.setattr(module, "_root", lambda package: tmp_path / package)

    return make


def test_a_repeated_string_stands_in_one_document_and_tests_are_not_read(packages, tmp_path):
    packages(
        {
            "numpy/a.py": '"""The same long documentation."""',
            "numpy/b.py": '"""The same long documentation."""',
            "numpy/tests/c.py": '"""The documentation of a test."""',
            "scipy/d.py": 'def f():\n    """The same long documentation."""\ndef g():\n    """Something of its own."""',
        }
    )
    corpus = docstrings.load(None, tmp_path)
    assert sorted([*corpus.train(), *corpus.validation()]) == ["Something of its own.", "The same long documentation."]


def test_packages_without_sources_and_arguments_are_errors(packages, tmp_path):
    packages({"numpy/a.so": "", "scipy/b.py": "x = 1"})
    with pytest.raises(EnvironmentFault, match="no source files"):
        docstrings.load(None, tmp_path)
    with pytest.raises(ConfigError, match="takes no argument"):
        docstrings.load("numpy", tmp_path)


def test_a_package_that_is_not_installed_is_named():
    with pytest.raises(EnvironmentFault, match="reads no_such_package, which is not installed"):
        module._root("no_such_package")
