"""Every way in which a plugin can be broken, and that it costs only itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from golfreg.api import Codec, PluginError, hookimpl
from golfreg.registry.host import Host
from golfreg.registry.records import Failure, Provider, Source

LoadHost = Callable[..., Host]

BROKEN = {
    "import_error": ("1.1", "import", "RuntimeError: no licence file found", "golfreg_import_error.plugin"),
    "exits": ("1.2", "import", "SystemExit: this plugin needs a GPU", "golfreg-exits"),
    "missing_dependency": (
        "1.3",
        "import",
        "No module named 'golfreg_absent_dependency'",
        "pip install golfreg_absent_dependency",
    ),
    "new_api": ("1.4", "api", "written for GOLFREG_API 99; this golfreg has 1", "upgrade golfreg"),
    "no_api": ("1.5", "api", "does not state GOLFREG_API", "GOLFREG_API = 1"),
    "unknown_hook": ("1.6", "hooks", "no hook `golfreg_codec`", "did you mean `golfreg_codecs`?"),
    "hook_argument": ("1.7", "hooks", "'config'", "take no arguments"),
    "hook_raises": ("1.8", "collect", "`golfreg_codecs` raised LookupError: no table of codecs", ""),
    "missing_library": ("1.10", "requires", "`golfreg_absent_library.fast`", "pip install golfreg_absent_library"),
    "syntax_error": ("2.0", "import", "SyntaxError", "golfreg-syntax-error"),
}


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_a_broken_plugin_is_kept_with_its_cause(host_with: LoadHost, name: str) -> None:
    version, stage, error, hint = BROKEN[name]
    host = host_with(name)
    (failure,) = host.failures
    assert failure.provider == Provider(name, f"golfreg-{name.replace('_', '-')}", version, f"golfreg_{name}.plugin")
    assert failure.stage == stage
    assert error in failure.error
    assert hint in failure.hint


def test_one_broken_plugin_does_not_hide_the_others(host_with: LoadHost) -> None:
    alone = {c.label for c in host_with().components}
    host = host_with(*BROKEN, "works", "wrong_type", "duplicate_name", "absent_target")
    labels = [c.label for c in host.components]
    assert alone <= set(labels)
    assert {"codec `works`", "codec `right-type`", "codec `before-the-error`", "corpus `beside-the-error`"} <= set(
        labels
    )
    assert labels.count("codec `lzma`") == 2
    assert {f.plugin for f in host.failures} == {*BROKEN, "wrong_type"}


def test_each_item_of_a_wrong_type_is_told_and_the_right_one_is_kept(host_with: LoadHost) -> None:
    host = host_with("wrong_type")
    assert [f.stage for f in host.failures] == ["collect", "collect"]
    assert "yielded Quantizer(name='wrong-kind'" in host.failures[0].error
    assert "where Codec was expected" in host.failures[0].error
    assert "{'name': 'a-dictionary'}" in host.failures[1].error
    assert [c.name for c in host.components if c.distribution == "golfreg-wrong-type"] == ["right-type"]


def test_a_component_whose_library_is_missing_is_listed_with_what_is_missing(host_with: LoadHost) -> None:
    (component,) = host_with("missing_library").named("codec", "missing-library")
    assert component.missing == ("golfreg_absent_library.fast",)


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_strict_mode_makes_the_first_failure_fatal(host_with: LoadHost, name: str) -> None:
    with pytest.raises(PluginError, match=f"`{name}` of golfreg-{name.replace('_', '-')} {BROKEN[name][0]}"):
        host_with(name, strict=True)


@pytest.mark.parametrize(("value", "strict"), [("1", True), ("true", True), ("0", False), ("", False), ("no", False)])
def test_strict_mode_can_be_asked_for_by_the_environment(
    host_with: LoadHost, monkeypatch: pytest.MonkeyPatch, value: str, strict: bool
) -> None:
    monkeypatch.setenv("GOLFREG_STRICT_PLUGINS", value)
    if strict:
        with pytest.raises(PluginError):
            host_with("import_error")
    else:
        assert len(host_with("import_error").failures) == 1


@pytest.mark.parametrize("name", ["works", "golfreg-works", "Golfreg_Works", " nothing , golfreg-works "])
def test_a_plugin_is_disabled_by_distribution_or_entry_point(
    host_with: LoadHost, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("GOLFREG_DISABLE_PLUGINS", name)
    host = host_with("works", "wrong_type")
    assert not host.named("codec", "works")
    assert host.named("codec", "right-type")
    assert host.named("codec", "lzma")
    assert [p.distribution for p in host.disabled] == ["golfreg-works"]
    assert host.unused_disables == (("nothing",) if "nothing" in name else ())


def test_a_star_disables_all_but_the_built_ins(host_with: LoadHost, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOLFREG_DISABLE_PLUGINS", "*")
    host = host_with("works", "import_error")
    assert {c.distribution for c in host.components} == {"golfreg"}
    assert host.failures == []
    assert len(host.disabled) >= 2


def test_a_disabled_plugin_is_not_even_imported(host_with: LoadHost) -> None:
    assert host_with("import_error", disabled="import_error").failures == []


def _codec(name: str = "one") -> Codec:
    return Codec(name=name, summary="made by a test", target="package.module:codec")


def _host(*functions: Callable[..., Any], **attributes: Any) -> Host:
    plugin = SimpleNamespace(**{"GOLFREG_API": 1, **attributes}, **{f.__name__: f for f in functions})
    return Host([Source(Provider("made", "golfreg-made", "3.0", "made.plugin"), lambda: plugin)])


def _only(host: Host) -> Failure:
    (failure,) = host.failures
    return failure


def test_a_hook_without_its_marker_is_told() -> None:
    def golfreg_codecs() -> Iterator[Codec]:
        yield _codec()

    failure = _only(_host(golfreg_codecs))
    assert failure.stage == "hooks"
    assert "not marked" in failure.error
    assert "@hookimpl" in failure.hint


def test_a_plugin_without_hooks_is_told() -> None:
    assert "no hook" in _only(_host()).error


@pytest.mark.parametrize("options", [{"wrapper": True}, {"hookwrapper": True}])
def test_a_hook_wrapper_is_refused(options: dict[str, bool]) -> None:
    @hookimpl(**options)
    def golfreg_codecs() -> Iterator[Any]:
        return (yield)

    assert "wrapper" in _only(_host(golfreg_codecs)).error


def test_an_optional_hook_of_a_later_golfreg_is_accepted() -> None:
    @hookimpl(optionalhook=True)
    def golfreg_optimizers() -> Iterator[Any]:
        yield "of a kind that comes later"

    @hookimpl
    def golfreg_codecs() -> list[Codec]:
        return [_codec()]

    host = _host(golfreg_optimizers, golfreg_codecs)
    assert host.failures == []
    assert [c.name for c in host.components] == ["one"]


@pytest.mark.parametrize("stated", ["1", 1.0, True, None, -1, 0, 2])
def test_only_the_integer_of_this_interface_is_accepted_as_its_version(stated: object) -> None:
    assert _only(_host(GOLFREG_API=stated)).stage == "api"


@pytest.mark.parametrize(
    ("result", "told"),
    [(None, "returned None"), (7, "yielded 7"), ("text", "yielded 'text'"), ([[_codec()]], "yielded [Codec(")],
)
def test_a_result_that_is_no_list_of_descriptors_is_told(result: object, told: str) -> None:
    @hookimpl
    def golfreg_codecs() -> object:
        return result

    assert told in _only(_host(golfreg_codecs)).error


def test_a_single_descriptor_may_be_returned() -> None:
    @hookimpl
    def golfreg_codecs() -> Codec:
        return _codec()

    assert [c.name for c in _host(golfreg_codecs).components] == ["one"]


def test_a_hook_that_never_ends_is_stopped() -> None:
    @hookimpl
    def golfreg_codecs() -> Iterator[Codec]:
        while True:
            yield _codec()

    assert "more than 10,000" in _only(_host(golfreg_codecs)).error


@pytest.mark.parametrize(
    "field",
    [{"summary": None}, {"programs": "lrzip"}, {"requires": "zstandard"}, {"requires": (1,)}, {"requires": ("",)}],
)
def test_a_descriptor_with_a_field_of_the_wrong_type_is_told(field: dict[str, Any]) -> None:
    @hookimpl
    def golfreg_codecs() -> Iterator[Codec]:
        yield Codec(**{"name": "one", "summary": "", "target": "a.b:c", **field})
        yield _codec("two")

    host = _host(golfreg_codecs)
    assert next(iter(field)) in _only(host).error
    assert [c.name for c in host.components] == ["two"]


def test_a_descriptor_with_an_illegal_name_says_so() -> None:
    @hookimpl
    def golfreg_codecs() -> Iterator[Codec]:
        yield _codec("Not A Name")

    failure = _only(_host(golfreg_codecs))
    assert "'Not A Name'" in failure.error
    assert "lower-case" in failure.hint


def test_a_keyboard_interrupt_is_not_swallowed() -> None:
    def load() -> object:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Host([Source(Provider("made", "golfreg-made", "3.0", "made.plugin"), load)])


def test_what_a_plugin_prints_while_loading_goes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    @hookimpl
    def golfreg_codecs() -> list[Codec]:
        print("hello from a plugin")
        return [_codec()]

    _host(golfreg_codecs)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "hello from a plugin" in captured.err


def test_one_module_named_by_two_entry_points_is_told_once() -> None:
    @hookimpl
    def golfreg_codecs() -> list[Codec]:
        return [_codec()]

    plugin = SimpleNamespace(GOLFREG_API=1, golfreg_codecs=golfreg_codecs)
    host = Host([Source(Provider(name, "golfreg-made", "3.0", "made.plugin"), lambda: plugin) for name in "ab"])
    assert "already registered" in _only(host).error
    assert len(host.components) == 1


def _distribution(
    folder: Path, entry_points: bytes, metadata: str | None = "Name: golfreg-odd\nVersion: 1.0\n"
) -> None:
    info = folder / "golfreg_odd-7.0.dist-info"
    info.mkdir(parents=True)
    (info / "entry_points.txt").write_bytes(entry_points)
    if metadata is not None:
        (info / "METADATA").write_text(metadata)


@pytest.mark.parametrize(
    ("entry_points", "stage"),
    [
        (b"[golfreg]\nodd = \xff\xfe\n", "metadata"),
        (b"[golfreg]\nwithout an equals sign\n", "metadata"),
        (b"[golfreg]\nodd = not a module!\n", "import"),
        (b"[golfreg]\nodd = golfreg_odd_absent\n", "import"),
        (b"[golfreg]\nodd = json:no_such_object\n", "import"),
        (b"[golfreg]\nodd = json\n", "api"),
    ],
)
def test_damaged_metadata_is_kept_as_a_failure(tmp_path: Path, entry_points: bytes, stage: str) -> None:
    _distribution(tmp_path, entry_points)
    host = Host(path=[str(tmp_path)])
    assert _only(host).stage == stage
    assert "golfreg" in _only(host).provider.distribution


def test_a_distribution_without_metadata_is_named_by_its_folder(tmp_path: Path) -> None:
    _distribution(tmp_path, b"[golfreg]\nodd = golfreg_odd_absent\n", metadata=None)
    provider = _only(Host(path=[str(tmp_path)])).provider
    assert (provider.distribution, provider.version) == ("golfreg_odd", "7.0")


def test_of_two_copies_of_a_distribution_the_first_on_the_path_counts(tmp_path: Path) -> None:
    _distribution(tmp_path / "a", b"[golfreg]\nfirst = json\n")
    _distribution(tmp_path / "b", b"[golfreg]\nsecond = json\n")
    host = Host(path=[str(tmp_path / "a"), str(tmp_path / "b")])
    assert _only(host).plugin == "first"
