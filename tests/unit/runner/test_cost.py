"""What a run will cost: every figure against one computed by hand."""

import json
from pathlib import Path

import pytest

from golfreg.api.errors import ConfigError
from golfreg.api.values import Role
from golfreg.config.load import load_spec
from golfreg.runner import cost
from golfreg.runner.artifact_size import predicted_model_bytes, samples
from golfreg.runner.code_size import closure, predicted_code_bytes
from golfreg.runner.cost import predict_cost
from golfreg.runner.earlier import rate_of
from golfreg.runner.plan import make_plan
from golfreg.runner.recipes import find_recipe, list_recipes
from golfreg.runner.rundir import create
from golfreg.runner.speed import parse_device, predict_speed, product_flops
from golfreg.train.throughput import peak_flops

SMALL = ["architecture.n_layers=2", "architecture.d_model=64", "components.codec=zlib"]


def planned(*sets: str, recipe: str | None = None):
    path = find_recipe(recipe) if recipe else None
    return make_plan(load_spec(path, {}, ["train.device=cpu", *sets]))


@pytest.fixture
def code_of_40000(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "predicted_code_bytes", lambda plan: 40_000)


def test_every_shipped_recipe_has_a_cost_and_fits_the_cap(code_of_40000: None, tmp_path: Path) -> None:
    parameters = {}
    for name in list_recipes():
        # `gptq` has the settings and widths of `int6`, and takes longer; so does every codec but zlib.
        quantizer = "int8" if name.startswith("baseline") else "int6"
        one = planned("components.codec=zlib", f"components.quantizer={quantizer}", recipe=name)
        found = predict_cost(one, "8xh100" if name.endswith("8gpu") else "h100", 2.0, tmp_path)
        assert found is not None
        assert found.artifact_bytes is not None
        assert found.artifact_bytes < 16_500_000, name  # zlib takes up to 4 % more than the recipe's codec
        assert found.steps
        assert found.step_seconds
        assert found.tokens == found.steps * one.plan.spec.train.batch_tokens
        assert one.plan.spec.train.checkpoint_seconds == 120 or not name.startswith(("base", "trans", "mamba3"))
        json.dumps(found.table(), allow_nan=False)
        parameters[name] = found.parameters
    assert parameters["baseline"] == 17_059_912
    assert parameters["mamba3-hybrid"] == 25_159_984
    # PR 1855 has 35,945,671: skip gates (8 x 512) and lane factors in the 8 layers without lanes (6 each) as well.
    assert parameters["transformer-8gpu"] == 35_945_671 - 8 * 512 - 8 * 6


def test_time_tokens_and_price_of_the_baseline_on_one_h100(code_of_40000: None, tmp_path: Path) -> None:
    found = predict_cost(planned(recipe="baseline"), "h100", 3.0, tmp_path)
    assert found is not None
    # Weights that multiply: all but 9 layers' 4 x 512 + 8 scalars and 4 skips of 512; then 9 layers of attention.
    flops = 6 * (17_059_912 - 9 * (4 * 512 + 8) - 4 * 512) + 9 * 6 * 512 * 1025
    assert found.flops_per_token == flops == 130_575_360
    assert found.embedding_parameters == 1024 * 512
    assert found.speed.tokens_per_second == pytest.approx(0.255 * 989.4e12 / flops)
    assert found.step_seconds == pytest.approx(524_288 / found.speed.tokens_per_second)
    assert found.train_seconds == 150
    assert found.steps == int(150 / found.step_seconds) == 552
    assert found.usd == pytest.approx(3.0 * 150 / 3600)
    assert "estimate" in found.speed.basis
    assert "1.93M tokens/s" in found.speed.basis


def test_eight_gpus_are_eight_times_as_fast_and_as_dear(code_of_40000: None, tmp_path: Path) -> None:
    one, eight = (predict_cost(planned(*SMALL), name, 2.0, tmp_path) for name in ("h100", "8xh100"))
    assert one is not None
    assert eight is not None
    assert eight.speed.tokens_per_second == pytest.approx(8 * one.speed.tokens_per_second)
    assert eight.usd == pytest.approx(8 * one.usd)
    # The ruleset's number, where none is named.
    found = predict_cost(planned(*SMALL, "ruleset=parameter-golf"), "h100", None, tmp_path)
    assert found is not None
    assert (found.speed.devices, found.usd) == (8, None)


def test_a_number_of_steps_is_what_is_timed(code_of_40000: None, tmp_path: Path) -> None:
    found = predict_cost(planned(*SMALL, "train.steps=50"), "h100", None, tmp_path)
    assert found is not None
    assert found.steps == 50
    assert found.tokens == 50 * 4096
    assert found.train_seconds == pytest.approx(50 * found.step_seconds)


def test_weights_without_quantizer_and_codec_take_two_bytes_each(tmp_path: Path) -> None:
    one = planned("architecture.d_model=512", "architecture.n_layers=2", "components.quantizer=none",
                  "components.codec=none", "components.architecture=transformer", "data.tokenizer=sp4096")  # fmt: skip
    sizes = predicted_model_bytes(one.plan, one.tensors, 0)
    assert sum(sizes.values()) == 2 * one.parameters
    assert sizes["embedding"] == 2 * 4096 * 512
    assert sizes["qkv"] == 2 * 2 * (512 + 2 * 256) * 512


