"""The train stage: dataset and plan in, ``model.safetensors`` and ``metrics.jsonl`` out."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
import torch

from golfreg.api.errors import ConfigError, EnvironmentFault, PluginError
from golfreg.api.values import BuildContext
from golfreg.config.job import Job
from golfreg.config.plan import Plan
from golfreg.data.dataset import Dataset, open_dataset
from golfreg.data.loader import Loader
from golfreg.kernels.build import build_model
from golfreg.train.average import Average
from golfreg.train.files import write_tensors
from golfreg.train.group import Group
from golfreg.train.loop import Training
from golfreg.train.loss import Gradients
from golfreg.train.optimizers import make_optimizers
from golfreg.train.schedule import Schedule, check_shapes
from golfreg.train.state import TrainState
from golfreg.train.steps import Steps
from golfreg.train.throughput import Throughput, peak_flops

T = TypeVar("T")


def loader_seed(plan: Plan) -> int | None:
    """The seed that shuffles the windows; None for ``train.order = sequential``."""
    return plan.spec.seed if plan.spec.train.order == "shuffled" else None


def run(job: Job) -> dict[str, Any]:
    """Train the plan's model on the plan's dataset; the result is that of ``Training.run``.

    With ``train.nproc`` over 1 this is the first of the processes, or one of those that it started.
    """
    plan, settings = job.plan, job.plan.spec.train
    group = Group()
    if settings.nproc > 1:
        from golfreg.train.processes import Processes

        group = Processes(settings.nproc, plan.device, f"go on with `golfreg run --resume {job.run_dir}`")
    try:
        prepare_process(plan, settings.nproc)
        steps, throughput = prepare(plan, group)
        if settings.nproc > 1:
            group.join()
            group.align(steps.state.tensors())
            if group.rank:
                group.follow(steps)
        result = Training(job, steps, throughput).run()
    finally:
        group.close(well=False)
    write_tensors(job.run_dir / "model.safetensors", {k: t.float() for k, t in steps.state.weights().items()})
    return result


def prepare(plan: Plan, group: Group) -> tuple[Steps, Throughput]:
    """All that training needs, in the state of its beginning."""
    settings = plan.spec.train
    check_shapes(settings)
    window = settings.sequence_length
    dataset = open_dataset(plan.dataset_dir)
    model, context = build_with_context(plan, dataset)
    kind, _, reach = plan.spec.score.windows.partition(":")
    if kind == "stateful":
        check_carries(model, plan.architecture.name, int(reach or 0))
    target = plan.architecture.load()
    parameters = dict(model.named_parameters())
    kernels = {op: chosen.load().call for op, chosen in plan.train_kernels.items()}
    muon, adamw = make_optimizers(
        parameters, target.roles(model), settings, group, product=kernels.get("symmetric_product")
    )
    state = TrainState(
        model=model,
        muon=muon,
        adamw=adamw,
        average=Average(parameters, settings.ema_decay) if settings.ema_decay else None,
        batches=Loader(dataset.train_shards, settings.batch_tokens, window, seed=loader_seed(plan)),
    )
    gradients = Gradients(
        model,
        vocab_size=dataset.vocab_size,
        compile_model=plan.compile,
        loss_kernel=kernels.get("softcapped_cross_entropy"),
    )
    reserve = settings.calibration_reserve_seconds if plan.quantizer_needs else 0.0
    seconds = (settings.seconds or plan.limits.train_seconds) - reserve
    if seconds <= 0 and not settings.steps:
        raise ConfigError(
            f"the calibration reserve of {reserve} s leaves no time to train",
            hint="set a smaller `train.calibration_reserve_seconds`",
        )
    schedule = Schedule(settings, settings.steps, seconds)
    rounding = None
    if settings.fake_quant_fraction:
        from golfreg.train.rounding import Rounding  # Here: code that is loaded counts.

        chosen = rounded_parameters(parameters, settings.fake_quant_skip)
        rounding = Rounding(chosen, target.roles(model), plan.quantizer, compiled=plan.compile)
    steps = Steps(state, gradients, schedule, group, device=plan.device, rounding=rounding)
    return steps, throughput_of(plan, target.flops_per_token(plan.architecture.make_config(), context))


def rounded_parameters(parameters: Mapping[str, T], skip: str) -> dict[str, T]:
    """Those whose names match none of the patterns, which commas separate. ConfigError for one that matches nothing."""
    patterns = [pattern.strip() for pattern in skip.split(",") if pattern.strip()]
    for pattern in patterns:
        if not fnmatch.filter(parameters, pattern):
            raise ConfigError(
                f"`train.fake_quant_skip`: no parameter is named like `{pattern}`",
                hint=f"one of them is `{next(iter(parameters), '')}`; `*` stands for anything",
            )
    return {n: p for n, p in parameters.items() if not any(fnmatch.fnmatch(n, pattern) for pattern in patterns)}


def throughput_of(plan: Plan, flops_per_token: int) -> Throughput:
    """What the plan's devices can do at most, where that is known."""
    peak = peak_flops(torch.cuda.get_device_name()) if plan.device == "cuda" else None
    return Throughput(flops_per_token, peak * plan.spec.train.nproc if peak else None)


def check_carries(model: torch.nn.Module, name: str, context: int) -> None:
    """ConfigError, before a second is trained, for a model that could not be scored ``stateful``."""
    if not all(callable(getattr(model, method, None)) for method in ("step", "initial_state")):
        raise ConfigError(
            f"architecture `{name}` cannot be scored with windows `stateful`",
            hint="its model has no `step` and `initial_state`: set `score.windows` to `fixed` or `sliding:STRIDE`",
        )
    model.initial_state(1, context)  # type: ignore[operator]


def prepare_process(plan: Plan, processes: int = 1) -> None:
    """Threads (this process's part of them), seeds and the device. EnvironmentFault if the device is not there."""
    torch.set_num_threads(max(1, (plan.threads or len(os.sched_getaffinity(0))) // processes))
    torch.manual_seed(plan.spec.seed)
    np.random.seed(plan.spec.seed % 2**32)
    if plan.device == "cuda":
        if not torch.cuda.is_available():
            raise EnvironmentFault("the plan needs a CUDA device and there is none", hint="set `train.device=cpu`")
        torch.set_float32_matmul_precision("high")


def build(plan: Plan, dataset: Dataset) -> torch.nn.Module:
    """The plan's model with its initial weights, on the plan's device. PluginError if it is no model."""
    return build_with_context(plan, dataset)[0]


def build_with_context(plan: Plan, dataset: Dataset) -> tuple[torch.nn.Module, BuildContext]:
    """``build``, and what the model was built for."""
    model, context = build_model(
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
    return model, context
