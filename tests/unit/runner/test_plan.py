from pathlib import Path

import pytest

from golfreg.api.errors import ConfigError, EnvironmentFault, InputError, UnknownComponentError
from golfreg.config.load import load_spec
from golfreg.config.plan import plan_to_dict, read_plan
from golfreg.runner.plan import Planned, make_plan
from golfreg.runner.recipes import choose_recipe, list_recipes
from golfreg.runner.rundir import create, locked, stage_result
from golfreg.train.stage import rounded_parameters

SMALL = ["architecture.n_layers=2", "architecture.d_model=64", "train.device=cpu"]


def plan(*sets: str, recipe: str | None = None) -> Planned:
    path = choose_recipe(recipe, "cpu")[0] if recipe else None
    return make_plan(load_spec(path, {}, [*SMALL, *sets]))


def test_the_default_transformer_is_the_challenge_baseline() -> None:
    planned = make_plan(load_spec(None, {}, ["components.architecture=transformer", "train.device=cpu"]))
    assert planned.parameters == 17_059_912


def test_a_flag_beats_the_pattern_and_the_recipe() -> None:
    path, _ = choose_recipe("smoke", None)
    loaded = load_spec(path, {}, ["architecture.d_model=64", "mixer.d_state=16"], {"seed": ("--seed", 9)})
    planned = make_plan(loaded)
    assert planned.plan.architecture.config["d_model"] == 64
    assert planned.plan.architecture.config["mixer"] == "mamba3"
    assert planned.plan.mixers["mamba3"].config["d_state"] == 16
    rows = {key: origin for key, _, origin in planned.rows()}
    assert rows["architecture.mixer"] == "pattern mamba3"
    assert rows["architecture.d_model"] == "--set architecture.d_model=64"
    assert rows["mixer.mamba3.d_state"] == "--set mixer.d_state=16"
    assert rows["train.sequence_length"] == "recipe smoke.toml"
    assert rows["train.adam_beta1"] == "default"
    assert rows["seed"] == "--seed"


def test_flat_mixer_settings_are_for_the_main_mixer_and_named_ones_for_theirs() -> None:
    planned = plan("architecture.attention_layers=[1]", "mixer.d_state=32", "mixer.attention.n_heads=2",
                   "mixer.attention.n_kv_heads=1", "mixer.headdim=32")  # fmt: skip
    assert planned.plan.mixers["mamba3"].config["d_state"] == 32
    assert planned.plan.mixers["attention"].config["n_heads"] == 2


def test_the_plan_reads_back_as_it_was_written(tmp_path: Path) -> None:
    written = plan("quantizer.bits=5", "components.corpus=jsonl:a.jsonl").plan
    assert read_plan(create(tmp_path, written) / "plan.toml") == written
    assert plan_to_dict(written)["corpus"]["argument"] == "a.jsonl"


def test_the_digest_names_the_configuration_and_not_the_seed() -> None:
    one = plan("seed=1").plan.spec_digest
    assert plan("seed=2").plan.spec_digest == one
    assert plan("quantizer.bits=5").plan.spec_digest != one


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("components.codec=lzmaa", "lzma"),
        ("components.architecture=mamba", "mamba3"),
        ("components.quantizer=int66", "int6"),
        ("components.corpus=docstring", "docstrings"),
        ("mixer.d_stat=1", "d_state"),
        ("quantizer.bitz=1", "bits"),
        ("ruleset=cpu-smok", "cpu-smoke"),
        ("mixer.attentoin.n_heads=1", "attention"),
        ("quantizer.overrides.in_prj.bits=5", "in_proj"),
        ("quantizer.overrides.in_proj.angel.bits=5", "angle"),
        ("quantizer.overrides.mlp_down.bit=5", "bits"),
        ("train.calibration_source=generate", "generated"),
    ],
)
def test_an_unknown_name_shows_the_nearest(setting: str, says: str) -> None:
    with pytest.raises((ConfigError, UnknownComponentError)) as caught:
        plan(setting)
    assert f"`{says}`" in f"{caught.value.hint}"


