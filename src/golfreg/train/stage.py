"""The train stage: dataset and plan in, ``model.safetensors`` and ``metrics.jsonl`` out."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import torch

from golfreg.api.errors import ConfigError, EnvironmentFault, PluginError
from golfreg.config.job import Job
from golfreg.config.plan import Plan
from golfreg.data.dataset import Dataset, open_dataset
from golfreg.data.loader import Loader
from golfreg.kernels.build import build_model
from golfreg.train.average import Average
from golfreg.train.files import write_tensors
from golfreg.train.loop import Training
from golfreg.train.loss import Gradients
from golfreg.train.optimizers import make_optimizers
from golfreg.train.state import TrainState


def loader_seed(plan: Plan) -> int | None:
    """The seed that shuffles the windows; None for ``train.order = sequential``."""
    return plan.spec.seed if plan.spec.train.order == "shuffled" else None


def run(job: Job) -> dict[str, Any]:
    """Train the plan's model on the plan's dataset; the result is that of ``Training.run``."""
    plan, settings = job.plan, job.plan.spec.train
    prepare_process(plan)
    window, micro = settings.sequence_length, settings.micro_batch_tokens or settings.batch_tokens
    dataset = open_dataset(plan.dataset_dir)
    model = build(plan, dataset)
    kind, _, context = plan.spec.score.windows.partition(":")
    if kind == "stateful":
        check_carries(model, plan.architecture.name, int(context or 0))
    target = plan.architecture.load()
    parameters = dict(model.named_parameters())
    muon, adamw = make_optimizers(parameters, target.roles(model), settings)
    state = TrainState(
        model=model,
        muon=muon,
        adamw=adamw,
        average=Average(parameters, settings.ema_decay) if settings.ema_decay else None,
        batches=Loader(dataset.train_shards, micro, window, seed=loader_seed(plan)),
    )
    loss = plan.train_kernels.get("softcapped_cross_entropy")
    gradients = Gradients(
        model, vocab_size=dataset.vocab_size, compile_model=plan.compile, loss_kernel=loss.load().call if loss else None
    )
    reserve = settings.calibration_reserve_seconds if plan.quantizer_needs else 0.0
    seconds = (settings.seconds or plan.limits.train_seconds) - reserve
    if seconds <= 0 and not settings.steps:
        raise ConfigError(
            f"the calibration reserve of {reserve} s leaves no time to train",
            hint="set a smaller `train.calibration_reserve_seconds`",
        )
    result = Training(
        job,
        state,
        gradients,
        steps=settings.steps,
        seconds=seconds,
        micro_batches=settings.batch_tokens // micro,
    ).run()
    write_tensors(job.run_dir / "model.safetensors", {k: t.float() for k, t in state.weights().items()})
    return result


def check_carries(model: torch.nn.Module, name: str, context: int) -> None:
    """ConfigError, before a second is trained, for a model that could not be scored ``stateful``."""
    if not all(callable(getattr(model, method, None)) for method in ("step", "initial_state")):
        raise ConfigError(
            f"architecture `{name}` cannot be scored with windows `stateful`",
            hint="its model has no `step` and `initial_state`: set `score.windows` to `fixed` or `sliding:STRIDE`",
        )
    model.initial_state(1, context)  # type: ignore[operator]


def prepare_process(plan: Plan) -> None:
    """Threads, seeds and the device. EnvironmentFault if the device is not there."""
    torch.set_num_threads(plan.threads or len(os.sched_getaffinity(0)))
    torch.manual_seed(plan.spec.seed)
    np.random.seed(plan.spec.seed % 2**32)
    if plan.device == "cuda":
        if not torch.cuda.is_available():
            raise EnvironmentFault("the plan needs a CUDA device and there is none", hint="set `train.device=cpu`")
        torch.set_float32_matmul_precision("high")


def build(plan: Plan, dataset: Dataset) -> torch.nn.Module:
    """The plan's model with its initial weights, on the plan's device. PluginError if it is no model."""
    model, _ = build_model(
        plan.architecture,
        plan.mixers,
        plan.ops,
        plan.kernels,
        vocab_size=dataset.vocab_size,
        sequence_length=plan.spec.train.sequence_length,
        bos_id=dataset.bos_id,
        device=plan.device,
        dtype=plan.dtype,
    )
    for method in ("features", "head"):
        if not callable(getattr(model, method, None)):
            raise PluginError(f"architecture `{plan.architecture.name}` builds a model without `{method}`")
    return model
