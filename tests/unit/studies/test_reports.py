"""Each study's report says what the numbers say, on numbers that are known."""

import json
import math
import tomllib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from golfreg.api import Budget, Role
from golfreg.api.errors import ConfigError, InputError
from golfreg.builtin.quantizers.rowwise import RowwiseConfig, rowwise
from golfreg.config.plan import Chosen, Limits, Plan
from golfreg.config.spec import RunSpec
from golfreg.studies import calibration, compressibility, dynamics_precision
from golfreg.studies.catalogue import STUDIES, find_study
from golfreg.studies.checkpoints import Checkpoint, open_checkpoints
from golfreg.studies.evidence import FALLS, OPEN, STANDS
from golfreg.studies.remeasure import Scored
from golfreg.studies.report import table, write_report
from golfreg.studies.workplace import Workplace

COMPONENT = Chosen("codec", "lzma", "golfreg.builtin.codecs.standard:lzma_codec", "golfreg", "0", "", {})


def checkpoint(seed, architecture="mamba3"):
    plan = Plan(
        spec=replace(RunSpec(), seed=seed), spec_digest="0", quantizer=COMPONENT, quantizer_needs=(), codec=COMPONENT,
        architecture=replace(COMPONENT, kind="architecture", name=architecture), mixers={"mamba3": COMPONENT},
        corpus=replace(COMPONENT, name="docstrings"), ops={}, kernels={}, limits=Limits(), track="t", device="cpu",
        dtype="float32", compile=False, threads=1, dataset="/nowhere",
    )  # fmt: skip
    return Checkpoint(Path(f"runs/{architecture}-{seed}"), plan, f"{architecture}{seed}" * 8)


def place(tmp_path, *checkpoints):
    return Workplace(tmp_path, checkpoints, lambda *_: None)


def scored(cost_mbpb, documents=200):
    """Scores whose bits per byte differ from those of cost 0 by so much, a little more or less in each document."""
    draw = np.random.default_rng(0)
    sizes = draw.integers(500, 1500, documents)
    nats = sizes * (0.7 + cost_mbpb * draw.normal(1, 0.2, documents) * math.log(2) / 1000)
    return Scored(float(nats.sum() / math.log(2) / sizes.sum()), nats, sizes)


def hybrid_sections(seed, spread=1.0):
    """A state-space block and an attention block. ``spread``: in_proj's rows have tails so heavy."""
    torch.manual_seed(seed)
    shapes = {"blocks.0.mixer.in_proj.weight": (136, 64), "blocks.0.mixer.out_proj.weight": (64, 128)}
    shapes |= {f"blocks.1.mixer.{n}_proj.weight": (64, 64) for n in ("q", "k", "v", "out")}
    shapes["embedding.weight"] = (128, 64)
    state = {name: torch.randn(shape) for name, shape in shapes.items()}
    state["blocks.0.mixer.in_proj.weight"] = state["blocks.0.mixer.in_proj.weight"].sign() * state[
        "blocks.0.mixer.in_proj.weight"
    ].abs().pow(spread)  # fmt: skip
    roles = {n: Role("out") if "out_proj" in n else Role("qkv") for n in state}
    roles["blocks.0.mixer.in_proj.weight"] = Role("in_proj", (("z", 128), ("dt", 8)))
    roles["embedding.weight"] = Role("embedding")
    sections = rowwise.quantize(state, roles, {}, Budget(1, len), RowwiseConfig(raw_elements=100))
    return sections, state


@pytest.fixture
def known(monkeypatch):
    """Checkpoints whose weights are known, without runs."""
    import golfreg.pack.quantize

    # A large dictionary is cleared for each matrix, however small.
    monkeypatch.setattr(compressibility, "XZ", ("xz -9e", "lzma", {"lc": 3, "dict_size": 1 << 12}))
    monkeypatch.setattr(
        compressibility, "quantized", lambda place, checkpoint, bits, config: hybrid_sections(checkpoint.seed)[0]
    )
    monkeypatch.setattr(
        golfreg.pack.quantize, "read_tensors", lambda path: hybrid_sections(int(str(path.parent)[-1]))[1]
    )


def written(tmp_path, study, report, *checkpoints):
    warnings = write_report(tmp_path, find_study(study), checkpoints, report, f"golfreg study run {study} a b")
    assert warnings == []
    return (tmp_path / "report.md").read_text(), tomllib.loads((tmp_path / "results.toml").read_text())


