"""What `plugins new` writes: whole or not at all, never over anything, clean under the tools that it names."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from golfreg.api import KINDS, ConfigError, EnvironmentFault
from golfreg.registry.host import Host
from golfreg.scaffold import Kind, Written, check_clashes, check_name, find_kind, known_kinds, write_plugin

MINIATURES = Path(__file__).parents[2] / "plugins"
Golfreg = Callable[..., subprocess.CompletedProcess[str]]


def written(into: Path, kind: str, name: str = "mine") -> Written:
    return write_plugin(check_name(name), find_kind(kind), into)


def test_every_kind_of_component_has_templates() -> None:
    assert set(known_kinds()) == set(KINDS)
    assert {provided for kind in known_kinds().values() for provided in kind.provides} == set(KINDS)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_distribution_is_complete_and_has_no_placeholder_left(tmp_path: Path, kind: str) -> None:
    made = written(tmp_path, kind, "my.first-one")
    package = "src/golfreg_my_first_one"
    expected = {
        ".github/workflows/test.yml", ".gitignore", "README.md", "pyproject.toml", "tests/test_conformance.py",
        f"{package}/__init__.py", f"{package}/plugin.py", f"{package}/{kind}.py",
    }  # fmt: skip
    assert expected <= set(made.files)
    assert made.directory == tmp_path / "golfreg-my-first-one"
    assert sorted(made.files) == sorted(
        path.relative_to(made.directory).as_posix() for path in made.directory.rglob("*") if path.is_file()
    )
    for file in made.files:
        text = (made.directory / file).read_text("utf-8")
        assert text.endswith("\n")
        assert "__package__" not in text
        assert "$" not in text.replace("${{ matrix.python }}", "").replace('"$GOLFREG"', "")
        if file.endswith(".py"):
            ast.parse(text)


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_the_project_file_names_the_entry_point_and_the_licence(tmp_path: Path, kind: str) -> None:
    made = written(tmp_path, kind, "4.bits")
    project = tomllib.loads((made.directory / "pyproject.toml").read_text("utf-8"))["project"]
    assert project["name"] == "golfreg-4-bits"
    assert project["license"] == "Apache-2.0"
    assert project["entry-points"]["golfreg"] == {"4.bits": "golfreg_4_bits.plugin"}


def test_what_is_written_is_clean_under_ruff_whatever_the_name(tmp_path: Path) -> None:
    for number, kind in enumerate(sorted(KINDS)):
        for name in (f"z{number}", f"a-{'long' * 9}{number}"):
            written(tmp_path, kind, name)
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--no-cache", str(tmp_path)], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_what_is_written_is_clean_under_mypy(tmp_path: Path, kind: str) -> None:
    made = written(tmp_path, kind)
    command = [sys.executable, "-m", "mypy", f"--cache-dir={tmp_path}/cache", "src"]
    done = subprocess.run(command, cwd=made.directory, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("name", "component", "distribution", "package"),
    [
        ("delta", "delta", "golfreg-delta", "golfreg_delta"),
        ("golfreg-delta", "delta", "golfreg-delta", "golfreg_delta"),
        ("a.b_c--d", "a.b_c--d", "golfreg-a-b-c-d", "golfreg_a_b_c_d"),
        ("class", "class", "golfreg-class", "golfreg_class"),
        ("7", "7", "golfreg-7", "golfreg_7"),
    ],
)
def test_names_of_component_distribution_and_package_follow_from_one(
    name: str, component: str, distribution: str, package: str
) -> None:
    names = check_name(name)
    assert (names.component, names.distribution, names.package) == (component, distribution, package)
    assert package.isidentifier()


@pytest.mark.parametrize(
    "name", ["", "golfreg-", "-x", "x-", ".", "..", "../x", "a/b", "a b", "ä", "a\n", "\0", "x" * 41, "$name", "x'"]
)
def test_a_name_that_cannot_be_is_refused(name: str) -> None:
    with pytest.raises(ConfigError) as refusal:
        check_name(name)
    assert refusal.value.hint


def test_a_refused_name_comes_with_one_that_would_do() -> None:
    with pytest.raises(ConfigError) as refusal:
        check_name("My Codec!")
    assert "`my-codec` would do" in str(refusal.value.hint)


@pytest.mark.parametrize("made", ["directory", "file", "link"])
def test_nothing_is_written_over(tmp_path: Path, made: str) -> None:
    target = tmp_path / "golfreg-mine"
    if made == "directory":
        target.mkdir()
    elif made == "file":
        target.write_text("kept")
    else:
        target.symlink_to(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="exists already"):
        written(tmp_path, "codec")
    assert list(tmp_path.iterdir()) == [target]
    assert made != "file" or target.read_text() == "kept"


def test_a_directory_that_is_not_there_is_said_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no directory"):
        written(tmp_path / "absent", "codec")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_write_that_fails_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    write = Path.write_text
    calls = 0

    def failing(self: Path, *arguments: object, **options: object) -> int:
        nonlocal calls
        calls += 1
        if calls == 4:
            raise error
        return write(self, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "write_text", failing)
    with pytest.raises((EnvironmentFault, KeyboardInterrupt)):
        written(tmp_path, "codec")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "kind", "told"),
    [
        ("lzma", "codec", "codec `lzma` is provided by golfreg"),
        ("attention", "op", "mixer `attention` is provided by golfreg"),
        ("reference", "kernel", "kernel `reference` of `mamba3_siso` is provided"),
    ],
)
def test_a_clash_with_an_installed_component_is_said(name: str, kind: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told) as refusal:
        check_clashes(check_name(name), find_kind(kind), Host())
    assert "choose another name" in str(refusal.value.hint)


def test_a_name_that_only_another_kind_has_is_free() -> None:
    check_clashes(check_name("lzma"), find_kind("quantizer"), Host())
    check_clashes(check_name("reference"), find_kind("op"), Host())


@pytest.mark.parametrize("plugin", ["works", "import_error"])
def test_a_clash_with_an_installed_distribution_is_said_even_if_it_is_broken(
    monkeypatch: pytest.MonkeyPatch, plugin: str
) -> None:
    monkeypatch.syspath_prepend(MINIATURES / plugin)
    name = plugin.replace("_", "-")
    with pytest.raises(ConfigError, match=f"golfreg-{name} .* is installed already"):
        check_clashes(check_name(name), find_kind("mixer"), Host())


def test_another_kind_is_one_directory_of_templates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from golfreg.scaffold import kinds as module

    (tmp_path / "common").mkdir()
    (tmp_path / "common" / "dot_shared.tmpl").write_text("${distribution}\n")
    folder = tmp_path / "observer" / "src" / "__package__"
    folder.mkdir(parents=True)
    (tmp_path / "observer" / "kind.toml").write_text(
        'provides = ["observer"]\nabout = "watches"\nguide = "- look"\nrun = "golfreg run --observer ${name}"\n'
    )
    (folder / "plugin.py.tmpl").write_text('NAME = "${name}"\n')
    monkeypatch.setattr(module, "TEMPLATES", tmp_path)
    monkeypatch.setattr(module, "COMMON", tmp_path / "common")
    kind = module._read(tmp_path / "observer" / "kind.toml")
    assert isinstance(kind, Kind)
    (into := tmp_path / "into").mkdir()
    made = write_plugin(check_name("mine"), kind, into)
    assert made.files == (".shared", "src/golfreg_mine/plugin.py")
    assert made.commands[1:] == ("golfreg plugins check mine --kind observer", "golfreg run --observer mine")


def test_the_command_prints_three_commands_and_says_where(golfreg: Golfreg, tmp_path: Path) -> None:
    (tmp_path / "my plugins").mkdir()
    done = golfreg("plugins", "new", "mine", "--kind", "codec", "--into", "my plugins")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "pip install --editable 'my plugins/golfreg-mine'",
        "golfreg plugins check mine --kind codec",
        "golfreg run --codec mine",
    ]
    assert "wrote my plugins/golfreg-mine" in done.stderr
    again = golfreg("plugins", "new", "mine", "--kind", "codec", "--into", "my plugins", "--json")
    assert (again.returncode, again.stdout) == (2, "")
    assert "exists already" in again.stderr
    document = json.loads(golfreg("plugins", "new", "mine", "--kind", "op", "--json").stdout)
    assert document["directory"] == "golfreg-mine"
    assert len(document["commands"]) == 3
    assert all((tmp_path / "golfreg-mine" / file).is_file() for file in document["files"])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("mine", "--kind", "codecs"), "did you mean `codec`?"),
        (("No Name", "--kind", "codec"), "`no-name` would do"),
        (("lzma", "--kind", "codec"), "choose another name"),
        (("mine", "--kind", "codec", "--into", "absent"), "mkdir -p absent"),
        (("mine",), "--kind"),
    ],
)
def test_what_cannot_be_written_exits_with_2_and_a_hint(
    golfreg: Golfreg, tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    done = golfreg("plugins", "new", *arguments)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())