@pytest.mark.parametrize(
    "setting",
    [
        "mixer.d_state=many",
        "quantizer.bits=17",
        "train.batch_tokens=1000",
        "train.batch_tokens=0",
        "train.ema_decay=1.0",
        "train.warmdown_fraction=2",
        "train.fake_quant_fraction=1.5",
        "quantizer.overrides.in_proj.dt.bits=9",
        "train.matrix_lr=-1",
        "train.dtype=int3",
        "train.device=tpu",
        "train.compile=maybe",
        "train.seconds=46",
        "score.windows=sliding",
        "score.windows=sliding:0",
        "score.documents=mixed",
        "score.documents=stream",
        "components.corpus=jsonl",
        "components.corpus=docstrings:x",
        "data.tokenizer=sp12",
        "architecture.attention_layers=[7]",
    ],
)
def test_a_setting_out_of_range_is_a_config_error_with_a_hint(setting: str) -> None:
    with pytest.raises((ConfigError, InputError)) as caught:
        plan(setting)
    assert caught.value.hint


def test_settings_without_effect_are_warned_of() -> None:
    warnings = plan("train.steps=3", "train.seconds=3", "components.corpus=jsonl:x.jsonl").warnings
    assert any("train.seconds" in w for w in warnings)
    assert any("leaderboard" in w for w in warnings)
    assert any("calibration_source" in w for w in plan("train.calibration_source=random").warnings)


def test_a_quantizer_that_cannot_round_in_training_is_said_before_it() -> None:
    with pytest.raises(ConfigError, match="quantizer `none` has no `fake_quant`"):
        plan("train.fake_quant_fraction=0.1", "components.quantizer=none")
    assert plan("train.fake_quant_fraction=0.1").plan.spec.train.fake_quant_fraction == 0.1


def test_what_late_rounding_leaves_out_is_named_by_patterns_that_match() -> None:
    late = "train.fake_quant_fraction=0.2"
    one = plan(late, "train.fake_quant_skip='blocks.*.mixer.in_proj.weight, *.out_proj.weight'")
    kept = rounded_parameters(one.tensors, one.plan.spec.train.fake_quant_skip)
    assert set(one.tensors) - set(kept) == {
        f"blocks.{i}.mixer.{name}.weight" for i in (0, 1) for name in ("in_proj", "out_proj")
    }
    assert rounded_parameters(one.tensors, "") == one.tensors
    with pytest.raises(ConfigError, match=r"like `\*\.in_porj"):
        plan(late, "train.fake_quant_skip=*.in_porj.weight")
    assert any("fake_quant_skip" in w for w in plan("train.fake_quant_skip=*.in_proj.weight").warnings)


def test_a_gpu_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(EnvironmentFault, match="no GPU"):
        make_plan(load_spec(None, {}, ["train.device=cuda"]))


def test_every_shipped_recipe_makes_a_plan_for_both_patterns() -> None:
    assert list_recipes()
    for name in list_recipes():
        for architecture in ("mamba3", "transformer"):
            path, why = choose_recipe(name, None)
            sets = [f"components.architecture={architecture}", "train.device=cpu"]
            assert make_plan(load_spec(path, {}, sets)).parameters
            assert name in why


def test_an_unknown_recipe_shows_the_nearest() -> None:
    with pytest.raises(ConfigError) as caught:
        choose_recipe("smok", None)
    assert "`smoke`" in str(caught.value.hint)


def test_a_damaged_run_directory_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no run directory"):
        read_plan(tmp_path / "plan.toml")
    run_dir = create(tmp_path, plan().plan)
    (run_dir / "stages" / "train.toml").write_bytes(b"\xff\x00")
    with pytest.raises(InputError, match="train.toml"):
        stage_result(run_dir, "train")
    (run_dir / "plan.toml").write_text("spec = 3\n")
    with pytest.raises(InputError, match="plan.toml"):
        read_plan(run_dir / "plan.toml")


def test_a_runs_directory_that_is_a_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("")
    with pytest.raises(EnvironmentFault, match="runs"):
        create(tmp_path / "runs", plan().plan)


def test_two_launchers_cannot_hold_one_run(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(EnvironmentFault, match="another golfreg"), locked(tmp_path):
        raise AssertionError("the second launcher got the lock")
