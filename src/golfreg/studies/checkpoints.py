"""Run directories as checkpoints: trained weights with the plan that made them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from golfreg.api.errors import InputError
from golfreg.config.plan import Plan, read_plan

WEIGHTS = "model.safetensors"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """``digest``: SHA-256 of the weights. ``plan``: the run's, moved to this machine. Compared by identity."""

    run_dir: Path
    plan: Plan
    digest: str

    @property
    def weights(self) -> Path:
        return self.run_dir / WEIGHTS

    @property
    def seed(self) -> int:
        return self.plan.spec.seed

    @property
    def architecture(self) -> str:
        return self.plan.architecture.name

    @property
    def name(self) -> str:
        return f"{self.architecture} seed {self.seed}"


def open_checkpoints(paths: Sequence[Path], device: str) -> list[Checkpoint]:
    """Read the plans and digest the weights. ``device``: ``cpu``, ``cuda``, or ``auto``: the run's if it is here.

    InputError for what is no run directory or was not trained to the end, and for one model given twice.
    """
    found: list[Checkpoint] = []
    for path in paths:
        run_dir = path.parent if path.name == WEIGHTS else path
        plan = read_plan(run_dir / "plan.toml")
        for needed in (WEIGHTS, "stages/train.toml"):
            if not (run_dir / needed).is_file():
                raise InputError(
                    f"`{run_dir}` has no {needed}: it was not trained to the end",
                    f"golfreg run --resume {run_dir}",
                )
        with (run_dir / WEIGHTS).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        twin = next((c for c in found if c.digest == digest), None)
        if twin is not None:
            raise InputError(f"`{run_dir}` and `{twin.run_dir}` hold the same weights", "name each model once")
        found.append(Checkpoint(run_dir, moved(plan, device), digest))
    return found


def moved(plan: Plan, device: str) -> Plan:
    """The plan on this machine: its device, kernels and place of data."""
    from golfreg.kernels.build import static_arguments
    from golfreg.runner.kernels import choose_kernels
    from golfreg.runner.plan import resolve_device

    wanted = device
    if device == "auto":
        wanted = resolve_device("auto", "auto")[0] if plan.device == "cuda" else plan.device
    if wanted != plan.device:
        new_device, dtype = resolve_device(wanted, "auto")
        static = static_arguments((chosen.load(), chosen.make_config()) for chosen in plan.mixers.values())
        kernels = choose_kernels({op: static.get(op, []) for op in plan.ops}, "auto", new_device, dtype)
        plan = replace(plan, device=new_device, dtype=dtype, kernels=kernels, compile=new_device == "cuda")
    if (plan.dataset_dir / "dataset.toml").exists():
        return plan
    from golfreg.data.cache import dataset_dir_for, fetched_state

    argument = plan.corpus.argument
    state = fetched_state(plan.corpus.load(), argument)
    return replace(plan, dataset=str(dataset_dir_for(plan.corpus.name, argument, plan.spec.data, state)))
