"""Warming up meets every shape of a run, and a step never waits for the device.

On a GPU these are about the real compiler and real streams; on the CPU the same bodies run with a
compiler that makes no code.
"""

from __future__ import annotations

import math
import os
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from golfreg.api.values import BuildContext
from golfreg.builtin.architectures.hybrid import hybrid
from golfreg.builtin.mixers.attention import attention
from golfreg.config.spec import TrainSettings
from golfreg.train.average import Average
from golfreg.train.group import Group
from golfreg.train.loss import Gradients
from golfreg.train.metrics import Readings
from golfreg.train.optimizers import make_optimizers
from golfreg.train.schedule import Schedule
from golfreg.train.state import TrainState
from golfreg.train.steps import Steps

VOCABULARY, WINDOW, BOS = 64, 256, 0
SETTINGS = TrainSettings(
    sequence_length=WINDOW, batch_tokens=8 * WINDOW, micro_batch_tokens=4 * WINDOW, steps=12, warmup_steps=2,
    sequence_length_schedule="128:0.34", batch_tokens_schedule="1024:0.67", ema_decay=0.9,
)  # fmt: skip
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]


def read(position: int, tokens: int) -> tuple[np.ndarray, np.ndarray]:
    wide = np.random.default_rng(position).integers(0, VOCABULARY, tokens + 1)
    return wide[:-1].reshape(-1, WINDOW), wide[1:].reshape(-1, WINDOW)


def make_steps(device: str, compiled: bool) -> Steps:
    torch.manual_seed(0)
    config = hybrid.Config(n_layers=1, d_model=64)
    mixers = {"attention": (attention, attention.Config(n_heads=2, n_kv_heads=1))}
    dtype = "bfloat16" if device == "cuda" else "float32"
    model = hybrid.build(config, BuildContext(VOCABULARY, WINDOW, BOS, mixers, {}, dtype)).to(device)
    parameters = dict(model.named_parameters())
    muon, adamw = make_optimizers(parameters, hybrid.roles(model), SETTINGS)
    state = TrainState(model, muon, adamw, Average(parameters, 0.9), batches=type("Batches", (), {"read": read}))
    gradients = Gradients(model, vocab_size=VOCABULARY, compile_model=compiled)
    return Steps(state, gradients, Schedule(SETTINGS, SETTINGS.steps, 100.0), Group(), device=device)


@pytest.mark.parametrize("device", DEVICES)
def test_after_warming_up_nothing_is_compiled_on_the_clock(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    torch._dynamo.reset()
    if device == "cpu":
        monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    steps = make_steps(device, compiled=True)
    before = {name: t.clone() for name, t in steps.save()[0].items()}
    steps.warm_up()
    for name, tensor in steps.save()[0].items():
        assert torch.equal(before[name], tensor), name
    monkeypatch.setattr(torch._dynamo.config, "error_on_recompile", True)
    with torch.compiler.set_stance("fail_on_recompile"):
        losses = [steps.step(0.0)[0] for _ in range(SETTINGS.steps)]
    assert steps.state.tokens == 9 * 1024 + 3 * 2048
    assert all(math.isfinite(float(loss)) for loss in losses)
    steps.close()


@pytest.mark.gpu
def test_a_step_never_waits_for_the_device() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    steps, readings = make_steps("cuda", compiled=True), Readings("cuda")
    steps.warm_up()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(SETTINGS.steps):
            loss, norm = steps.step(0.0)
            readings.push({}, loss, norm)
            readings.pop(readings.lag)
    finally:
        torch.cuda.set_sync_debug_mode("default")
        steps.close()
    assert steps.state.step == SETTINGS.steps


def test_what_is_compiled_is_kept_in_golfregs_cache_unless_the_user_says_where(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from golfreg.runner.launch import keep_compiled

    monkeypatch.setattr(os, "environ", {"GOLFREG_CACHE": str(tmp_path), "TRITON_CACHE_DIR": "mine"})
    keep_compiled()
    assert os.environ["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path / "compiled" / "inductor")
    assert os.environ["TRITON_CACHE_DIR"] == "mine"
