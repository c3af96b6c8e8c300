"""``golfreg plugins``, as a user runs it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

MINIATURES = Path(__file__).parents[2] / "plugins"
BROKEN = {
    "import_error": "RuntimeError: no licence file found",
    "exits": "SystemExit: this plugin needs a GPU",
    "missing_dependency": "No module named 'golfreg_absent_dependency'",
    "new_api": "GOLFREG_API 99",
    "no_api": "GOLFREG_API",
    "unknown_hook": "golfreg_codec",
    "hook_argument": "config",
    "hook_raises": "LookupError: no table of codecs",
    "missing_library": "golfreg_absent_library.fast",
    "wrong_type": "where Codec was expected",
}


def golfreg(*arguments: str, plugins: tuple[str, ...] = (), **variables: str) -> subprocess.CompletedProcess[str]:
    """Run ``golfreg plugins ARGUMENTS`` with the named miniatures on the path."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GOLFREG_")}
    environment["PYTHONPATH"] = os.pathsep.join(str(MINIATURES / name) for name in plugins)
    return subprocess.run(
        [sys.executable, "-m", "golfreg", "plugins", *arguments],
        env={**environment, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def listed(*plugins: str, **variables: str) -> dict[str, Any]:
    done = golfreg("list", "--json", plugins=plugins, **variables)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_every_broken_plugin_is_listed_with_its_cause_and_the_rest_works() -> None:
    alone = listed()
    document = listed(*BROKEN, "works", "duplicate_name")
    causes = {failure["plugin"]: failure["error"] for failure in document["failures"]}
    assert set(causes) == set(BROKEN)
    for plugin, cause in BROKEN.items():
        assert cause in causes[plugin]
    names = {(c["kind"], c["op"], c["name"]) for c in document["components"]}
    assert {(c["kind"], c["op"], c["name"]) for c in alone["components"]} <= names
    assert ("codec", None, "works") in names
    assert alone["failures"] == []


def test_every_failure_has_a_plugin_distribution_version_stage_and_error() -> None:
    (failure,) = listed("new_api")["failures"]
    assert failure == {
        "plugin": "new_api",
        "distribution": "golfreg-new-api",
        "version": "1.4",
        "module": "golfreg_new_api.plugin",
        "component": "",
        "stage": "api",
        "error": "it was written for GOLFREG_API 99; this golfreg has 1",
        "hint": "upgrade golfreg, or install an older version of the plugin",
    }


def test_the_tables_show_components_and_failures() -> None:
    done = golfreg("list", plugins=("import_error", "works", "duplicate_name", "missing_library"))
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert any(line.split()[:2] == ["codec", "works"] and "golfreg-works 1.0" in line for line in lines)
    assert any("import_error" in line and "no licence file found" in line for line in lines)
    assert any(
        line.split()[:2] == ["codec", "lzma"] and "conflict with golfreg-duplicate-name 1.11" in line for line in lines
    )
    assert any("missing golfreg_absent_library.fast" in line for line in lines)


def test_list_shows_one_kind_when_asked() -> None:
    done = golfreg("list", "--kind", "codec", "--json")
    assert {c["kind"] for c in json.loads(done.stdout)["components"]} == {"codec"}
    done = golfreg("list", "--kind", "codecs")
    assert done.returncode == 2
    assert "did you mean `codec`?" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("disabled", ["works", "golfreg-works", "*"])
def test_a_disabled_plugin_is_not_listed_and_that_is_said(disabled: str) -> None:
    document = listed("works", GOLFREG_DISABLE_PLUGINS=disabled)
    assert "works" not in {c["name"] for c in document["components"]}
    assert {"plugin": "works", "distribution": "golfreg-works"} in document["disabled"]


def test_a_misspelt_entry_of_the_variable_warns() -> None:
    done = golfreg("list", GOLFREG_DISABLE_PLUGINS="wroks")
    assert done.returncode == 0
    assert "names wroks, which no installed plugin is called" in done.stderr


def test_strict_mode_stops_with_the_first_failure() -> None:
    done = golfreg("list", plugins=("import_error", "works"), GOLFREG_STRICT_PLUGINS="1")
    assert done.returncode == 2
    assert "plugin `import_error` of golfreg-import-error 1.1" in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_list_imports_neither_torch_nor_numpy() -> None:
    code = (
        "import sys\nfrom golfreg.cli.plugins import app\n"
        "app(['list'], standalone_mode=False)\n"
        "sys.exit(','.join({'torch', 'numpy'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_show_prints_the_provider_and_every_setting() -> None:
    done = golfreg("show", "lzma", "--json")
    assert done.returncode == 0, done.stderr
    (item,) = json.loads(done.stdout)
    assert item["distribution"] == "golfreg"
    assert item["target"] == "golfreg.builtin.codecs.standard:lzma_codec"
    settings = {s["name"]: s for s in item["settings"]}
    assert settings["preset"]["type"] == "an integer"
    assert settings["extreme"]["default"] is True
    table = golfreg("show", "lzma").stdout
    assert "golfreg.builtin.codecs.standard:lzma_codec" in table
    assert "dict_size" in table


def test_show_gives_the_defaults_of_a_named_pattern_and_the_documentation_of_fields() -> None:
    (item,) = json.loads(golfreg("show", "int6", "--json").stdout)
    settings = {s["name"]: s for s in item["settings"]}
    assert (settings["bits"]["default"], settings["embedding_bits"]["default"]) == (6, 8)
    assert settings["embedding_bits"]["doc"].startswith("Of the embedding")


def test_show_finds_a_name_in_every_kind_that_has_it() -> None:
    kinds = {item["kind"] for item in json.loads(golfreg("show", "none", "--json").stdout)}
    assert {"codec", "quantizer"} <= kinds
    (item,) = json.loads(golfreg("show", "none", "--kind", "codec", "--json").stdout)
    assert item["kind"] == "codec"


def test_show_of_both_providers_of_one_name() -> None:
    items = json.loads(golfreg("show", "lzma", "--json", plugins=("duplicate_name",)).stdout)
    assert {item["distribution"] for item in items} == {"golfreg", "golfreg-duplicate-name"}
    assert all("conflict with" in item["status"] for item in items)


@pytest.mark.parametrize(
    ("name", "told"), [("raises-late", "libfast.so.1"), ("absent-module", "does not exist"), ("is-a-class", "instance")]
)
def test_show_of_a_target_that_cannot_be_used_says_why(name: str, told: str) -> None:
    done = golfreg("show", name, plugins=("absent_target",))
    assert done.returncode == 0
    assert "golfreg-absent-target 1.12" in done.stdout
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_show_of_an_unknown_name_gets_near_matches() -> None:
    done = golfreg("show", "lzmaa")
    assert done.returncode == 2
    assert "no component is named `lzmaa`" in done.stderr
    assert "did you mean `lzma`?" in done.stderr
    done = golfreg("show", "lzmaa", "--kind", "codec")
    assert "codec `lzmaa` is not registered" in done.stderr


def test_show_of_a_plugin_that_failed_names_the_cause() -> None:
    done = golfreg("show", "import_error", plugins=("import_error",))
    assert done.returncode == 2
    assert "no licence file found" in done.stderr


def test_check_runs_the_kit_and_says_no_with_exit_code_1() -> None:
    done = golfreg("check", "works", "--json", plugins=("works",))
    assert done.returncode == 0, done.stderr
    assert {outcome["passed"] for outcome in json.loads(done.stdout)} == {True}
    done = golfreg("check", "raises-late", plugins=("absent_target",))
    assert done.returncode == 1
    assert "1 of 1 checks failed" in done.stderr
    assert "libfast.so.1" in done.stdout


def test_a_hostile_summary_cannot_send_control_characters(tmp_path: Path) -> None:
    package = tmp_path / "golfreg_hostile"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "plugin.py").write_text(
        "from golfreg.api import Codec, hookimpl\nGOLFREG_API = 1\n@hookimpl\ndef golfreg_codecs():\n"
        '    print("[bold]not markup[/bold]")\n'
        '    yield Codec(name="hostile", summary="\\x1b[2J[red]x", target="a.b:c")\n'
    )
    info = tmp_path / "golfreg_hostile-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: golfreg-hostile\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[golfreg]\nhostile = golfreg_hostile.plugin\n")
    done = golfreg("list", PYTHONPATH=str(tmp_path))
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    assert "\\x1b[2J[red]x" in done.stdout
    assert "not markup" not in done.stdout


@pytest.mark.parametrize(
    "arguments", [("--help",), ("list", "--help"), ("show", "--help"), ("check", "--help"), ("new", "--help")]
)
def test_help_has_an_example(arguments: tuple[str, ...]) -> None:
    done = golfreg(*arguments)
    assert done.returncode == 0
    assert "Example: golfreg plugins" in done.stdout
