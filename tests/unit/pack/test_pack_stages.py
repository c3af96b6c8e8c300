"""Quantize, pack, decode: from trained weights to one file and back, with everything that runs counted."""

import dataclasses
import tomllib

import numpy as np
import pytest
import tomli_w
import torch
from safetensors.torch import load_file, save_file

from golfreg.api import AnswerIsNo, Budget, InputError, PluginError
from golfreg.config.plan import Limits
from golfreg.pack import estimate, quantize, stage
from golfreg.pack.container import read_container
from golfreg.pack.decode import load_model
from golfreg.pack.sections import load_sections


@pytest.fixture
def quick(monkeypatch):
    """Skip the clean subprocess: every test but those on discovery takes a fixed list of modules."""
    monkeypatch.setattr(stage, "discover", lambda *arguments: ["golfreg.pack.decode", "tinyplug.net"])
    monkeypatch.setattr(stage, "counted_modules", lambda: ["golfreg.pack.stage"])


def test_an_artifact_decodes_to_the_quantized_weights(job, quick):
    facts = quantize.run(job)
    report = stage.run(job)
    artifact = job.run_dir / "artifact.golfreg"
    assert report["total_bytes"] == artifact.stat().st_size
    assert report["sha256"] == read_container(artifact).sha256
    model = load_model(artifact, "cpu", "float32")
    assert not model.training
    plan = job.plan
    _, sections = load_sections(job.run_dir / "sections.bin")
    expected = plan.quantizer.load().dequantize(sections, plan.quantizer.make_config())
    trained = load_file(job.run_dir / "model.safetensors")
    for name, parameter in model.named_parameters():
        assert torch.equal(parameter, expected[name])
        assert (parameter - trained[name]).abs().max() < 0.2 * trained[name].abs().max()
    assert facts["parameters"] == report["parameters"] == sum(p.numel() for p in model.parameters())


def test_sizes_add_up(job, quick):
    quantize.run(job)
    report = stage.run(job)
    assert report["code_bytes"] + report["weight_bytes"] + report["header_bytes"] == report["total_bytes"]
    assert report["headroom_bytes"] == report["cap_bytes"] - report["total_bytes"]
    for split in ("by_role", "by_part"):
        assert sum(report[split].values()) == report["weight_bytes"]
    assert set(report["by_role"]) == {"embedding", "in_proj", "scalar"}
    assert set(report["by_part"]) == {"codes", "scale", "raw"}
    assert tomllib.loads(tomli_w.dumps(report)) == report


def test_the_same_run_packs_to_the_same_bytes(job, quick):
    found = []
    for _ in range(2):
        quantize.run(job)
        stage.run(job)
        found.append((job.run_dir / "artifact.golfreg").read_bytes())
    assert found[0] == found[1]


def test_over_the_cap_is_a_no_with_the_numbers_and_the_artifact_kept(job, with_plan, quick):
    quantize.run(job)
    stage.run(job)
    small = with_plan(job, limits=Limits(cap_bytes=1000))
    with pytest.raises(AnswerIsNo, match=r"over the cap of 1,000: code [\d,]+, weights [\d,]+, header [\d,]+"):
        stage.run(small)
    names = {p.name for p in job.run_dir.iterdir() if "golfreg" in p.name}
    assert names == {"artifact.over-cap.golfreg"}
    read_container(job.run_dir / "artifact.over-cap.golfreg")


def test_the_code_that_runs_is_found_by_running_it(job, monkeypatch):
    # Other tests of this process have loaded other modules; here only the clean process and the stages count.
    monkeypatch.setattr(stage, "counted_modules", list)
    (job.run_dir / "stages" / "train.toml").write_text('modules = ["golfreg.config.spec", "tinyplug.plugin"]\n')
    quantize.run(job)
    stage.run(job)
    code = read_container(job.run_dir / "artifact.golfreg").code
    for path in (
        "tinyplug/net.py", "tinyplug/__init__.py", "tinyplug/plugin.py", "golfreg/__init__.py",
        "golfreg/pack/decode.py", "golfreg/pack/container.py", "golfreg/builtin/codecs/standard.py",
        "golfreg/builtin/quantizers/rowwise.py", "golfreg/kernels/build.py", "golfreg/score/evaluate.py",
        "golfreg/config/spec.py",
    ):  # fmt: skip
        assert path in code
    assert "documented" not in code["tinyplug/net.py"].lower()
    assert "comment" not in code["tinyplug/net.py"]
    assert "golfreg/pack/discover.py" not in code
    assert "golfreg/score/probe.py" not in code
    assert not [p for p in job.run_dir.iterdir() if p.name.startswith(".")]


def test_a_data_file_that_decoding_reads_is_refused_by_name(job, plugin):
    quantize.run(job)
    (plugin.package / "table.bin").write_bytes(b"weights in disguise")
    plugin.write(extra_imports="from pathlib import Path\nTABLE = Path(__file__).with_name('table.bin').read_bytes()")
    with pytest.raises(PluginError, match=r"table\.bin"):
        stage.run(job)
    assert not (job.run_dir / "artifact.golfreg").exists()


def test_a_model_that_fails_when_it_runs_is_blamed_on_its_plugin(job, plugin):
    quantize.run(job)
    plugin.write(extra_forward="raise ZeroDivisionError('by design')")
    with pytest.raises(PluginError, match=r"plugin `golfreg-tinyplug` raised ZeroDivisionError: by design"):
        stage.run(job)


def test_a_compiled_module_is_refused_by_name(job, plugin):
    (job.run_dir / "stages" / "train.toml").write_text('modules = ["tinyplug.fast"]\n')
    (plugin.package / "fast.abi3.so").write_bytes(b"\x7fELF")
    with pytest.raises(PluginError, match=r"`tinyplug\.fast` is a compiled module, `fast\.abi3\.so`"):
        stage.collect(stage.counted_by_stages(job.run_dir))