def test_int8_without_a_codec_takes_a_byte_a_weight_and_two_a_row(tmp_path: Path) -> None:
    one = planned("architecture.d_model=512", "architecture.n_layers=3", "components.quantizer=int8",
                  "components.codec=none", "data.tokenizer=sp4096", "components.architecture=mamba3")  # fmt: skip
    sizes = predicted_model_bytes(one.plan, one.tensors, 0)
    assert sizes["embedding"] == 4096 * (512 + 2)
    assert sizes["in_proj"] == 3 * 2240 * (512 + 2)


def test_a_sample_has_some_rows_of_each_group_and_counts_like_tensors_once() -> None:
    role = Role("in_proj", (("z", 4000), ("dt", 8)))
    tensors = {f"{i}.w": ((4008, 512), role) for i in range(3)} | {"s": ((512,), Role("scalar"))}
    one, scalar = samples(tensors)
    assert (one.name, one.count, scalar.count) == ("0.w", 3, 1)
    assert one.kept[1] == 8
    assert one.factor("dt") == 3
    assert one.factor("z") == pytest.approx(3 * 4000 / one.kept[0])
    assert one.kept[0] * 512 > 65_536
    assert scalar.factor("") == 1


def test_the_code_is_that_of_the_stages_and_of_the_components_that_were_chosen() -> None:
    found = closure(["golfreg.train.stage", "golfreg.builtin.mixers.mamba3"])
    assert {"golfreg.train.loop", "golfreg.builtin.kernels.mamba3_siso", "golfreg.kernels.build"} <= found
    assert not {name for name in found if name.startswith(("golfreg.cli", "golfreg.leaderboard", "torch"))}
    plain, packed = (predicted_code_bytes(planned(*SMALL, *more).plan) for more in ([], ["ruleset=parameter-golf"]))
    assert 30_000 < plain < packed < 90_000


def test_a_run_that_was_made_is_believed_more_than_an_estimate(code_of_40000: None, tmp_path: Path) -> None:
    one = planned(*SMALL)
    directory = create(tmp_path, one.plan)
    lines = [{"step": i, "tokens": 4096 * i, "train_seconds": 5 + 0.5 * i} for i in range(1, 21)]
    (directory / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "zz-damaged").mkdir()
    (tmp_path / "zz-damaged" / "plan.toml").write_bytes(b"\xff")
    found = predict_cost(one, None, None, tmp_path)
    assert found is not None
    assert found.speed.tokens_per_second == pytest.approx(8192)
    assert "measured" in found.speed.basis
    assert directory.name in found.speed.basis
    assert "estimate" in found.artifact_basis
    (directory / "stages" / "pack.toml").write_text("[result]\ntotal_bytes = 123456\n")
    found = predict_cost(one, None, None, tmp_path)
    assert found is not None
    assert found.artifact_bytes == 123_456
    # The seed and the learning rate change no step; the model does. Another device is another matter.
    again = planned(*SMALL, "seed=7", "train.matrix_lr=0.5").plan
    assert predict_speed(again, 1000, None, 1, tmp_path).tokens_per_second == pytest.approx(8192)
    other = planned(*SMALL, "architecture.mlp_ratio=3").plan
    assert "estimate" in predict_speed(other, 1000, None, 1, tmp_path).basis
    assert "estimate" in predict_speed(one.plan, 1000, "h100", 1, tmp_path).basis


@pytest.mark.parametrize("text", ["", "{}", '{"tokens": 1, "train_seconds": 2}', "[1]\n[2]", "\x00", '{"tokens": 9'])
def test_metrics_that_say_nothing_are_passed_over(tmp_path: Path, text: str) -> None:
    (tmp_path / "metrics.jsonl").write_text(text)
    assert rate_of(tmp_path / "metrics.jsonl") is None
    assert rate_of(tmp_path / "none.jsonl") is None


def test_devices_are_named_with_or_without_a_number() -> None:
    assert parse_device("8xH100", 1) == (8, "h100")
    assert parse_device("h100", 8) == (8, "h100")
    assert parse_device("rtx 4090", 0) == (1, "rtx 4090")
    assert peak_flops("NVIDIA H100 80GB HBM3") == 989.4e12
    with pytest.raises(ConfigError, match="names 0 devices"):
        parse_device("0xh100", 1)
    with pytest.raises(ConfigError, match="peak of `abacus`"):
        predict_speed(planned(*SMALL).plan, 1000, "abacus", 1, Path("no-such"))


def test_on_a_cpu_a_product_is_timed() -> None:
    assert product_flops(1) > 1e8
    found = predict_speed(planned(*SMALL).plan, 10**6, None, 1, Path("no-such"))
    assert found.device == "cpu"
    assert found.tokens_per_second == pytest.approx(found.utilization * found.peak_flops / 1e6)


def test_what_is_not_known_before_the_data_is_there_has_no_cost() -> None:
    assert predict_cost(planned("components.corpus=shards:no-such", *SMALL), "h100", None, Path("no-such")) is None
