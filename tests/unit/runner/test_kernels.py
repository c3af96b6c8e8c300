"""Kernels of a run: for every op of its mixers, and by OP=NAME for what is computed in plain code otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from golfreg.api.errors import ConfigError, EnvironmentFault, GolfregError
from golfreg.config.load import load_spec
from golfreg.config.plan import Plan, plan_to_dict, read_plan
from golfreg.runner.kernels import parse_wanted
from golfreg.runner.plan import make_plan
from golfreg.runner.rundir import create

BOTH = "components.kernel=mlp_activation=reference,softcapped_cross_entropy=reference"


def plan(*sets: str) -> Plan:
    small = ["architecture.n_layers=2", "architecture.d_model=64", "train.device=cpu"]
    return make_plan(load_spec(None, {}, [*small, *sets])).plan


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("auto", ("auto", {})),
        ("triton", ("triton", {})),
        ("a=b", ("auto", {"a": "b"})),
        ("a=b, triton ,c = d", ("triton", {"a": "b", "c": "d"})),
    ],
)
def test_one_name_is_for_all_ops_and_others_are_for_one_each(text: str, found: Any) -> None:
    assert parse_wanted(text) == found


@pytest.mark.parametrize("text", ["", ",", "a=", "=b", "a=b,a=c", "triton,reference", "a=b,"])
def test_a_choice_that_means_nothing_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="components.kernel"):
        parse_wanted(text)


def test_without_a_choice_there_is_no_kernel_but_those_of_the_mixers() -> None:
    made = plan()
    assert set(made.kernels) == set(made.ops) == {"mamba3_siso"}
    assert made.train_kernels == {}
    assert "train_kernels" not in plan_to_dict(made)


def test_a_kernel_of_the_architecture_is_part_of_the_model_and_one_of_training_is_not(tmp_path: Path) -> None:
    made = plan(BOTH)
    assert set(made.kernels) == set(made.ops) == {"mamba3_siso", "mlp_activation"}
    assert {op: k.name for op, k in made.train_kernels.items()} == {"softcapped_cross_entropy": "reference"}
    assert made.train_kernels["softcapped_cross_entropy"].reason == "as asked"
    assert made.spec_digest != plan().spec_digest
    assert read_plan(create(tmp_path, made) / "plan.toml") == made


@pytest.mark.parametrize(
    ("kernel", "error", "says"),
    [
        ("mlp_activaton=triton", ConfigError, "did you mean `mlp_activation`?"),
        ("mlp_activation=tritn", GolfregError, "did you mean `triton`?"),
        ("mlp_activation=triton", EnvironmentFault, "NVIDIA GPU"),
        ("softcapped_cross_entropy=triton", EnvironmentFault, "NVIDIA GPU"),
        ("tritn", GolfregError, "did you mean `triton`?"),
    ],
)
def test_a_kernel_that_cannot_be_used_is_one_clear_error(kernel: str, error: type[GolfregError], says: str) -> None:
    with pytest.raises(error) as caught:
        plan(f"components.kernel={kernel}")
    assert says in f"{caught.value.message} {caught.value.hint}"


def test_a_mixers_own_op_can_have_a_kernel_where_that_mixer_is_used() -> None:
    asked = "components.kernel=rotary_qk_norm=reference"
    assert set(plan(asked, "components.architecture=transformer").kernels) == {"rotary_qk_norm"}
    assert "rotary_qk_norm" in plan(asked, "architecture.attention_layers=[1]").kernels


def test_an_activation_that_no_kernel_computes_stays_plain_unless_a_kernel_is_asked_for() -> None:
    assert "mlp_activation" not in plan("architecture.mlp_activation=gelu").kernels
    with pytest.raises(EnvironmentFault, match="kind gelu"):
        plan("architecture.mlp_activation=gelu", BOTH)
