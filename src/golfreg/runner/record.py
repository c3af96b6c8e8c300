"""Gathers a finished run's facts into its record."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import tomllib
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from golfreg.config.job import write_whole
from golfreg.config.plan import Plan
from golfreg.config.record import (
    DATE_FORMAT,
    ArtifactFacts,
    ComponentFacts,
    Components,
    DataFacts,
    Environment,
    FitFacts,
    FittedRole,
    Hardware,
    KernelFacts,
    RunFacts,
    RunRecord,
    ScoreFacts,
    Sizes,
    Times,
    TrainFacts,
    record_to_toml,
)
from golfreg.registry.host import get_host

_PACKAGES = ("pluggy", "safetensors", "scipy", "sentencepiece")


def make_record(run_dir: Path, plan: Plan, results: dict[str, dict[str, Any]], now: float) -> RunRecord:
    """The record of a run whose stages left ``results``. ``now``: seconds since the epoch."""
    train, pack, score = (results[stage]["result"] for stage in ("train", "pack", "score"))
    calibrate = results["calibrate"]["result"]["calibrate_seconds"] if "calibrate" in results else 0.0
    dataset = tomllib.loads((plan.dataset_dir / "dataset.toml").read_text("utf-8"))
    return RunRecord(
        run=RunFacts(
            name=_slug(plan),
            date=datetime.fromtimestamp(now, UTC).strftime(DATE_FORMAT),
            golfreg=version_of("golfreg"),
            track=plan.track,
            ruleset=plan.spec.ruleset,
            seed=plan.spec.seed,
            spec_digest=plan.spec_digest,
        ),
        components=Components(
            architecture=ComponentFacts.of(plan.architecture),
            quantizer=ComponentFacts.of(plan.quantizer),
            codec=ComponentFacts.of(plan.codec),
            corpus=ComponentFacts.of(plan.corpus),
            mixers={name: ComponentFacts.of(chosen) for name, chosen in plan.mixers.items()},
        ),
        score=ScoreFacts(**{k: score[k] for k in ScoreFacts.__dataclass_fields__ if k in score}),
        sizes=Sizes(
            **{k: pack[k] for k in Sizes.__dataclass_fields__ if k not in ("cap_bytes", "headroom_bytes")},
            cap_bytes=plan.limits.cap_bytes,
            headroom_bytes=plan.limits.cap_bytes - pack["total_bytes"],
        ),
        times=Times(
            data_seconds=results["data"]["seconds"],
            train_seconds=train["train_seconds"],
            calibrate_seconds=calibrate,
            quantize_seconds=results["quantize"]["seconds"],
            pack_seconds=results["pack"]["seconds"],
            score_seconds=score["score_seconds"],
        ),
        train=TrainFacts(
            steps=train["steps"],
            tokens=train["tokens"],
            parameters=train["parameters"],
            final_loss=train["final_loss"],
            interruptions=train["resumed"],
            processes=train.get("processes", 1),
        ),
        data=DataFacts(**{k: dataset[k] for k in DataFacts.__dataclass_fields__ if k in dataset}),
        artifact=ArtifactFacts(sha256=pack["sha256"], bytes=pack["total_bytes"]),
        hardware=hardware(plan.device, plan.spec.train.nproc),
        environment=environment(plan),
        kernels={
            op: KernelFacts(kernel=k.name, reason=k.reason, distribution=k.distribution, version=k.version)
            for op, k in (plan.kernels | plan.train_kernels).items()
        },
        settings=settings_of(plan),
        fit=fit_facts(results["quantize"]["result"].get("fit")),
    )


def fit_facts(fit: dict[str, Any] | None) -> FitFacts | None:
    """What ``--fit`` chose; None where it was not asked."""
    if fit is None:
        return None
    roles = {role: FittedRole(**picked) for role, picked in fit["roles"].items()}
    return FitFacts(encodes=fit["encodes"], roles=roles)


def write_record(path: Path, record: RunRecord) -> None:
    """Write a record whole or not at all."""
    write_whole(path, record_to_toml(record).encode())


def _slug(plan: Plan) -> str:
    return f"{plan.architecture.name}-{plan.quantizer.name}-{plan.codec.name}"


def settings_of(plan: Plan) -> dict[str, Any]:
    """The spec with every component's full configuration: what a recipe needs to repeat the run."""
    spec = asdict(plan.spec)
    if not spec["fit"]:
        del spec["fit"]
    spec["architecture"] = plan.architecture.config
    spec["mixer"] = {name: chosen.config for name, chosen in plan.mixers.items()}
    spec["quantizer"] = plan.quantizer.config
    spec["codec"] = plan.codec.config
    return spec


def version_of(distribution: str) -> str:
    """Version of an installed distribution; empty where it is not installed."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


def hardware(device: str, processes: int = 1) -> Hardware:
    """This machine, and as many of its GPUs as processes trained."""
    gpu, gpus = "", 0
    if device == "cuda":
        import torch

        gpu, gpus = torch.cuda.get_device_name(0), processes
    return Hardware(
        cpu=_cpu_name(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1,
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        gpu=gpu,
        gpus=gpus,
    )


def _cpu_name() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8", "replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def environment(plan: Plan) -> Environment:
    """Versions of what a run depends on."""
    cuda = ""
    if plan.device == "cuda":
        import torch

        cuda = torch.version.cuda or ""
    return Environment(
        python=platform.python_version(),
        os=platform.platform(),
        torch=version_of("torch"),
        numpy=version_of("numpy"),
        triton=version_of("triton"),
        cuda=cuda,
        packages={name: version for name in (*_PACKAGES, *required(plan)) if (version := version_of(name))},
    )


def required(plan: Plan) -> list[str]:
    """Distributions of the libraries that the run's components state that they need."""
    chosen = [plan.architecture, plan.quantizer, plan.codec, plan.corpus, *plan.mixers.values()]
    components = [c for each in chosen for c in get_host().named(each.kind, each.name)]
    modules = {name.partition(".")[0] for c in components for name in c.descriptor.requires}
    known = importlib.metadata.packages_distributions() if modules else {}
    return sorted({d for module in modules for d in known.get(module, ())} - {"torch", "numpy", "triton"})
