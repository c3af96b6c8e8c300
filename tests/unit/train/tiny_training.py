"""A tiny model, its plan and its training, for tests; as a program it trains in the directory it is given."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from golfreg.api import Role
from golfreg.config.job import Job
from golfreg.config.plan import Chosen, Limits, Plan
from golfreg.config.spec import RunSpec, TrainSettings
from golfreg.train.average import Average
from golfreg.train.files import write_tensors
from golfreg.train.group import Group
from golfreg.train.loop import Training
from golfreg.train.loss import Gradients
from golfreg.train.optimizers import make_optimizers
from golfreg.train.processes import Processes
from golfreg.train.schedule import Schedule
from golfreg.train.state import TrainState
from golfreg.train.steps import Steps

VOCAB, WIDTH, WINDOW = 32, 16, 16


class TinyModel(nn.Module):
    """Embedding tied to the head, two residual MLPs over the mean of the past, dropout, a learned gain."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(VOCAB, WIDTH)
        nn.init.normal_(self.embedding.weight, std=0.1)
        self.up = nn.ModuleList(nn.Linear(WIDTH, 2 * WIDTH, bias=False) for _ in range(2))
        self.down = nn.ModuleList(nn.Linear(2 * WIDTH, WIDTH, bias=False) for _ in range(2))
        self.gain = nn.Parameter(torch.ones(WIDTH))
        self.register_buffer("calls", torch.zeros(()))

    def features(self, tokens_BT: torch.Tensor) -> torch.Tensor:
        x_BTD = self.embedding(tokens_BT)
        for up, down in zip(self.up, self.down, strict=True):
            count_T1 = torch.arange(1, x_BTD.size(1) + 1)[:, None]
            past_BTD = x_BTD.cumsum(1) / count_T1
            x_BTD = x_BTD + down(F.dropout(F.relu(up(past_BTD)), 0.1, self.training))
        if self.training:
            self.calls += 1
        return x_BTD * self.gain

    def head(self, x_BTD: torch.Tensor) -> torch.Tensor:
        return F.linear(x_BTD, self.embedding.weight)


def roles(model: nn.Module) -> dict[str, Role]:
    names = {"embedding": "embedding", "up": "mlp_up", "down": "mlp_down", "gain": "scalar"}
    return {name: Role(names[name.split(".")[0]]) for name, _ in model.named_parameters()}


class CountedBatches:
    """Batches of a fixed token sequence; ``delay_seconds`` makes each take that long."""

    def __init__(self, batch_tokens: int = 0, delay_seconds: float = 0.0) -> None:
        steps = np.random.default_rng(5).integers(1, 4, 5000)
        self.tokens = (np.cumsum(steps) % VOCAB).astype(np.int64)
        self.batch_tokens, self.delay_seconds, self.position = batch_tokens, delay_seconds, 0

    def next(self) -> tuple[np.ndarray, np.ndarray]:
        self.position += self.batch_tokens
        return self.read(self.position - self.batch_tokens, self.batch_tokens)

    def read(self, position: int, tokens: int) -> tuple[np.ndarray, np.ndarray]:
        time.sleep(self.delay_seconds)
        wide = self.tokens[(position + np.arange(tokens + 1)) % len(self.tokens)]
        return wide[:-1].reshape(-1, WINDOW), wide[1:].reshape(-1, WINDOW)


def make_job(run_dir: Path, needs: tuple[str, ...] = (), digest: str = "a" * 64, **train: object) -> Job:
    settings = replace(TrainSettings(sequence_length=WINDOW, batch_tokens=8 * WINDOW, ema_decay=0.9), **train)
    part = Chosen("architecture", "tiny", "tiny:tiny", "tests", "0", "tests")
    plan = Plan(
        spec=RunSpec(train=settings),
        spec_digest=digest,
        architecture=part,
        mixers={},
        quantizer=replace(part, kind="quantizer"),
        quantizer_needs=needs,
        codec=replace(part, kind="codec"),
        corpus=replace(part, kind="corpus"),
        ops={},
        kernels={},
        limits=Limits(),
        device="cpu",
        dtype="float32",
        compile=False,
        threads=1,
        dataset="",
        track="tests",
    )
    return Job(run_dir, plan)


def make_training(job: Job, delay_seconds: float = 0.0, group: Group | None = None) -> Training:
    settings = job.plan.spec.train
    group = group or Group()
    torch.set_num_threads(1)
    torch.manual_seed(job.plan.spec.seed)
    np.random.seed(job.plan.spec.seed)
    model = TinyModel()
    if settings.nproc > 1 or settings.order == "sequential":
        model.eval()  # no dropout, which is another one in each process
    parameters = dict(model.named_parameters())
    muon, adamw = make_optimizers(parameters, roles(model), settings, group)
    state = TrainState(
        model=model,
        muon=muon,
        adamw=adamw,
        average=Average(parameters, settings.ema_decay) if settings.ema_decay else None,
        batches=CountedBatches(delay_seconds=delay_seconds),
    )
    gradients = Gradients(model, vocab_size=VOCAB, compile_model=False)
    schedule = Schedule(settings, settings.steps, settings.seconds or job.plan.limits.train_seconds)
    steps = Steps(state, gradients, schedule, group, device=job.plan.device)
    if settings.nproc > 1:
        group.join()
        group.align(state.tensors())
        if group.rank:
            group.follow(steps)
    return Training(job, steps)


def main() -> None:
    run_dir, delay_seconds, options = Path(sys.argv[1]), float(sys.argv[2]), json.loads(sys.argv[3])
    nproc = options.get("nproc", 1)
    group = Processes(nproc, "cpu", f"go on with `golfreg run --resume {run_dir}`") if nproc > 1 else Group()
    training = make_training(make_job(run_dir, **options), delay_seconds, group)
    try:
        result = training.run()
    except Exception as error:
        print(json.dumps({"event": "error", "message": str(error), "hint": getattr(error, "hint", None)}), flush=True)
        sys.exit(getattr(error, "exit_code", 70))
    write_tensors(run_dir / "model.safetensors", training.state.weights())
    print(json.dumps({"event": "result", **result}), flush=True)


if __name__ == "__main__":
    main()
