"""``build_model``: a model from resolved components."""

import subprocess
import sys

import pytest
import torch

from golfreg.api.errors import ConfigError, InputError, PluginError
from golfreg.builtin.kernels.mamba3_siso import reference
from golfreg.kernels.build import build_model, kernel_for

SMALL = {"n_layers": 2, "d_model": 32, "mamba3": {"headdim": 16, "d_state": 8}}


def fussy(monkeypatch, refusal):
    """A kernel that can be named as a target, and the arguments it was asked about."""
    asked = []

    class Kernel:
        @staticmethod
        def call(*args, **kwargs):
            return reference(*args, **kwargs)

        @staticmethod
        def supports(device, dtype, **static):
            asked.append((device, dtype, static))
            return refusal

    monkeypatch.setattr("golfreg.builtin.kernels.mamba3_siso.fussy", Kernel, raising=False)
    return Kernel, asked


def test_one_seed_gives_one_model(models):
    states = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        states.append(models.build(mixer="mamba3", **SMALL)[0].state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert any(not torch.equal(states[0][name], states[2][name]) for name in states[0])


def test_the_chosen_kernel_is_used_and_asked_about_its_static_arguments(models, monkeypatch):
    kernel, asked = fussy(monkeypatch, None)
    chosen = models.chosen("kernel", "fussy", "golfreg.builtin.kernels.mamba3_siso:fussy")
    _, context = models.build(mixer="mamba3", kernels={"mamba3_siso": chosen}, **SMALL)
    assert context.kernels["mamba3_siso"] is kernel.call
    assert [(device, dtype, static["d_state"]) for device, dtype, static in asked] == [("cpu", "float32", 8)]


def test_a_kernel_that_cannot_run_here_gives_way_to_the_reference_and_says_why(models, monkeypatch):
    fussy(monkeypatch, "no GPU")
    chosen = models.chosen("kernel", "fussy", "golfreg.builtin.kernels.mamba3_siso:fussy")
    _, context = models.build(mixer="mamba3", kernels={"mamba3_siso": chosen}, **SMALL)
    assert context.kernels["mamba3_siso"] is reference
    call, reason = kernel_for(models.OP, chosen, "cpu", "float32")
    assert call is reference
    assert "`fussy` cannot run here: no GPU" in reason


def test_a_larger_model_than_allowed_is_refused_before_it_is_allocated(models):
    with pytest.raises(InputError, match="parameters, over 1,000"):
        models.build(n_layers=16, d_model=65536, mixer="mamba3", most_parameters=1000)
    model, _ = models.build(mixer="mamba3", most_parameters=100_000, **SMALL)
    assert all(p.device.type == "cpu" for p in model.parameters())


def test_a_setting_that_the_config_does_not_have_is_named(models):
    with pytest.raises(ConfigError, match="n_layrs"):
        models.build(n_layrs=2)


def test_a_mixer_that_was_not_resolved_is_an_error(models):
    architecture = models.chosen("architecture", "hybrid", models.HYBRID)
    with pytest.raises(PluginError, match="`attention`"):
        build_model(
            architecture, {}, {}, {}, vocab_size=8, sequence_length=8, bos_id=None, device="cpu", dtype="float32"
        )


def test_a_model_can_be_built_without_memory(models):
    with torch.device("meta"):
        model, _ = models.build(vocab_size=1024, device="meta")
    assert sum(p.numel() for p in model.parameters()) == 17_059_912


def test_building_loads_neither_the_choice_nor_the_comparison_nor_the_registry():
    code = (
        "import sys, golfreg.kernels.build, golfreg.builtin.architectures.hybrid, golfreg.builtin.mixers.mamba3;"
        "print([m for m in sys.modules if m.startswith('golfreg')])"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "golfreg.kernels.build" in loaded
    for module in ("kernels.choose", "kernels.verify", "registry", "mamba3_siso_cases", "mamba3_siso_recurrence"):
        assert module not in loaded