def test_equal_matrices_have_no_penalty_and_3_26_does_not_stand(tmp_path, known):
    models = [checkpoint(seed) for seed in (1, 2, 3)]
    config = compressibility.Config(bits=(6,), codecs=("zlib",))
    report = compressibility.run(place(tmp_path, *models), config)
    text, results = written(tmp_path, "compressibility", report, *models)
    assert results["verdict"] == FALLS == report.verdict.word
    assert 0.95 < results["penalty"]["value"] < 1.05
    assert 0.4 < results["amplification"]["value"] < 0.7
    assert set(results["penalties"]) == {"xz -9e", "zlib"}
    assert set(results["penalties"]["zlib"]) == {"int6 rows", "int6 shared"}
    for row in ("in_proj.dt", "qkv and out", "mamba out", "attention out", "embedding"):
        assert f"\n| {row} | " in text
    for name in ("bits", "accounting"):
        assert f"]({name}.svg)" in text
        assert (tmp_path / f"{name}.svg").read_text().startswith("<svg")
    assert "**Does not stand:**" in text
    assert "golfreg study run compressibility a b" in text


def test_each_accounting_error_adds_its_bytes(tmp_path, known):
    models = [checkpoint(1), checkpoint(2)]
    report = compressibility.run(place(tmp_path, *models), compressibility.Config(bits=(6,), codecs=("zlib",)))
    found = {name: estimate["value"] for name, estimate in report.results["accounting"].items()}
    assert found["none"] == pytest.approx(report.results["amplification"]["value"])
    assert found["none"] < found["pruned"] < found["MiB and pruned"] < found["all"]
    assert found["all"] > found["floor as published"] > found["none"]


def test_one_seed_is_not_decided(tmp_path, known):
    report = compressibility.run(place(tmp_path, checkpoint(1)), compressibility.Config(bits=(6,), codecs=("zlib",)))
    assert report.verdict.word == OPEN
    assert "one seed has no spread" in report.verdict.sentence


def test_a_killed_study_measures_only_what_is_missing(tmp_path, known, monkeypatch):
    config = compressibility.Config(bits=(6,), codecs=("zlib",))
    first = compressibility.run(place(tmp_path, checkpoint(1)), config)
    cells = sorted((tmp_path / "cells").glob("*.json"))
    assert len(cells) == 1 + 2 * 2 + 2
    assert {"weights", "quantizer", "codec", "mode"} <= set(json.loads(cells[0].read_text())["inputs"]) | {"mode"}
    monkeypatch.setattr(compressibility, "quantized", lambda *_: pytest.fail("quantized again"))
    assert compressibility.run(place(tmp_path, checkpoint(1)), config).results == first.results


def test_a_model_without_in_proj_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(compressibility, "quantized", lambda *_: hybrid_sections(1)[0][4:])
    with pytest.raises(InputError, match="in_proj"):
        compressibility.run(place(tmp_path, checkpoint(1)), compressibility.Config())


COSTS = {4: 3.0, 6: 0.9, 8: 0.0, dynamics_precision.RAW: -2.0}


def dynamics(monkeypatch, tmp_path, costs, by_length=0.0):
    monkeypatch.setattr(dynamics_precision, "_check_rows", lambda *_: None)
    monkeypatch.setattr(dynamics_precision, "packed", lambda place, checkpoint, variant: {
        "weight_bytes": 100_000 + 50 * next(iter(variant.settings["overrides"].values()))})  # fmt: skip

    def score(place, checkpoint, variant, length, windows):
        bits = next(iter(variant.settings["overrides"].values())) if variant.settings else dynamics_precision.RAW
        return scored(costs[bits] + (by_length * length if bits == 6 else 0.0))

    monkeypatch.setattr(dynamics_precision, "scored", score)
    models = [checkpoint(1), checkpoint(2)]
    config = dynamics_precision.Config(bits=(4, 6, 8), lengths=(64, 256))
    return models, dynamics_precision.run(place(tmp_path, *models), config)


