"""From a name to a component and its target, and what is said when that fails."""

from __future__ import annotations

import re
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from golfreg.api import Codec, ConfigError, Kernel, PluginError, UnknownComponentError, hookimpl
from golfreg.registry.host import Host, get_host
from golfreg.registry.records import Provider, Source
from golfreg.registry.resolve import load, members, resolve

LoadHost = Callable[..., Host]


def test_a_built_in_is_resolved_with_its_provider() -> None:
    found = resolve("codec", "lzma")
    assert (found.distribution, found.module, found.kind, found.name) == (
        "golfreg",
        "golfreg.builtin.plugin",
        "codec",
        "lzma",
    )
    assert get_host() is get_host()


def test_an_unknown_name_gets_near_matches_and_the_command_that_lists() -> None:
    with pytest.raises(UnknownComponentError) as caught:
        resolve("codec", "lzmaa")
    assert caught.value.message == "codec `lzmaa` is not registered"
    assert caught.value.hint == "did you mean `lzma`? `golfreg plugins list --kind codec`"
    assert caught.value.exit_code == 2


def test_a_name_of_another_kind_is_told() -> None:
    with pytest.raises(UnknownComponentError) as caught:
        resolve("codec", "docstrings")
    assert "is the name of a corpus" in str(caught.value.hint)


def test_an_unknown_kind_gets_the_nearest() -> None:
    with pytest.raises(ConfigError) as caught:
        resolve("codecs", "lzma")
    assert str(caught.value.hint).startswith("did you mean `codec`?")


@pytest.mark.parametrize("name", ["", "lzma\x00", "L" * 100_000, "../../etc"])
def test_a_hostile_name_is_only_unknown(name: str) -> None:
    with pytest.raises(UnknownComponentError):
        resolve("codec", name)


def test_a_name_that_a_failed_plugin_may_have_provided_gets_its_cause(host_with: LoadHost) -> None:
    host = host_with("syntax_error", "import_error")
    with pytest.raises(UnknownComponentError) as caught:
        resolve("codec", "syntax_error", host=host)
    assert "plugin `syntax_error` of golfreg-syntax-error 2.0" in caught.value.message
    assert "SyntaxError" in caught.value.message
    assert "no licence file found" not in caught.value.message


def test_failures_that_may_be_unrelated_are_only_counted(host_with: LoadHost) -> None:
    with pytest.raises(UnknownComponentError) as caught:
        resolve("codec", "qqqq", host=host_with("import_error", "exits"))
    assert "2 plugin failures" in str(caught.value.hint)


def test_a_name_of_a_disabled_plugin_is_told(host_with: LoadHost) -> None:
    with pytest.raises(UnknownComponentError) as caught:
        resolve("codec", "works", host=host_with("works", disabled="golfreg-works"))
    assert "GOLFREG_DISABLE_PLUGINS" in str(caught.value.hint)


def test_two_providers_of_one_name_are_an_error_for_that_name_only(host_with: LoadHost) -> None:
    host = host_with("duplicate_name", "works")
    version = re.escape(resolve("codec", "zlib", host=host).version)
    with pytest.raises(PluginError) as caught:
        resolve("codec", "lzma", host=host)
    assert re.fullmatch(
        rf"codec `lzma` is provided by golfreg {version} \(golfreg\.builtin\.plugin\) "
        r"and by golfreg-duplicate-name 1\.11 \(golfreg_duplicate_name\.plugin\)",
        caught.value.message,
    )
    assert "GOLFREG_DISABLE_PLUGINS=golfreg-duplicate-name" in str(caught.value.hint)
    assert resolve("codec", "works", host=host).version == "1.0"


def _kernels(*pairs: tuple[str, str]) -> Host:
    @hookimpl
    def golfreg_kernels() -> list[Kernel]:
        return [Kernel(name=name, op=op, summary="", target="a.b:c") for op, name in pairs]

    plugin = SimpleNamespace(GOLFREG_API=1, golfreg_kernels=golfreg_kernels)
    return Host([Source(Provider("made", "golfreg-made", "3.0", "made.plugin"), lambda: plugin)])


