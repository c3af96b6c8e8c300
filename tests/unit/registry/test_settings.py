"""A ``Config`` from settings as TOML gives them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Literal

import pytest

from golfreg.api import Architecture, ConfigError, PluginError
from golfreg.registry.convert import describe
from golfreg.registry.host import Host
from golfreg.registry.records import Provider, Registered
from golfreg.registry.resolve import resolve
from golfreg.registry.settings import config_values, configure, make_config


@dataclass(frozen=True)
class Inner:
    width: int = 3


@dataclass(frozen=True)
class Config:
    """Of a component that has one setting of each type."""

    layers: int = 4
    rate: float = 0.5
    tied: bool = True
    form: Literal["a", "b"] = "a"
    text: str = "x"
    positions: tuple[int, ...] = ()
    pair: tuple[int, float] = (1, 2.0)
    nested: tuple[tuple[str, int], ...] = ()
    bits: Mapping[str, int] = field(default_factory=dict)
    names: frozenset[str] = frozenset()
    listed: list[float] = field(default_factory=list)
    limit: float | None = None
    either: int | str = 0
    inner: Inner = Inner()
    free: Any = None

    def __post_init__(self) -> None:
        if self.layers < 1:
            raise ConfigError("`layers` is at least 1")
        if self.text == "value":
            raise ValueError("no such text")


TARGET = SimpleNamespace(Config=Config)


@pytest.mark.parametrize(
    ("key", "given", "made"),
    [
        ("rate", 1, 1.0),
        ("rate", math.inf, math.inf),
        ("positions", [1, 2], (1, 2)),
        ("positions", (), ()),
        ("pair", [3, 4], (3, 4.0)),
        ("nested", [["q", 1], ["k", 2]], (("q", 1), ("k", 2))),
        ("bits", {"q": 4}, {"q": 4}),
        ("names", ["b", "a"], frozenset({"a", "b"})),
        ("listed", [1], [1.0]),
        ("limit", 2, 2.0),
        ("either", 3, 3),
        ("either", "auto", "auto"),
        ("inner", {"width": 5}, Inner(5)),
        ("form", "b", "b"),
        ("free", [1], (1,)),
    ],
)
def test_a_value_is_converted_where_nothing_is_lost(key: str, given: object, made: object) -> None:
    value = getattr(make_config(TARGET, {key: given}, "[mixer]"), key)
    assert value == made
    assert type(value) is type(made)


@pytest.mark.parametrize(
    ("key", "given", "told"),
    [
        ("layers", 4.0, "`layers` = 4.0, which is not an integer"),
        ("layers", "4", "which is not an integer"),
        ("layers", True, "which is not an integer"),
        ("layers", 1 << 63, "which is not an integer"),
        ("rate", True, "which is not a number"),
        ("rate", math.nan, "which is not a number"),
        ("rate", 10**400, "which is not a number"),
        ("tied", 1, "which is not true or false"),
        ("form", "c", '`form` = \'c\', which is not one of "a", "b"'),
        ("form", [], "which is not one of"),
        ("text", 3, "which is not a string"),
        ("positions", 3, "which is not a list of integers"),
        ("positions", [1, "2"], "`positions[1]` = '2', which is not an integer"),
        ("positions", "12", "which is not a list of integers"),
        ("pair", [1], "which is not a list of 2: an integer, a number"),
        ("nested", [["q", 1.5]], "`nested[0][1]` = 1.5"),
        ("bits", {"q": "4"}, "`bits.q` = '4', which is not an integer"),
        ("bits", [4], "which is not a table of integers"),
        ("limit", "2", "which is not a number"),
        ("either", 1.5, "which is not an integer or a string"),
        ("inner", {"widht": 5}, "`inner.widht`"),
        ("inner", 5, "which is not a table with width"),
    ],
)
def test_a_value_of_the_wrong_type_is_told_with_the_type_expected(key: str, given: object, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_config(TARGET, {key: given}, "[mixer]")
    assert caught.value.message.startswith("[mixer] has ")
    assert told in caught.value.message
    assert caught.value.hint == f"`{key}` takes {describe(_type_of(key))}"


def _type_of(key: str) -> Any:
    from golfreg.registry.convert import field_types

    return field_types(Config)[key]


def test_an_unknown_key_gets_the_nearest() -> None:
    with pytest.raises(ConfigError) as caught:
        make_config(TARGET, {"layer": 4}, "[architecture]")
    assert caught.value.message == "[architecture] has no setting `layer`"
    assert caught.value.hint == "did you mean `layers`?"


def test_what_the_config_itself_refuses_says_where() -> None:
    with pytest.raises(ConfigError, match=r"^\[architecture\]: `layers` is at least 1$"):
        make_config(TARGET, {"layers": 0}, "[architecture]")
    with pytest.raises(ConfigError, match=r"^\[architecture\]: no such text$"):
        make_config(TARGET, {"text": "value"}, "[architecture]")


def test_a_long_value_is_shortened_in_the_message() -> None:
    with pytest.raises(ConfigError) as caught:
        make_config(TARGET, {"layers": "9" * 1_000_000}, "[mixer]")
    assert len(caught.value.message) < 200


def test_a_component_without_settings_refuses_any() -> None:
    assert make_config(SimpleNamespace(), {}, "[corpus]") is None
    with pytest.raises(ConfigError, match="sets `x`, but the component has no settings"):
        make_config(SimpleNamespace(), {"x": 1}, "[corpus]")
    with pytest.raises(PluginError, match="not a dataclass"):
        make_config(SimpleNamespace(Config=dict), {}, "[codec]")


def test_the_values_of_a_config_make_the_same_config_again() -> None:
    config = make_config(
        TARGET, {"nested": [["q", 1]], "names": ["b", "a"], "bits": {"q": 4}, "inner": {"width": 9}}, "[mixer]"
    )
    values = config_values(config)
    assert values["nested"] == [["q", 1]]
    assert values["names"] == ["a", "b"]
    assert "limit" not in values
    assert make_config(TARGET, values, "[mixer]") == config
    assert config_values(None) == {}


def _registered(defaults: dict[str, Any]) -> Registered:
    descriptor = Architecture(name="made", summary="", target="golfreg_made_target:target", defaults=defaults)
    return Registered(descriptor, Provider("made", "golfreg-made", "3.0", "made.plugin"))


@pytest.fixture
def _made_target(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    target = SimpleNamespace(Config=Config, mixers=None, build=None, roles=None, flops_per_token=None)
    monkeypatch.setitem(sys.modules, "golfreg_made_target", SimpleNamespace(target=target))  # type: ignore[arg-type]


@pytest.mark.usefixtures("_made_target")
def test_user_settings_go_over_the_defaults_of_a_named_pattern() -> None:
    _, config = configure(_registered({"layers": 7, "rate": 1}), {"rate": 2})
    assert (config.layers, config.rate, config.text) == (7, 2.0, "x")


@pytest.mark.usefixtures("_made_target")
def test_a_pattern_with_bad_defaults_is_the_plugins_fault() -> None:
    with pytest.raises(
        PluginError, match=r"the descriptor of architecture `made` has no setting `lawyers`.*golfreg-made"
    ):
        configure(_registered({"lawyers": 7}), {})


@pytest.mark.usefixtures("_made_target")
def test_the_message_names_the_table_and_the_component() -> None:
    with pytest.raises(ConfigError, match=r"^\[architecture\] of `made` has no setting `lawyers`"):
        configure(_registered({}), {"lawyers": 7})


def test_a_codec_without_settings_is_configured(host_with: Callable[..., Host]) -> None:
    target, config = configure(resolve("codec", "works", host=host_with("works")), {})
    assert target.compress(b"a", config) == b"a"
    assert config_values(config) == {}
