"""What a run will cost, before it is made: parameters, FLOPs, time, tokens, bytes, price, and where each comes from."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from math import prod
from pathlib import Path
from typing import Any

from golfreg.api.errors import GolfregError
from golfreg.api.values import EMBEDDING_ROLES
from golfreg.rules.ruleset import load_ruleset
from golfreg.runner.artifact_size import predicted_model_bytes
from golfreg.runner.code_size import predicted_code_bytes
from golfreg.runner.earlier import measured_bytes
from golfreg.runner.plan import Planned
from golfreg.runner.speed import Speed, predict_speed


@dataclass(frozen=True)
class Cost:
    """``embedding_parameters``: of embedding and head. Seconds, steps and tokens are of training.

    ``train_seconds`` is the clock's, or what ``train.steps`` will take. None: not known. ``usd``: training only;
    compiling, preparing data, packing and scoring come to it. ``weight_bytes``: by role.
    """

    parameters: int
    embedding_parameters: int
    flops_per_token: int
    speed: Speed
    step_seconds: float | None
    train_seconds: float | None
    steps: int | None
    tokens: int | None
    code_bytes: int
    weight_bytes: dict[str, int] = field(default_factory=dict)
    artifact_bytes: int | None = None
    artifact_basis: str = ""
    usd: float | None = None

    def table(self) -> dict[str, Any]:
        """For ``--json``."""
        return asdict(self)


def predict_cost(planned: Planned, device_name: str | None, usd_per_gpu_hour: float | None, runs: Path) -> Cost | None:
    """None while the vocabulary, and so the model, is not known."""
    plan, tensors = planned.plan, planned.tensors
    if not tensors or planned.flops_per_token is None:
        return None
    settings = plan.spec.train
    gpus = load_ruleset(plan.spec.ruleset).hardware.gpus or 1
    speed = predict_speed(plan, planned.flops_per_token, device_name, gpus, runs)
    step = settings.batch_tokens / speed.tokens_per_second if speed.tokens_per_second else None
    reserve = settings.calibration_reserve_seconds if plan.quantizer_needs else 0.0
    seconds: float | None = max(0.0, (settings.seconds or plan.limits.train_seconds) - reserve)
    steps = int(seconds / step) if step and seconds is not None else None
    if settings.steps:
        steps, seconds = settings.steps, settings.steps * step if step else None
    code = predicted_code_bytes(plan)
    weights, total, basis = _artifact(planned, code, runs)
    return Cost(
        parameters=sum(prod(shape) for shape, _ in tensors.values()),
        embedding_parameters=sum(prod(shape) for shape, role in tensors.values() if role.name in EMBEDDING_ROLES),
        flops_per_token=planned.flops_per_token,
        speed=speed,
        step_seconds=step,
        train_seconds=seconds,
        steps=steps,
        tokens=None if steps is None else steps * settings.batch_tokens,
        code_bytes=code,
        weight_bytes=weights,
        artifact_bytes=total,
        artifact_basis=basis,
        usd=None
        if usd_per_gpu_hour is None or seconds is None
        else usd_per_gpu_hour * speed.devices * (seconds + reserve) / 3600,
    )


def _artifact(planned: Planned, code_bytes: int, runs: Path) -> tuple[dict[str, int], int | None, str]:
    """Bytes by role, of all, and where they come from."""
    plan = planned.plan
    if found := measured_bytes(plan, runs):
        directory, total = found
        return {}, total, f"measured in `{directory}`, a run of the same configuration"
    try:
        weights = predicted_model_bytes(plan, planned.tensors, code_bytes)
    except GolfregError as error:
        return {}, None, f"not predicted: {error.message}"
    basis = "an estimate: normal numbers in place of trained weights, quantized and coded"
    return weights, sum(weights.values()) + code_bytes, basis