def test_two_ops_may_each_have_a_kernel_of_one_name() -> None:
    host = _kernels(("scan", "triton"), ("conv", "triton"), ("conv", "cuda"))
    assert resolve("kernel", "triton", op="conv", host=host).op == "conv"
    assert resolve("kernel", "cuda", host=host).op == "conv"
    with pytest.raises(PluginError, match="registered for `scan` and `conv`"):
        resolve("kernel", "triton", host=host)


def test_two_kernels_of_one_op_and_name_are_a_conflict() -> None:
    with pytest.raises(PluginError, match="kernel `triton` of `scan` is provided by golfreg-made"):
        resolve("kernel", "triton", op="scan", host=_kernels(("scan", "triton"), ("scan", "triton")))


def test_a_near_match_of_a_kernel_is_one_of_its_op() -> None:
    with pytest.raises(UnknownComponentError) as caught:
        resolve("kernel", "tritom", op="conv", host=_kernels(("scan", "triton"), ("conv", "reference")))
    assert "`triton`" not in str(caught.value.hint)


def test_a_working_target_is_imported_when_it_is_loaded(host_with: LoadHost, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.delitem(sys.modules, "golfreg_works.codec", raising=False)
    registered = resolve("codec", "works", host=host_with("works"))
    assert "golfreg_works.codec" not in sys.modules
    assert load(registered).compress(b"abc", None) == b"abc"


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("absent-module", "module `golfreg_absent_target.nowhere`, which does not exist"),
        ("absent-attribute", "the module has no `nothing`"),
        ("lacks-methods", "lacks `Config` and `decode`"),
        ("raises-late", "OSError: libfast.so.1: cannot open shared object file"),
        ("is-a-class", "a class whose `decode` needs an instance"),
    ],
)
def test_a_target_that_cannot_be_used_names_the_plugin_and_the_cause(host_with: LoadHost, name: str, told: str) -> None:
    registered = resolve("codec", name, host=host_with("absent_target"))
    with pytest.raises(PluginError) as caught:
        load(registered)
    assert told in caught.value.message
    assert f"codec `{name}` of plugin `absent_target`, golfreg-absent-target 1.12" in caught.value.message
    assert caught.value.hint


def test_a_missing_library_is_told_before_anything_is_imported(host_with: LoadHost) -> None:
    registered = resolve("codec", "missing-library", host=host_with("missing_library"))
    with pytest.raises(PluginError) as caught:
        load(registered)
    assert "needs `golfreg_absent_library.fast`, which is not installed" in caught.value.message
    assert caught.value.hint == "pip install golfreg_absent_library"


def test_looking_up_a_dotted_requirement_imports_no_parent(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    from golfreg.registry.check import missing_modules

    monkeypatch.delitem(sys.modules, "xml", raising=False)
    monkeypatch.delitem(sys.modules, "xml.dom", raising=False)
    monkeypatch.delitem(sys.modules, "xml.dom.minidom", raising=False)
    assert missing_modules(("xml.dom.minidom", "xml.nothing", "json.tool", "absent_one.b", "a..b", "")) == (
        "xml.nothing",
        "absent_one.b",
        "a..b",
        "",
    )
    assert "xml" not in sys.modules


def test_what_a_target_must_have_is_read_from_the_protocols() -> None:
    assert members("codec") == {"Config", "encode", "decode"}
    assert members("quantizer") == {"Config", "needs", "quantize", "dequantize"}
    assert members("kernel") == {"call", "supports"}
    assert members("corpus") == {"load"}


def test_descriptors_of_one_plugin_do_not_share_a_host() -> None:
    @hookimpl
    def golfreg_codecs() -> list[Codec]:
        return [Codec(name="one", summary="", target="a.b:c")]

    plugin = SimpleNamespace(GOLFREG_API=1, golfreg_codecs=golfreg_codecs)
    sources = [Source(Provider("made", "golfreg-made", "3.0", "made.plugin"), lambda: plugin)]
    assert [len(Host(sources).components) for _ in range(2)] == [1, 1]
