import re

import pytest

from golfreg.api import ConfigError, InputError
from golfreg.config.plan import Limits
from golfreg.rules.ruleset import RULESETS_DIR, RuleSignificance, list_rulesets, load_ruleset, read_ruleset

SMOKE = (RULESETS_DIR / "cpu-smoke.toml").read_text("utf-8")


def test_every_shipped_ruleset_loads():
    names = list_rulesets()
    assert names == [
        "cpu-smoke", "h100-150s", "h100-150s-web", "h200-150s-web", "parameter-golf", "parameter-golf-frontier",
        "parameter-golf-non-record",
    ]  # fmt: skip
    assert list_rulesets("parameter-golf") == ["parameter-golf", "parameter-golf-frontier"]
    for name in names:
        ruleset = load_ruleset(name)
        assert ruleset.name == name
        assert ruleset.limits.cap_bytes == 16_000_000
        assert ruleset.summary


def test_the_limits_of_the_tracks_are_these():
    assert load_ruleset("cpu-smoke").as_limits() == Limits(16_000_000, 45.0, 60.0)
    assert load_ruleset("h100-150s").limits.train_seconds == 150.0
    on_web = [load_ruleset(f"{gpu}-150s-web") for gpu in ("h100", "h200")]
    assert [ruleset.hardware.gpu for ruleset in on_web] == ["H100", "H200"]
    assert len({ruleset.track for ruleset in on_web}) == 2
    assert on_web[0].data == on_web[1].data
    golf = load_ruleset("parameter-golf")
    limits = golf.as_limits()
    assert (limits.cap_bytes, limits.train_seconds, limits.score_seconds) == (16_000_000, 600.0, 600.0)
    assert (golf.seeds.required, golf.hardware.gpus) == (3, 8)
    assert golf.significance is not None
    assert (golf.significance.margin_nats_per_token, golf.significance.p_value) == (0.005, 0.01)
    frontier = load_ruleset("parameter-golf-frontier")
    assert frontier.significance == RuleSignificance(
        test="welch", margin_nats_per_token=0.0, p_value=0.25, pool_reproductions=True
    )
    assert (frontier.track, frontier.limits, frontier.score) == (golf.track, golf.limits, golf.score)


def test_an_unknown_ruleset_is_refused_with_the_nearest_name():
    with pytest.raises(ConfigError, match="no ruleset `cpu-smok`") as caught:
        load_ruleset("cpu-smok")
    assert caught.value.hint == "did you mean `cpu-smoke`?"


@pytest.mark.parametrize("name", ["", "../rulesets/cpu-smoke", "\x1b[2J", "x" * 10_000])
def test_a_hostile_name_is_only_unknown(name):
    with pytest.raises(ConfigError) as caught:
        load_ruleset(name)
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 200


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("cap_bytes", "cap_byte", "limits has the unknown key `cap_byte`"),
        ("16_000_000", "16e6", "limits.cap_bytes is a number; it must be a whole number"),
        ("16_000_000", "0", "a limit is above 0"),
        ("required = 1", "required = 0", "at least one seed"),
        ('["isolated"]', '["none"]', "none is none of isolated, stream"),
        ('"cpu-smoke"', '"other"', "says its name is `other`"),
        ("schema = 1", "schema = 2", "upgrade"),
        ("cores = 2", "cores = -2", "cannot be negative"),
        ("[limits]", "[limit]", "unknown key `limit`"),
        ("[limits]", "[limits", "is not TOML"),
        ('["docstrings"]', '"docstrings"', "data.corpora is text; it must be a list"),
        ("p_value = 0.05", "p_value = 2.0", "between 0 and 1"),
        ("p_value = 0.05", "p_value = nan", "p_value is nan; it must be finite"),
        ('test = "welch"', 'test = "anova"', "anova is none of one-sample, welch"),
        ("margin_nats_per_token = 0.0", "margin_nats_per_token = 1e9", "at most 100"),
        ('counted = ["closure"]', 'counted = ["guessed"]', "guessed is none of closure, plain, packed"),
        ('counted = ["closure"]', "counted = []", "at least one way"),
        ("tolerance_nats_per_token = 0.05", "tolerance_nats_per_token = -1.0", "cannot be negative"),
    ],
)
def test_a_faulty_ruleset_is_refused_with_the_place(tmp_path, old, new, says):
    assert old in SMOKE
    (tmp_path / "cpu-smoke.toml").write_text(SMOKE.replace(old, new), "utf-8")
    with pytest.raises(InputError) as caught:
        read_ruleset(tmp_path / "cpu-smoke.toml")
    assert re.search(re.escape(says), f"{caught.value.message} {caught.value.hint}")