def test_a_codec_that_loses_is_refused(job, quick, monkeypatch):
    from golfreg.builtin.codecs.standard import LzmaCodec

    quantize.run(job)
    decode = LzmaCodec.decode
    monkeypatch.setattr(LzmaCodec, "decode", lambda *a: [np.zeros_like(x) for x in decode(*a)])
    with pytest.raises(PluginError, match="codec `lzma` changed the"):
        stage.run(job)


def test_a_damaged_stage_file_is_named(job):
    (job.run_dir / "stages" / "train.toml").write_bytes(b"\xff")
    with pytest.raises(InputError, match=r"train\.toml` is damaged"):
        stage.counted_by_stages(job.run_dir)


@pytest.mark.parametrize("damage", ["missing", "truncated", "another model", "another shape"])
def test_weights_that_are_not_the_models_are_refused(job, damage):
    path = job.run_dir / "model.safetensors"
    tensors = load_file(path)
    if damage == "missing":
        path.unlink()
    elif damage == "truncated":
        path.write_bytes(path.read_bytes()[:100])
    elif damage == "another model":
        save_file({"other": tensors["gain"]}, path)
    else:
        save_file({**tensors, "gain": torch.ones(3)}, path)
    with pytest.raises(InputError):
        quantize.run(job)
    assert not (job.run_dir / "sections.bin").exists()


def test_a_buffer_that_no_artifact_stores_is_refused(job, plugin):
    import sys

    plugin.write(extra_init="self.register_buffer('average', torch.zeros(3))")
    for name in ("tinyplug.net", "tinyplug"):
        sys.modules.pop(name, None)
    with pytest.raises(PluginError, match="buffer `average`"):
        quantize.run(job)


def test_an_artifact_of_another_model_is_refused_with_the_tensor(job, quick, tmp_path):
    quantize.run(job)
    stage.run(job)
    container = read_container(job.run_dir / "artifact.golfreg")
    wide = dataclasses.replace(container.header.architecture, config={"width": 8})
    from golfreg.pack.container import write_container

    path = tmp_path / "other.golfreg"
    header = dataclasses.replace(container.header, architecture=wide)
    path.write_bytes(write_container(header, container.layouts, container.streams, {}))
    with pytest.raises(InputError, match=r"`\w+.*` has the shape"):
        load_model(path, "cpu", "float32")
    huge = dataclasses.replace(container.header.architecture, config={"width": 2000})
    header = dataclasses.replace(container.header, architecture=huge)
    path.write_bytes(write_container(header, container.layouts, container.streams, {}))
    with pytest.raises(InputError, match="parameters, over"):
        load_model(path, "cpu", "float32")


def test_a_quantizer_can_ask_what_its_sections_would_cost(job, quick, monkeypatch):
    from golfreg.builtin.quantizers.rowwise import RowwiseQuantizer

    asked = []
    plain = RowwiseQuantizer.quantize

    def asking(self, state, roles, statistics, budget: Budget, config):
        sections = plain(self, state, roles, statistics, budget, config)
        asked.append(budget.pack_bytes(sections))
        return sections

    monkeypatch.setattr(RowwiseQuantizer, "quantize", asking)
    monkeypatch.setattr(estimate, "counted_modules", lambda: ["golfreg.pack.stage", "tinyplug.net"])
    quantize.run(job)
    report = stage.run(job)
    weights_and_header = report["total_bytes"] - report["code_bytes"]
    assert asked[0] > weights_and_header
    assert asked[0] - weights_and_header < 100_000


def test_a_script_tells_the_quantizer_the_size_that_golfreg_told_it(job, with_plan, monkeypatch):
    from golfreg.builtin.quantizers.rowwise import RowwiseQuantizer

    asked = []
    plain = RowwiseQuantizer.quantize

    def asking(self, state, roles, statistics, budget: Budget, config):
        sections = plain(self, state, roles, statistics, budget, config)
        asked.append(budget.pack_bytes(sections))
        return sections

    monkeypatch.setattr(RowwiseQuantizer, "quantize", asking)
    monkeypatch.setattr(estimate, "counted_modules", lambda: ["golfreg.pack.quantize", "tinyplug.net"])
    assert estimate.noted_estimate(job.run_dir) is None
    packed = with_plan(job, limits=Limits(code="packed"))
    quantize.run(packed)
    told = estimate.noted_estimate(job.run_dir)
    quantize.run(dataclasses.replace(packed, code_bytes=told))
    assert asked[0] == asked[1] > told > 10_000
    (job.run_dir / estimate.ESTIMATE_FILE).write_text("{}")
    with pytest.raises(InputError, match="damaged"):
        estimate.noted_estimate(job.run_dir)


def test_a_warning_of_the_quantizer_reaches_the_user(job, with_plan, capsys):
    config = {**job.plan.quantizer.config, "overrides": {"nothing": 8}}
    quantize.run(with_plan(job, quantizer=dataclasses.replace(job.plan.quantizer, config=config)))
    assert "without effect: nothing" in capsys.readouterr().out


def test_a_section_file_is_not_an_artifact_and_the_other_way_round(job, quick):
    quantize.run(job)
    stage.run(job)
    with pytest.raises(InputError, match="is an artifact"):
        load_sections(job.run_dir / "artifact.golfreg")
    (job.run_dir / "sections.bin").write_bytes((job.run_dir / "sections.bin").read_bytes()[:-5])
    with pytest.raises(InputError, match="truncated"):
        stage.run(job)