def test_the_published_gain_of_eight_bits_stands_where_it_is_there(monkeypatch, tmp_path):
    models, report = dynamics(monkeypatch, tmp_path, COSTS)
    text, results = written(tmp_path, "dynamics-precision", report, *models)
    assert results["verdict"] == STANDS
    assert results["gain_mbpb"]["value"] == pytest.approx(0.9, rel=0.05)
    assert results["cost_mbpb"]["4 bits"]["64"]["value"] == pytest.approx(3.0, rel=0.05)
    assert results["bytes_more"] == 100
    assert "Not told apart from none" in text
    assert "(cost.svg)" in text


def test_a_cost_that_grows_with_the_window_is_told(monkeypatch, tmp_path):
    _, report = dynamics(monkeypatch, tmp_path, COSTS, by_length=0.01)
    assert report.results["growth_mbpb"]["low"] > 0
    assert any(isinstance(block, str) and block.startswith("Yes: from 64 to 256") for block in report.blocks)


def test_no_gain_does_not_stand(monkeypatch, tmp_path):
    _, report = dynamics(monkeypatch, tmp_path, COSTS | {6: 0.05})
    assert report.verdict.word == FALLS


@pytest.mark.parametrize(
    "settings",
    [{"bits": (4, 6)}, {"bits": (6, 6, 8)}, {"rest": 8}, {"bits": (1, 6, 8)}, {"lengths": (1,)}, {"rows": ()}],
)
def test_settings_that_leave_nothing_to_compare_are_refused(settings):
    with pytest.raises(ConfigError):
        dynamics_precision.Config(**settings)


def calibrated(monkeypatch, tmp_path, costs, outcome):
    def score(place, checkpoint, variant):
        if variant.quantizer != "gptq":
            return scored(costs[variant.quantizer])
        if variant.statistics is not None:
            return scored(costs["compiled"])
        return scored(costs[variant.train.get("calibration_source", "train")])

    class Needy:
        needs = frozenset({"input_second_moment"})

    import golfreg.registry.resolve as resolving

    monkeypatch.setattr(resolving, "resolve", lambda kind, name: name)
    monkeypatch.setattr(resolving, "load", lambda component: Needy)
    monkeypatch.setattr(calibration, "scored", score)
    monkeypatch.setattr(calibration, "_gathered", lambda *_: outcome)
    monkeypatch.setattr(calibration, "_statistics_file", lambda *_: Path("s.safetensors"))
    models = [checkpoint(1), checkpoint(2)]
    return models, calibration.run(place(tmp_path, *models), calibration.Config())


ALL = {"train": 1.0, "generated": 1.4, "random": 4.0, "compiled": 1.0, "int6": 6.0, "none": 0.0}
GATHERED = {"outcome": "gathered", "seen": 9, "of": 9, "difference": 2e-7, "sha256": "0"}


def test_a_small_cost_of_generated_text_does_not_stand_and_compiling_is_told(monkeypatch, tmp_path):
    models, report = calibrated(monkeypatch, tmp_path, ALL, GATHERED)
    text, results = written(tmp_path, "calibration", report, *models)
    assert results["verdict"] == FALLS
    assert results["over_train_mbpb"]["generated"]["value"] == pytest.approx(0.4, rel=0.05)
    assert results["over_bfloat16_mbpb"]["nearest"]["value"] == pytest.approx(6.0, rel=0.05)
    assert "gathers the same statistics (within 2e-07)" in report.verdict.sentence
    assert "9 of 9" in text


def test_a_crash_after_compiling_is_an_answer(monkeypatch, tmp_path):
    _, report = calibrated(monkeypatch, tmp_path, ALL, {"outcome": "died of SIGSEGV"})
    assert "died of SIGSEGV" in report.verdict.sentence
    assert "compiled" not in report.results["over_train_mbpb"]


def test_the_published_cost_stands_where_it_is_there(monkeypatch, tmp_path):
    _, report = calibrated(monkeypatch, tmp_path, ALL | {"generated": 6.5}, GATHERED)
    assert report.verdict.word == STANDS


def test_every_study_has_its_module_and_settings_that_have_defaults():
    for study in STUDIES:
        module = study.load()
        assert module.Config() == module.Config()
        assert callable(module.run)
    with pytest.raises(ConfigError) as raised:
        find_study("calibratoin")
    assert "calibration" in raised.value.hint


def test_what_is_no_trained_run_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"plan\.toml"):
        open_checkpoints([tmp_path], "cpu")


def test_cells_of_a_table_cannot_break_it():
    assert table(("a", "b"), [("x|y", "1")]) == "| a | b |\n| --- | ---: |\n| x\\|y | 1 |"
