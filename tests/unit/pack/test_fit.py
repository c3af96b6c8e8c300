"""``--fit``: bits and clips by role for a cap, on a model of two matrices."""

import dataclasses

import pytest

from golfreg.api import ConfigError
from golfreg.config.plan import Chosen, Limits
from golfreg.config.spec import RunSpec
from golfreg.pack import estimate, fit, quantize
from golfreg.pack.sections import load_sections

RDO = Chosen("quantizer", "rdo", "golfreg.builtin.quantizers.rdo:rdo", "", "", "", {"price": -1.0})
GPTQ = Chosen("quantizer", "gptq", "golfreg.builtin.quantizers.gptq:gptq", "", "", "")
INT6 = Chosen("quantizer", "int6", "golfreg.builtin.quantizers.rowwise:rowwise", "", "", "")
CODE_BYTES = 1000


@pytest.fixture
def fitted(job, with_plan, monkeypatch):
    """Run the quantize stage with ``--fit``: its result, the sections' header, and what the user was told."""
    monkeypatch.setattr(estimate, "estimated_code_bytes", lambda job: CODE_BYTES)

    def call(cap_bytes, quantizer=INT6, **settings):
        config = {"overrides": {}, "raw_elements": 64, "scale_mantissa_bits": 3, **quantizer.config, **settings}
        told = []
        changed = with_plan(
            job, quantizer=dataclasses.replace(quantizer, config=config), spec=RunSpec(fit=True),
            limits=Limits(cap_bytes=cap_bytes),
        )  # fmt: skip
        monkeypatch.setattr(type(job), "tell", lambda self, event, **values: told.append(values.get("text", "")))
        result = quantize.run(changed)
        return result, load_sections(job.run_dir / "sections.bin")[0], told

    return call


@pytest.mark.parametrize("cap_bytes", [4900, 5600])
def test_the_artifact_lands_within_the_tolerance_below_the_cap(fitted, cap_bytes, monkeypatch):
    # Of some thousand bytes a single clip decides more than of millions.
    monkeypatch.setattr(fit, "TOLERANCE", 0.01)
    result, header, told = fitted(cap_bytes)
    assert 0.99 * cap_bytes <= result["fit"]["bytes"] <= cap_bytes
    assert result["fit"]["encodes"] <= len(fit.LADDER) + fit.MOST_LANDINGS
    assert told == result["told"]
    assert len(told) > result["fit"]["encodes"]
    overrides = header.quantizer.config["overrides"]
    assert overrides == result["fit"]["roles"]
    assert set(overrides) == {"embedding", "in_proj"}
    assert fitted(cap_bytes)[0] == result


def test_more_bytes_give_finer_rungs(fitted):
    small, large = (sum(p["bits"] for p in fitted(cap)[0]["fit"]["roles"].values()) for cap in (4600, 5600))
    assert small < large


def test_a_model_that_is_too_small_takes_the_finest_and_says_so(fitted):
    result, _, told = fitted(1_000_000)
    assert result["fit"]["roles"] == {role: {"bits": 8, "clip_std": 13.0} for role in ("embedding", "in_proj")}
    assert any("less than the cap of 1,000,000: a larger model would use them" in line for line in told)


def test_what_never_fits_is_the_smallest_and_said(fitted):
    result, _, told = fitted(1500)
    assert result["fit"]["bytes"] > 1500
    assert any("the smallest artifact that was tried has" in line for line in told)


def test_overrides_of_the_user_stay(fitted):
    overrides = {"embedding": {"bits": 8}, "in_proj": {"dt": {"bits": 7}}}
    result, header, _ = fitted(5000, overrides=overrides)
    assert set(result["fit"]["roles"]) == {"in_proj"}
    found = header.quantizer.config["overrides"]
    assert found["embedding"] == {"bits": 8}
    assert found["in_proj"]["dt"] == {"bits": 7}


@pytest.mark.filterwarnings("ignore:.*has no second moment")
def test_rdo_finds_the_price_for_the_rungs_that_are_just_over_the_cap(fitted):
    result, header, told = fitted(5200, RDO)
    assert 0.97 * 5200 <= result["fit"]["bytes"] <= 5200
    assert any("rdo: " in line and "at price" in line for line in told)
    assert header.quantizer.config["price"] == -1.0


def test_a_quantizer_without_bits_is_refused():
    int8 = Chosen("quantizer", "int8", "golfreg.builtin.quantizers.int8:int8", "", "", "")
    with pytest.raises(ConfigError, match="quantizer `int8` has no setting `bits`"):
        fit.check_fit(int8)
    with pytest.raises(ConfigError, match=r"`quantizer\.price` sets it"):
        fit.check_fit(dataclasses.replace(RDO, config={"price": 0.5}))
    fit.check_fit(GPTQ)


def test_upgrades_are_in_the_order_of_what_a_byte_takes_away_and_skip_what_is_not_worth_it():
    errors = [{"a": 1.0, "b": 8.0}, {"a": 0.9, "b": 4.0}, {"a": 0.1, "b": 3.9}]
    sizes = [{"a": 100, "b": 100}, {"a": 200, "b": 200}, {"a": 300, "b": 300}]
    assert fit.upgrades(errors, sizes) == [("b", 1), ("a", 2), ("b", 2)]
